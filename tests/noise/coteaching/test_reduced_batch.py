from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf
from helpers import batch, leaked, logits_loss, mlp, noisy_convnet, random_mask
from small_loss import small_loss
from small_pair import (
    assert_same,
    compiled_pair,
    fit,
    pair,
    regression_samples,
    samples,
    state,
    two_inputs,
)

from tfticket import models
from tfticket.errors import ModelError
from tfticket.noise.coteaching.model import CoTeaching
from tfticket.noise.coteaching.selection import UPDATES
from tfticket.sparsity.binding import KeepMask

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("seeded")]
layers = keras.layers
FORGETTING = [update for update in UPDATES if update != "plain"]


def same_weights(one, other):
    other.set_weights(one.get_weights())
    return one, other


@pytest.mark.parametrize("update", FORGETTING)
def test_without_batch_statistics_reduced_is_whole(update):
    x, y = samples(20)
    weight = np.random.default_rng(0).choice([0.0, 0.5, 2.0], 20)
    regularized = [
        keras.Sequential(
            [keras.Input((6,)), layers.Dense(3, activity_regularizer=keras.regularizers.L2(0.0))]
        )
        for _ in range(4)
    ]
    settings = {"update": update, "forget_rate": 0.4, "class_floor": 0.2}
    whole, reduced = same_weights(
        compiled_pair(*regularized[:2], **settings),
        compiled_pair(*regularized[2:], batch="reduced", **settings),
    )
    logs = [fit(each, x, y, sample_weight=weight, epochs=2) for each in (whole, reduced)]
    for ours, theirs in zip(whole.get_weights(), reduced.get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)
    for name in ("loss", "first_loss", "keep_rate", "forget_rate", "accuracy", "disagreement"):
        assert logs[0][name] == pytest.approx(logs[1][name], abs=1e-5)
    assert whole.selection().keep_rate == reduced.selection().keep_rate


def test_it_is_selecting_by_predictions_and_plain_training_on_the_rest():
    x, y = batch((6, 6, 2))
    model = compiled_pair(
        noisy_convnet(), noisy_convnet(), batch="reduced", optimizer=keras.optimizers.SGD(0.1)
    )
    twins = []
    for network in model.peers:
        twin = keras.models.clone_model(network)
        twin.compile(keras.optimizers.SGD(0.1), logits_loss(), run_eagerly=True)
        for variable, own in zip(twin.variables, network.variables, strict=True):
            variable.assign(own.value)
        twins.append(twin)
    for _ in range(3):
        fit(model, x, y, batch_size=16)
        kept = []
        for twin in twins:
            losses = keras.losses.sparse_categorical_crossentropy(
                y, twin.predict(x, verbose=0), from_logits=True
            )
            kept.append(small_loss(losses.numpy(), 0.5))
        for twin, own in zip(twins, reversed(kept), strict=True):
            twin.train_on_batch(x[own], y[own])
    for network, twin in zip(model.peers, twins, strict=True):
        for a, b in zip(network.variables, twin.variables, strict=True):
            np.testing.assert_allclose(a.numpy(), b.numpy(), atol=1e-5)


def test_losses_that_layers_add_are_those_of_the_training_pass():
    class AddsItsSize(layers.Layer):
        def call(self, inputs):
            self.add_loss(tf.cast(tf.shape(inputs)[0], tf.float32))
            return inputs

    networks = [
        keras.Sequential([keras.Input((6,)), AddsItsSize(), layers.Dense(3)]) for _ in range(2)
    ]
    model = compiled_pair(*networks, batch="reduced", forget_rate=0.75)
    x, y = samples()
    plain = compiled_pair(mlp((6, 3)), mlp((6, 3)), batch="reduced", forget_rate=0.75)
    plain.set_weights(model.get_weights())
    added = fit(model, x, y, batch_size=16)["first_loss"][0]
    assert added - fit(plain, x, y, batch_size=16)["first_loss"][0] == pytest.approx(4, abs=1e-4)


def test_the_ramp_changes_the_size_in_one_trace():
    x, y = samples(20)  # three batches, the last of 4
    seen, traces = [], []

    class Looks(layers.Layer):
        def call(self, inputs, training=None):
            if training:
                traces.append(1)
                tf.py_function(lambda n: seen.append(int(n)), [tf.shape(inputs)[0]], [])
            return inputs

    networks = [keras.Sequential([keras.Input((6,)), Looks(), layers.Dense(3)]) for _ in range(2)]
    model = compiled_pair(*networks, batch="reduced", forget_rate=0.75, gradual=3, eager=False)
    fit(model, x, y, epochs=1)
    before = len(traces)
    logs = fit(model, x, y, epochs=4, initial_epoch=1)
    assert len(traces) == before
    assert logs["forget_rate"] == pytest.approx([0.25, 0.5, 0.75])
    sizes = np.reshape(seen, (4, 3, 2))  # epochs, steps, networks: what is in a training pass
    np.testing.assert_array_equal(sizes[..., 0], sizes[..., 1])
    assert sizes[..., 0].tolist() == [[8, 8, 4], [6, 6, 3], [4, 4, 2], [2, 2, 1]]


CONTRACT = {
    "mixed and many steps a call": (
        lambda: keras.optimizers.Adam(0.01),
        "mixed_float16",
        {"steps_per_execution": 2},
    ),
    "average, clip and accumulate": (
        lambda: keras.optimizers.AdamW(
            0.01, use_ema=True, gradient_accumulation_steps=2, clipnorm=0.1
        ),
        "float32",
        {"run_eagerly": True},
    ),
}


@pytest.mark.parametrize("name", CONTRACT)
def test_contract(name):
    optimizer, policy, settings = CONTRACT[name]
    keras.config.set_dtype_policy(policy)
    x, y = batch((6, 6, 2))
    model = compiled_pair(
        noisy_convnet(), noisy_convnet(), batch="reduced", optimizer=optimizer(), compile=settings
    )
    before = [np.array(v.numpy()) for v in model.trainable_variables]
    logs = fit(model, x, y, epochs=2)
    assert all(np.isfinite(values).all() for values in logs.values())
    for variable, old in zip(model.trainable_variables, before, strict=True):
        assert not np.array_equal(variable.numpy(), old), variable.path


def test_pruned_weights_stay_zero():
    x, y = samples()
    model = compiled_pair(mlp(), mlp(), batch="reduced", optimizer="adam")
    mask = random_mask(model)
    fit(model, x, y, epochs=2, callbacks=[KeepMask(mask)])
    assert leaked(model, mask) == 0


def test_several_inputs():
    x, y = regression_samples()
    model = pair(two_inputs(), two_inputs(), outputs="values", forget_rate=0.25, batch="reduced")
    model.compile("sgd", "mse", run_eagerly=True)
    assert fit(model, x, y)["keep_rate"] == [0.75]


def test_a_file_goes_on_with_the_same_bits(tmp_path):
    x, y = batch((6, 6, 2))
    model = compiled_pair(
        noisy_convnet(), noisy_convnet(), batch="reduced", gradual=3, optimizer="adam"
    )
    fit(model, x, y, epochs=2)
    model.save(tmp_path / "pair.keras")
    loaded = keras.models.load_model(tmp_path / "pair.keras")
    assert loaded.batch == "reduced"
    for each in (model, loaded):
        fit(each, x, y, epochs=4, initial_epoch=2)
    assert_same(state(loaded), state(model))
    older = {name: value for name, value in pair().get_config().items() if name != "batch"}
    assert CoTeaching.from_config(older).batch == "whole"


def test_a_network_of_the_zoo_is_looked_at_by_the_fused_kernel():
    x = np.random.default_rng(0).random((8, 8, 8, 3), "float32")
    y = np.arange(8)
    networks = [
        models.build("conv2", (8, 8, 3), 10, width=0.1, norm="batch", seed=seed) for seed in (0, 1)
    ]
    model = compiled_pair(*networks, batch="reduced")
    step = tf.function(lambda: model.train_step((tf.constant(x), tf.constant(y))))
    model.begin_epoch(1)
    model.train_step((tf.constant(x), tf.constant(y)))
    kernels = [
        node
        for node in step.get_concrete_function().graph.get_operations()
        if node.type == "FusedBatchNormV3"
    ]
    norms = sum(isinstance(each, layers.BatchNormalization) for each in networks[0].layers)
    assert [node.get_attr("is_training") for node in kernels].count(False) == 2 * norms
    assert len(kernels) == 4 * norms


def test_what_makes_no_sense_is_refused():
    with pytest.raises(ModelError, match=r"one of \['whole', 'reduced'\]. Received: 'half'"):
        pair(batch="half")
    with pytest.raises(ModelError, match="which keeps everything"):
        pair(batch="reduced", update="plain")
    with pytest.raises(ModelError, match="jit_compile=True with batch='reduced'"):
        pair(batch="reduced").compile("sgd", logits_loss(), jit_compile=True)
    compiled = compiled_pair(batch="reduced", compile={"jit_compile": "auto"})
    assert not compiled.jit_compile
