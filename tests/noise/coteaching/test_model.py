from __future__ import annotations

import keras
import numpy as np
import pytest
from helpers import Subclassed, batch, compiled, logits_loss, mlp, noisy_convnet
from small_pair import (
    assert_same,
    compiled_pair,
    fit,
    pair,
    regression_samples,
    samples,
    softmax,
    state,
    two_inputs,
)

from tfticket.errors import DataError, ModelError
from tfticket.noise.coteaching.model import CoTeaching
from tfticket.noise.coteaching.selection import UPDATES
from tfticket.noise.losses import GeneralizedCrossentropy

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("seeded")]
layers = keras.layers


def one_step(model, x, y, **kwargs):
    """The weights of both networks after one batch with all samples."""
    fit(model, x, y, batch_size=len(x), **kwargs)
    return [network.get_weights() for network in model.peers]


def numpy_step(networks, x, y, *, forget_rate, lr, exchange=True):
    """Algorithm 1 of Han et al. (2018) for softmax regression and gradient descent."""
    p = [softmax(x @ w + b) for w, b in networks]
    losses = [-np.log(q[np.arange(len(y)), y]) for q in p]
    kept = max(1, int((1 - forget_rate) * len(y) + 1e-4))
    chosen = [np.argsort(each, kind="stable")[:kept] for each in losses]
    after = []
    for number, (w, b) in enumerate(networks):
        own = chosen[1 - number if exchange else number]
        slope = (p[number] - np.eye(w.shape[1])[y])[own] / kept
        after.append([w - lr * x[own].T @ slope, b - lr * slope.sum(0)])
    return after


@pytest.mark.parametrize("forget_rate", [0.0, 0.5, 0.99])
def test_samples_are_exchanged_as_in_ten_lines_of_numpy(forget_rate):
    x, y = samples()
    model = compiled_pair(forget_rate=forget_rate)
    before = [network.get_weights() for network in model.peers]
    after = one_step(model, x, y)
    expected = numpy_step(before, x, y, forget_rate=forget_rate, lr=0.5)
    for ours, theirs in zip(after, expected, strict=True):
        for a, b in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(a, b, atol=2e-6)
    if forget_rate:
        own = numpy_step(before, x, y, forget_rate=forget_rate, lr=0.5, exchange=False)
        assert not np.allclose(after[0][0], own[0][0], atol=1e-4)


def test_plain_is_two_networks_trained_by_keras():
    x, y = batch((6, 6, 2))
    alone = [noisy_convnet(), noisy_convnet()]
    together = [keras.models.clone_model(network) for network in alone]
    for network, twin in zip(alone, together, strict=True):
        for a, b in zip(network.variables, twin.variables, strict=True):
            b.assign(a.value)
    model = compiled_pair(*together, update="plain", optimizer=keras.optimizers.SGD(0.1))
    fit(model, x, y, epochs=2)
    for network, twin in zip(alone, together, strict=True):
        plain = compiled(network, keras.optimizers.SGD(0.1), run_eagerly=True)
        fit(plain, x, y, epochs=2)
        for a, b in zip(network.variables, twin.variables, strict=True):
            np.testing.assert_allclose(a.numpy(), b.numpy(), atol=1e-6)


def test_jocor_minimizes_the_joint_loss_by_both_networks():
    x, y = samples()
    model = compiled_pair(update="jocor", agreement=0.5, forget_rate=0.25)
    (w1, b1), (w2, b2) = (network.get_weights() for network in model.peers)

    def joint(weights):
        p, q = softmax(x @ weights + b1), softmax(x @ w2 + b2)
        rows = np.arange(len(y))
        apart = ((p - q) * (np.log(p) - np.log(q))).sum(1)
        return 0.5 * (-np.log(p[rows, y]) - np.log(q[rows, y])) + 0.5 * apart

    kept = np.argsort(joint(w1), kind="stable")[:12]
    slope, step = np.zeros_like(w1, "float64"), 1e-4
    for place in np.ndindex(*w1.shape):
        shift = np.zeros_like(slope)
        shift[place] = step
        there, back = (joint(w1.astype("float64") + s)[kept].mean() for s in (shift, -shift))
        slope[place] = (there - back) / (2 * step)
    after = one_step(model, x, y)
    np.testing.assert_allclose(after[0][0], w1 - 0.5 * slope, atol=1e-4)


def test_a_sample_of_weight_zero_is_never_selected_and_weights_weigh():
    x, y = samples()
    weight = np.ones(16, "float32")
    weight[:8] = 0
    weighted = compiled_pair(forget_rate=0.5)
    before = [network.get_weights() for network in weighted.peers]
    after = one_step(weighted, x, y, sample_weight=weight * 2)
    expected = numpy_step(before, x[8:], y[8:], forget_rate=0.5, lr=1.0)
    np.testing.assert_allclose(after[0][0], expected[0][0], atol=2e-6)
    np.testing.assert_allclose(after[1][1], expected[1][1], atol=2e-6)


def test_class_weights_are_sample_weights():
    x, y = samples()
    first, second = compiled_pair(), compiled_pair()
    second.set_weights(first.get_weights())
    by_class = one_step(first, x, y, class_weight={0: 1.0, 1: 2.0, 2: 0.5})
    by_sample = one_step(second, x, y, sample_weight=np.array([1.0, 2.0, 0.5])[y])
    assert_same(by_class[0], by_sample[0])


def test_each_network_pays_for_its_own_regularization():
    x, y = samples()
    regularized = keras.Sequential(
        [keras.Input((6,)), layers.Dense(3, kernel_regularizer=keras.regularizers.L2(0.1))]
    )
    model = compiled_pair(regularized, forget_rate=0.5)
    before = [network.get_weights() for network in model.peers]
    after = one_step(model, x, y)
    plain = numpy_step(before, x, y, forget_rate=0.5, lr=0.5)
    np.testing.assert_allclose(after[0][0], plain[0][0] - 0.5 * 0.2 * before[0][0], atol=2e-6)
    np.testing.assert_allclose(after[1][0], plain[1][0], atol=2e-6)


def test_the_rate_follows_the_epochs_in_one_trace_and_every_sample_is_seen():
    x, y = samples(20)  # three batches, the last of 4
    model = compiled_pair(forget_rate=0.6, gradual=3, optimizer="adam", eager=False)
    step, traces = model.train_step, []
    model.train_step = lambda data: (traces.append(1), step(data))[1]
    logs = fit(model, x, y, epochs=1)
    before = len(traces)
    rest = fit(model, x, y, epochs=5, initial_epoch=1)
    assert len(traces) == before
    logs = {name: values + rest[name] for name, values in logs.items()}
    assert logs["forget_rate"] == pytest.approx([0.0, 0.2, 0.4, 0.6, 0.6])
    assert logs["keep_rate"][0] == 1 > logs["keep_rate"][-1] > 0.2
    assert int(model.clock.steps.numpy()) == 15
    assert model.selection().class_seen.sum() == 20
    fit(model, x, y, epochs=1, batch_size=4)  # epochs of another length
    assert int(model.clock.epochs_done().numpy()) == 6


def test_compiling_again_keeps_the_epoch():
    x, y = samples()
    model = compiled_pair(forget_rate=0.6, gradual=3)
    fit(model, x, y, epochs=3)
    model.compile(keras.optimizers.SGD(0.1), logits_loss())
    assert fit(model, x, y)["forget_rate"] == pytest.approx([0.6])


CONTRACT = {
    "eager": (lambda: keras.optimizers.RMSprop(0.01), "float32", {"run_eagerly": True}),
    "jit": (lambda: keras.optimizers.Adam(0.01), "float32", {"jit_compile": True}),
    "clip and many steps a call": (
        lambda: keras.optimizers.SGD(0.1, momentum=0.9, clipnorm=0.1),
        "float32",
        {"steps_per_execution": 2, "jit_compile": False},
    ),
    "mixed": (lambda: keras.optimizers.Adam(0.01), "mixed_float16", {"jit_compile": False}),
    "average and accumulate": (
        lambda: keras.optimizers.AdamW(0.01, use_ema=True, gradient_accumulation_steps=2),
        "float32",
        {"run_eagerly": True},
    ),
}


# The rules differ in the selection only, so one setting for all of them is enough.
CASES = [(name, "coteaching") for name in CONTRACT]
CASES += [("eager", update) for update in UPDATES if update != "coteaching"]


@pytest.mark.parametrize(("name", "update"), CASES)
def test_contract(name, update):
    optimizer, policy, settings = CONTRACT[name]
    keras.config.set_dtype_policy(policy)
    x, y = samples()
    model = compiled_pair(update=update, optimizer=optimizer(), compile=settings)
    before = [np.array(v.numpy()) for v in model.trainable_variables]
    logs = fit(model, x, y, epochs=2)
    assert all(np.isfinite(values).all() for values in logs.values())
    for variable, old in zip(model.trainable_variables, before, strict=True):
        assert not np.array_equal(variable.numpy(), old), variable.path
    optimizers = (model.optimizer.first, model.optimizer.second)
    updates = 2 if name == "average and accumulate" else 4
    assert [int(each.iterations) for each in optimizers] == [updates] * 2
    scaled = [isinstance(each, keras.optimizers.LossScaleOptimizer) for each in optimizers]
    assert scaled == [policy == "mixed_float16"] * 2


def test_optimizers_know_only_their_own_network():
    x, y = samples()
    model = compiled_pair(mlp((6, 4, 3)), mlp((6, 3)), optimizer="adam")
    fit(model, x, y)
    own = [
        len(each._trainable_variables) for each in (model.optimizer.first, model.optimizer.second)
    ]
    assert own == [4, 2]


def test_the_learning_rate_of_one_is_the_learning_rate_of_both():
    x, y = samples()
    model = compiled_pair()
    fit(model, x, y, callbacks=[keras.callbacks.LearningRateScheduler(lambda epoch: 0.125)])
    assert float(model.optimizer.first.learning_rate) == 0.125
    assert float(model.optimizer.second.learning_rate) == 0.125


def test_one_optimizer_for_both_is_refused():
    adam = keras.optimizers.Adam()
    with pytest.raises(ModelError, match="optimizer of its own"):
        pair().compile(adam, logits_loss(), second_optimizer=adam)


def test_metrics_of_both_and_of_the_two_together():
    x, y = samples(10)
    model = compiled_pair(metrics=["accuracy", keras.metrics.SparseTopKCategoricalAccuracy(2)])
    logs = fit(model, x, y, batch_size=4, validation_data=(x, y))
    for name in ("accuracy", "sparse_top_k_categorical_accuracy", "loss"):
        assert {name, f"first_{name}", f"second_{name}", f"val_first_{name}"} <= set(logs)
    assert "val_keep_rate" not in logs
    found = model.evaluate(x, y, batch_size=4, verbose=0, return_dict=True)
    outputs = [np.asarray(network(x)) for network in model.peers]
    assert found["first_accuracy"] == pytest.approx((outputs[0].argmax(1) == y).mean())
    assert found["second_accuracy"] == pytest.approx((outputs[1].argmax(1) == y).mean())
    together = (softmax(outputs[0]) + softmax(outputs[1])) / 2
    assert found["accuracy"] == pytest.approx((together.argmax(1) == y).mean())
    assert found["loss"] == pytest.approx(-np.log(together[range(10), y]).mean(), rel=1e-5)
    differ = (outputs[0].argmax(1) != outputs[1].argmax(1)).mean()
    assert found["disagreement"] == pytest.approx(differ)
    np.testing.assert_allclose(softmax(model.predict(x, verbose=0)), together, rtol=1e-5)


def test_true_labels_are_counted_and_never_learned():
    x, y = samples()
    clean = np.where(np.arange(16) < 4, (y + 1) % 3, y)
    blind, told = compiled_pair(forget_rate=0.25), compiled_pair(forget_rate=0.25)
    told.set_weights(blind.get_weights())
    fit(blind, x, y)
    fit(told, x, {"given": y, "true": clean})
    assert_same(state(blind), state(told))
    assert blind.selection().label_precision is None
    found = told.selection()
    assert found.label_precision * found.keep_rate == pytest.approx(found.label_recall * 0.75)
    fit(told, x, {"given": y, "true": y})
    assert told.selection().label_precision == 1.0  # 1 is clean, not noisy
    fit(told, x, {"given": y, "true": (y + 1) % 3})
    assert told.selection().label_precision == 0.0


def test_a_file_keeps_both_networks_and_both_optimizers_and_goes_on_with_the_same_bits(tmp_path):
    x, y = batch((6, 6, 2))
    model = compiled_pair(
        noisy_convnet(), noisy_convnet(), forget_rate=0.5, gradual=3, optimizer="adam"
    )
    fit(model, x, y, epochs=2)
    model.save(tmp_path / "pair.keras")
    loaded = keras.models.load_model(tmp_path / "pair.keras")
    assert_same(state(loaded), state(model))
    assert [int(each.iterations.numpy()) for each in (loaded.optimizer.second,)] == [4]
    assert loaded.rule == model.rule
    goes_on = fit(model, x, y, epochs=4, initial_epoch=2)
    resumed = fit(loaded, x, y, epochs=4, initial_epoch=2)
    assert_same(state(loaded), state(model))
    assert resumed == goes_on


def test_weights_files_keep_optimizers_too_though_call_never_ran(tmp_path):
    x, y = samples()
    model, other = compiled_pair(optimizer="adam"), compiled_pair(optimizer="adam")
    fit(model, x, y)
    fit(other, x, y)
    model.save_weights(tmp_path / "pair.weights.h5")
    other.load_weights(tmp_path / "pair.weights.h5")
    assert_same(state(other), state(model))


def test_a_custom_loss_rate_and_second_optimizer_are_saved(tmp_path):
    model = pair(mlp(last="softmax"), mlp(last="softmax"), class_floor=0.2, formula="official")
    model.compile(
        "adam",
        GeneralizedCrossentropy(0.5),
        second_optimizer=keras.optimizers.SGD(0.3),
        jit_compile=False,
    )
    model.save(tmp_path / "pair.keras")
    loaded = keras.models.load_model(tmp_path / "pair.keras")
    assert loaded.rule == model.rule
    assert loaded.per_sample.loss.q == 0.5
    assert isinstance(loaded.optimizer.second, keras.optimizers.SGD)


def test_subclassed_networks(tmp_path):
    x, y = samples()
    model = compiled_pair(Subclassed(), Subclassed(), outputs="logits", eager=False)
    fit(model, x, y)
    model.save_weights(tmp_path / "pair.weights.h5")
    assert model.predict(x, verbose=0).shape == (16, 3)


def test_regression_and_several_inputs():
    x, y = regression_samples()
    model = pair(two_inputs(), two_inputs(), outputs="values", forget_rate=0.25)
    model.compile("sgd", "mse", run_eagerly=True)
    logs = fit(model, x, y)
    assert logs["keep_rate"] == [0.75]
    assert "disagreement" in logs
    expected = sum(np.asarray(network(x)) for network in model.peers) / 2
    np.testing.assert_allclose(model.predict(x, verbose=0), expected, rtol=1e-5)


@pytest.mark.parametrize("count", [1, 3])
def test_fewer_samples_than_a_batch_and_one_class(count):
    x, _ = samples()
    model = compiled_pair(forget_rate=0.99, class_floor=0.1)
    before = model.first.get_weights()
    logs = fit(model, x[:count], np.ones(count, int))
    assert np.isfinite(logs["loss"]).all()
    assert logs["keep_rate"][0] * count == pytest.approx(1)
    assert not np.array_equal(before[0], model.first.get_weights()[0])


@pytest.mark.parametrize("update", ["coteaching", "plain"])
def test_samples_without_weight_teach_nothing_and_are_counted_once(update):
    x, y = samples(8)
    model = compiled_pair(forget_rate=0.5, update=update)
    before = model.first.get_weights()
    logs = fit(model, x, y, sample_weight=np.zeros(8))
    assert logs["keep_rate"] == [1.0 if update == "plain" else 0.5]
    for ours, theirs in zip(before, model.first.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_a_rate_of_zero_keeps_all_and_of_one_is_refused():
    x, y = samples()
    model = compiled_pair(forget_rate=0.0)
    assert fit(model, x, y)["keep_rate"] == [1.0]
    with pytest.raises(ModelError, match="nothing left to learn"):
        pair(forget_rate=1.0)


@pytest.mark.parametrize("labels", [np.array([0, 1, 3] * 5), np.array([[-1], [0], [1]] * 5)])
def test_labels_out_of_range_are_refused(labels):
    with pytest.raises(DataError, match=r"in \[0, 3\)"):
        fit(compiled_pair(), samples(15)[0], labels)


@pytest.mark.parametrize(
    ("y", "weight", "message"),
    [
        (None, None, "given label"),
        ({"given": np.zeros(8, int)}, None, "Received: \\['given'\\]"),
        (np.zeros(8, int), np.ones((8, 2)), "one weight"),
    ],
)
def test_labels_and_weights_of_wrong_form_are_refused(y, weight, message):
    with pytest.raises(ModelError, match=message):
        fit(compiled_pair(), samples(8)[0], y, sample_weight=weight)


@pytest.mark.parametrize(
    "settings",
    [
        {"update": "mine"},
        {"class_floor": 1.5},
        {"agreement": 1.0},
        {"warmup_epochs": -1},
        {"outputs": "numbers"},
        {"outputs": "values", "update": "jocor"},
        {"steps_per_epoch": 0},
        {"forget_rate": -0.5},
    ],
)
def test_settings_that_make_no_sense_are_refused(settings):
    with pytest.raises(ModelError, match="Received"):
        pair(**settings)


def test_networks_that_share_something_or_begin_alike_are_refused():
    network, shared = mlp(), layers.Dense(4)
    shared.build((None, 6))
    with pytest.raises(ModelError, match="share"):
        pair(network, network)
    with pytest.raises(ModelError, match="share 2 variables"):
        pair(*(keras.Sequential([keras.Input((6,)), shared]) for _ in range(2)))
    with pytest.raises(ModelError, match="Keras models"):
        pair(network, layers.Dense(3))
    twin = keras.models.clone_model(network)
    twin.set_weights(network.get_weights())
    with pytest.raises(ModelError, match="different weights"):
        fit(compiled_pair(network, twin), *samples())


def test_a_loss_that_takes_logits_for_probabilities_is_refused():
    with pytest.raises(ModelError, match="from_logits=True"):
        pair().compile("sgd", keras.losses.SparseCategoricalCrossentropy())
    with pytest.raises(ModelError, match="from_logits=False"):
        pair(mlp(last="softmax")).compile("sgd", logits_loss())


def test_an_epoch_of_unknown_length_is_refused_unless_it_is_told():
    x, y = samples()
    with pytest.raises(ModelError, match="steps_per_epoch"):
        compiled_pair().train_on_batch(x, y)
    told = compiled_pair(steps_per_epoch=2, gradual=2, forget_rate=0.5)
    rates = [told.train_on_batch(x, y, return_dict=True)["forget_rate"] for _ in range(6)]
    assert rates == pytest.approx([0, 0, 0.25, 0.25, 0.5, 0.5])
    assert int(told.clock.epochs_done().numpy()) == 3


def test_is_a_keras_model_with_its_config():
    model = pair(update="coteaching_plus", warmup_epochs=2, name="two")
    again = CoTeaching.from_config(model.get_config())
    assert (again.rule, again.name) == (model.rule, "two")
    assert [v.shape for v in again.variables] == [v.shape for v in model.variables]
