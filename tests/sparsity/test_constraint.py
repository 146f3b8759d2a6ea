"""The mechanism, under everything that writes to weights during training."""

import helpers
import keras
import numpy as np
import pytest

from tfticket.sparsity.binding import KeepMask
from tfticket.sparsity.constraint import MaskConstraint, masked
from tfticket.sparsity.convert import sparsify

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("seeded")]

optimizers = keras.optimizers


def test_masked_gives_positive_zeros_only():
    value = np.array([np.nan, np.inf, -1.0, -0.0, 2.0], "float32")
    result = keras.ops.convert_to_numpy(masked(value, np.array([False] * 4 + [True])))
    np.testing.assert_array_equal(result, [0, 0, 0, 0, 2])
    assert not np.signbit(result).any()
    assert result.dtype == np.float32


def test_the_constraint_that_was_there_before_comes_first():
    mask = keras.Variable(np.array([[True], [False], [True]]), dtype="bool")
    constraint = MaskConstraint(mask, keras.constraints.MaxNorm(1.0))
    result = keras.ops.convert_to_numpy(constraint(np.float32([[3.0], [4.0], [0.0]])))
    np.testing.assert_allclose(result, [[0.6], [0.0], [0.0]], rtol=1e-5)
    mask.assign([[False], [True], [True]])
    result = keras.ops.convert_to_numpy(constraint(np.float32([[3.0], [4.0], [0.0]])))
    np.testing.assert_allclose(result, [[0.0], [0.8], [0.0]], rtol=1e-5)
    assert constraint.get_config() == {}


TRAININGS = {
    "sgd": (lambda: optimizers.SGD(0.1), {}),
    "momentum": (lambda: optimizers.SGD(0.1, momentum=0.9, nesterov=True), {}),
    "adam": (lambda: optimizers.Adam(0.01), {}),
    "adamw": (lambda: optimizers.AdamW(0.01, weight_decay=0.1), {}),
    "rmsprop": (lambda: optimizers.RMSprop(0.01, momentum=0.9, centered=True), {}),
    "adafactor": (lambda: optimizers.Adafactor(0.01), {}),
    "ema": (lambda: optimizers.Adam(0.01, use_ema=True), {}),
    "ema_often": (
        lambda: optimizers.SGD(0.1, momentum=0.9, use_ema=True, ema_overwrite_frequency=3),
        {},
    ),
    "clipnorm": (lambda: optimizers.Adam(0.01, clipnorm=0.5), {}),
    "global_clipnorm": (lambda: optimizers.SGD(0.1, momentum=0.9, global_clipnorm=0.5), {}),
    "clipvalue": (lambda: optimizers.SGD(0.1, clipvalue=0.05), {}),
    "accumulation": (lambda: optimizers.Adam(0.01, gradient_accumulation_steps=3), {}),
    "jit": (lambda: optimizers.Adam(0.01, use_ema=True, clipnorm=1.0), {"jit_compile": True}),
    "many_steps": (lambda: optimizers.Adam(0.01, use_ema=True), {"steps_per_execution": 4}),
    "eager": (lambda: optimizers.Adam(0.01, global_clipnorm=0.5), {"run_eagerly": True}),
    "mixed_float16": (lambda: optimizers.Adam(0.01, use_ema=True, global_clipnorm=1.0), {}),
    "mixed_bfloat16": (lambda: optimizers.Adam(0.01, use_ema=True, global_clipnorm=1.0), {}),
}


class CountLeaks(keras.callbacks.Callback):
    """Looks at all pruned weights after each batch."""

    def __init__(self, mask):
        super().__init__()
        self.mask = mask
        self.by_batch = []

    def on_train_batch_end(self, batch, logs=None):
        self.by_batch.append(helpers.leaked(self.model, self.mask))


@pytest.mark.parametrize("owner", ["wrapper", "callback"])
@pytest.mark.parametrize("training", TRAININGS)
def test_pruned_weights_are_zero_after_every_batch(training, owner):
    if training.startswith("mixed"):
        keras.config.set_dtype_policy(training)
    make_optimizer, options = TRAININGS[training]
    x, y = helpers.batch(examples=64)
    model = helpers.Subclassed() if owner == "callback" else helpers.mlp((6, 12, 3))
    model(x)
    mask = helpers.random_mask(model)
    kept = KeepMask(mask)
    if owner == "wrapper":  # a copy of the weights, with an optimizer of its own
        model, kept = helpers.compiled(sparsify(model, mask), make_optimizer(), **options), None
    else:  # moments, averages and the traced step of a denser phase are there already
        helpers.compiled(model, make_optimizer(), **options).fit(x, y, batch_size=8, verbose=0)
    before = helpers.values(model)

    leaks = CountLeaks(mask)
    callbacks = [leaks] if kept is None else [kept, leaks]
    model.fit(x, y, batch_size=8, epochs=2, verbose=0, callbacks=callbacks)

    assert leaks.by_batch == [0] * (16 // options.get("steps_per_execution", 1))
    assert helpers.leaked(model, mask) == 0  # averages are written over the weights at the end
    assert helpers.moved(model, before, mask) > 0.9


def test_l2_and_an_existing_constraint_still_work():
    layer = keras.layers.Dense(
        4,
        kernel_constraint=keras.constraints.MaxNorm(0.3),
        kernel_regularizer=keras.regularizers.L2(0.1),
        name="fc",
    )
    x, y = helpers.batch(examples=64)
    model = keras.Sequential([keras.Input((6,)), layer, keras.layers.Dense(3, name="output")])
    mask = helpers.random_mask(model)
    assert np.linalg.norm(layer.kernel.numpy(), axis=0).min() > 0.3
    for sparse in (sparsify(model, mask), model):
        helpers.compiled(sparse, optimizers.SGD(1.0))
        callbacks = [KeepMask(mask)] if sparse is model else []
        sparse.fit(x, y, epochs=2, verbose=0, callbacks=callbacks)
        assert helpers.leaked(sparse, mask) == 0
        assert np.linalg.norm(helpers.values(sparse)["fc/kernel"], axis=0).max() < 0.3001
