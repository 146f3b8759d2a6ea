"""Early-learning regularization: the step in NumPy, files that go on, and where ids come from."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from helpers import Subclassed, batch, logits_loss, mlp, noisy_convnet
from small_pair import assert_same, softmax

from tfticket.data import ChunkedFit, Feed
from tfticket.data.dataset import Split
from tfticket.errors import DataError, ModelError
from tfticket.noise import EarlyLearning, MarginAudit

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("seeded")]
layers = keras.layers
X, Y = batch(examples=20)


def learner(network=None, *, optimizer=None, loss=None, eager=True, **settings):
    """A linear classifier, eagerly by default: a few steps take less time than a trace."""
    options = settings.pop("compile", {"run_eagerly": eager, "jit_compile": False})
    model = EarlyLearning(network or mlp((6, 3)), **{"examples": 20, **settings})
    model.compile(
        optimizer or keras.optimizers.SGD(0.5),
        loss or logits_loss(),
        metrics=["accuracy"],
        **options,
    )
    return model


def fit(model, x=X, y=Y, *, epochs=1, **options):
    settings = {"batch_size": 8, "shuffle": False, "verbose": 0, **options}
    return model.fit(x, y, epochs=epochs, **settings).history


def state(model):
    return [np.array(v.numpy()) for v in [*model.variables, *model.optimizer.variables]]


def numpy_training(w, b, *, strength, momentum, epochs, lr=0.5, weight=None):
    """ELR of Liu et al. (2020) for softmax regression and gradient descent."""
    targets, weight = np.zeros((20, 3)), np.ones(20) if weight is None else weight
    for _ in range(epochs):
        for rows in np.split(np.arange(20), [8, 16]):
            p = softmax(X[rows] @ w + b)
            clamped = np.clip(p, 1e-4, 1 - 1e-4)
            free = (p > 1e-4) & (p < 1 - 1e-4)  # where the clamp has a gradient
            q = clamped / clamped.sum(1, keepdims=True)
            t = targets[rows] = momentum * targets[rows] + (1 - momentum) * q
            upstream = -t / (1 - (clamped * t).sum(1, keepdims=True)) * free
            pull = p * (upstream - (p * upstream).sum(1, keepdims=True))
            slope = (p - np.eye(3)[Y[rows]] + strength * pull) * weight[rows, None] / len(rows)
            w, b = w - lr * X[rows].T @ slope, b - lr * slope.sum(0)
    return w, b, targets


WAYS = {
    "eagerly": {"run_eagerly": True},
    "graph": {"jit_compile": False},
    "XLA, several steps a call": {"jit_compile": True, "steps_per_execution": 2},
}


@pytest.mark.parametrize("options", WAYS.values(), ids=WAYS.keys())
@pytest.mark.parametrize("strength", [3.0, 12.0])
def test_as_in_ten_lines_of_numpy(options, strength):
    model = learner(strength=strength, momentum=0.6, compile=options)
    begun = model.network.get_weights()
    fit(model, epochs=4)
    w, b, targets = numpy_training(*begun, strength=strength, momentum=0.6, epochs=4)
    np.testing.assert_allclose(model.network.get_weights()[0], w, atol=1e-5)
    np.testing.assert_allclose(model.network.get_weights()[1], b, atol=1e-5)
    np.testing.assert_allclose(model.targets, targets, atol=1e-5)


def test_probabilities_weights_of_examples_and_one_hot_labels():
    weight = np.linspace(0, 2, 20)
    rows = keras.losses.CategoricalCrossentropy()
    model = learner(mlp((6, 3), last="softmax"), loss=rows)
    begun = model.network.get_weights()
    fit(model, y=np.eye(3)[Y], sample_weight=weight, epochs=2)
    w, _, targets = numpy_training(*begun, strength=3, momentum=0.7, epochs=2, weight=weight)
    np.testing.assert_allclose(model.network.get_weights()[0], w, atol=1e-5)
    np.testing.assert_allclose(model.targets, targets, atol=1e-5)


def test_without_strength_it_is_a_plain_training():
    networks = []
    for _ in range(2):
        keras.utils.set_random_seed(1)
        networks.append(noisy_convnet())
    model, plain = learner(networks[0], strength=0.0), networks[1]
    plain.compile(keras.optimizers.SGD(0.5), logits_loss(), metrics=["accuracy"], run_eagerly=True)
    x, y = batch((6, 6, 2), examples=20)
    ours, theirs = fit(model, x, y, epochs=2), fit(plain, x, y, epochs=2)
    assert ours == theirs
    assert_same(model.network.get_weights(), plain.get_weights())


@pytest.mark.parametrize("mixup", [0.0, 1.0])
def test_a_file_goes_on_with_the_same_bits(tmp_path, mixup):
    x, y = batch((6, 6, 2), examples=20)
    model = learner(noisy_convnet(), optimizer="adam", mixup=mixup, momentum=0.9, eager=False)
    fit(model, x, y)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert_same(state(loaded), state(model))
    assert (loaded.mixup, loaded.momentum, loaded.kind) == (mixup, 0.9, "logits")
    goes_on, resumed = (fit(each, x, y, epochs=2, initial_epoch=1) for each in (model, loaded))
    assert resumed == goes_on
    assert_same(state(loaded), state(model))


def test_mixup_is_what_its_pairs_say():
    """The pairs that a copy of its generator draws, in NumPy."""
    model = learner(mixup=0.4, seed=3, optimizer=keras.optimizers.SGD(0.5), strength=2.0)
    (w, b), twin = model.network.get_weights(), learner(mixup=0.4, seed=3)
    share, other = (np.asarray(each) for each in twin._pairs(20))
    assert 0.5 <= share <= 1
    assert sorted(other) == list(range(20))
    fit(model, batch_size=20)
    p = np.clip(softmax(X @ w + b), 1e-4, 1 - 1e-4)
    t = 0.3 * p / p.sum(1, keepdims=True)
    np.testing.assert_allclose(model.targets, t, atol=1e-6)
    x, one, t = (share * a + (1 - share) * a[other] for a in (X, np.eye(3)[Y], t))
    q = softmax(x @ w + b)
    pull = q * (t - (q * t).sum(1, keepdims=True)) / (1 - (q * t).sum(1, keepdims=True))
    slope = (q - one - 2.0 * pull) / 20
    np.testing.assert_allclose(model.network.get_weights()[0], w - 0.5 * x.T @ slope, atol=1e-5)


def test_shares_of_mixup_follow_their_beta():
    model = learner(mixup=0.5)
    rng = np.random.default_rng(0)
    draws = rng.beta(0.5, 0.5, 100_000)
    assert model._shares.mean() == pytest.approx(np.maximum(draws, 1 - draws).mean(), abs=0.002)
    np.testing.assert_allclose(np.sort(learner(mixup=1.0)._shares)[[0, -1]], [0.5, 1], atol=1e-3)


@pytest.mark.parametrize(("policy", "jit"), [("mixed_float16", True), ("mixed_bfloat16", False)])
def test_mixed_precision_and_mixup_in_one_compiled_call(policy, jit):
    keras.config.set_dtype_policy(policy)
    options = {"jit_compile": jit, "steps_per_execution": 3}
    model = learner(noisy_convnet(), optimizer="adam", mixup=1.0, compile=options)
    x, y = batch((6, 6, 2), examples=20)
    logs = fit(model, x, y, epochs=2, validation_data=(x, y))
    assert np.isfinite(logs["loss"]).all()
    assert isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer) == (
        policy == "mixed_float16"
    )
    assert model.targets.dtype == "float32"
    np.testing.assert_allclose(model.targets.numpy().sum(1), 0.51, atol=0.01)


def test_ids_travel_with_tf_data_and_validation_splits():
    ids = np.array([17, 3, 5, 12, 0, 9])
    data = tf.data.Dataset.from_tensor_slices(ids).batch(4)
    data = data.map(lambda i: (tf.gather(X, i), {"given": tf.gather(Y, i), "id": i}))
    model = learner()
    model.fit(data, shuffle=False, verbose=0)
    np.testing.assert_array_equal(np.flatnonzero(model.targets.numpy().sum(1)), np.sort(ids))
    logs = fit(learner(), validation_split=0.25)
    assert "val_accuracy" in logs
    found = model.evaluate(X, Y, verbose=0, return_dict=True)
    assert found["accuracy"] == pytest.approx((model.predict(X, verbose=0).argmax(1) == Y).mean())
    outputs = np.asarray(model.network(X))
    assert found["loss"] == pytest.approx(-np.log(softmax(outputs)[range(20), Y]).mean(), rel=1e-5)


def test_it_is_trained_in_chunks_as_step_by_step():
    images = np.random.default_rng(0).integers(0, 256, (24, 2, 3, 1), "uint8")
    given = np.arange(24) % 3

    def labels(ids):
        return {"given": tf.gather(given, ids), "id": ids}

    feed = {"batch_size": 8, "seed": 0, "chunk_steps": 3, "scale": 1 / 255, "labels": labels}
    models = []
    for chunked in (False, True):
        keras.utils.set_random_seed(2)
        network = keras.Sequential([keras.Input((2, 3, 1)), layers.Flatten(), layers.Dense(3)])
        options = {"jit_compile": False, "steps_per_execution": 3}
        models.append(learner(network, examples=24, mixup=1.0, seed=0, compile=options))
        source = Feed(Split(images, np.arange(24, dtype=np.int32)), **feed)
        callbacks = [ChunkedFit(source)] if chunked else []
        models[-1].fit(**source.fit_arguments(), epochs=2, verbose=0, callbacks=callbacks)
    for ours, theirs in zip(*(state(model) for model in models), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-6)


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (Y[:10], "10 labels, and the model was made for 20"),
        ({"given": Y, "id": np.arange(20) + 1}, "from 1 to 20"),
        ({"given": Y, "id": np.arange(20) // 2}, "10 of 20 ids repeat"),
        ({"given": Y, "ids": Y}, "carry no ids"),
        (Y + 1, r"in \[0, 3\)"),
    ],
)
def test_labels_and_ids_that_are_wrong_are_refused(y, message):
    with pytest.raises(DataError, match=message):
        fit(learner(), X[: len(Y) if isinstance(y, dict) else len(y)], y)


@pytest.mark.parametrize("jit", [False, True])
def test_ids_of_a_data_set_that_are_out_of_range_are_refused(jit):
    labels = {"given": Y, "id": np.arange(20) + 1}
    data = tf.data.Dataset.from_tensor_slices((X, labels)).batch(8)
    with pytest.raises(DataError, match=r"outside of \[0, 20\)"):
        learner(compile={"jit_compile": jit}).fit(data, shuffle=False, verbose=0)
    with pytest.raises(DataError, match="carry no ids"):
        learner().fit(data.map(lambda x, y: (x, y["given"])), shuffle=False, verbose=0)


@pytest.mark.parametrize(
    "settings",
    [
        {"momentum": 1.0},
        {"strength": -1.0},
        {"mixup": -0.5},
        {"examples": 0},
        {"outputs": "values"},
        {"network": Subclassed(), "outputs": "logits"},
        {"network": layers.Dense(3)},
    ],
)
def test_settings_that_make_no_sense_are_refused(settings):
    network = settings.get("network") or mlp((6, 3))
    others = {name: each for name, each in settings.items() if name != "network"}
    with pytest.raises(ModelError):
        EarlyLearning(network, **{"examples": 20, **others})


def test_what_cannot_be_mixed_or_weighted_is_refused():
    tokens = keras.Sequential(
        [
            keras.Input((4,), dtype="int32"),
            layers.Embedding(9, 3),
            layers.Flatten(),
            layers.Dense(3),
        ]
    )
    with pytest.raises(ModelError, match="MixUp takes means"):
        fit(learner(tokens, mixup=1.0), np.ones((20, 4), "int32"))
    with pytest.raises(ModelError, match="class_weight"):
        fit(learner(), class_weight={0: 1.0})


def test_a_subclassed_network_with_its_number_of_classes():
    model = learner(Subclassed(), num_classes=3, outputs="logits", eager=False)
    fit(model)
    assert model.predict(X, verbose=0).shape == (20, 3)


def test_its_margins_can_be_audited_too():
    audited, alone = learner(eager=False), learner(eager=False)
    alone.set_weights(audited.get_weights())
    audit = MarginAudit(20)
    fit(audited, epochs=2, callbacks=[audit])
    fit(alone, epochs=2)
    assert_same(state(audited), state(alone))
    np.testing.assert_array_equal(audit.record.epochs, 2)
    with pytest.raises(ModelError, match="MixUp"):
        fit(learner(mixup=1.0), callbacks=[MarginAudit(20)])


def test_wrong_labels_are_memorized_less():
    rng = np.random.default_rng(0)
    true = np.arange(400) % 4
    x = (rng.normal(size=(4, 8))[true] + 0.6 * rng.normal(size=(400, 8))).astype("float32")
    wrong = rng.random(400) < 0.4
    given = np.where(wrong, (true + rng.integers(1, 4, 400)) % 4, true)
    found = {}
    for strength in (0.0, 3.0):
        keras.utils.set_random_seed(0)
        settings = {"strength": strength, "examples": 400, "eager": False}
        model = learner(mlp((8, 128, 4)), optimizer=keras.optimizers.Adam(0.01), **settings)
        fit(model, x, given, epochs=40, batch_size=50, shuffle=True)
        found[strength] = model.predict(x, verbose=0).argmax(1)
    memorized = {strength: (p == given)[wrong].mean() for strength, p in found.items()}
    assert memorized[3.0] < 0.1 < memorized[0.0] - 0.2
    assert (found[3.0] == true).mean() > 0.9
