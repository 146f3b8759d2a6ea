"""Shorter updates are those of Keras."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfticket.data import ChunkedFit, Feed, Split, updating
from tfticket.machine import only_cpus
from tfticket.sparsity import KeepMask, Mask
from tfticket.state import named_variables, optimizer_variables, prunable_variables

pytestmark = [
    pytest.mark.slow,
    pytest.mark.usefixtures("seeded"),
    pytest.mark.skipif(not only_cpus(), reason="other devices are left to Keras"),
]
optimizers = keras.optimizers
OPTIMIZERS = {
    "adam": lambda: optimizers.Adam(0.01),
    "a schedule": lambda: optimizers.Adam(optimizers.schedules.ExponentialDecay(0.01, 2, 0.5)),
    "decay": lambda: optimizers.AdamW(0.01, weight_decay=0.1),
    "clipped": lambda: optimizers.Adam(global_clipnorm=0.1),  # masks hook it, too
    "amsgrad": lambda: optimizers.Adam(0.01, amsgrad=True),
    "sgd": lambda: optimizers.SGD(0.1, momentum=0.9),
    "ema": lambda: optimizers.Adam(use_ema=True),
}
BY_KERNEL = {"adam", "a schedule", "decay", "clipped"}


class Spy:
    """TensorFlow, telling what is compiled and what goes through the kernel."""

    def __init__(self):
        self.compiled, self.kernels = 0, 0

    def __getattr__(self, name):
        return self if name == "raw_ops" else getattr(tf, name)

    def function(self, *arguments, **options):
        self.compiled += bool(options.get("jit_compile"))
        return tf.function(*arguments, **options)

    def ResourceApplyAdam(self, **arguments):  # noqa: N802 - the name of the operation
        self.kernels += 1
        return tf.raw_ops.ResourceApplyAdam(**arguments)


@pytest.fixture
def spy(monkeypatch):
    made = Spy()
    monkeypatch.setattr(updating, "tf", made)
    return made


def network(optimizer):
    keras.utils.set_random_seed(5)
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((6, 6, 2)),
            layers.Conv2D(4, 3, use_bias=False, name="conv"),
            layers.BatchNormalization(name="norm"),
            layers.ReLU(),
            layers.Flatten(),
            layers.Dense(3, name="output"),
        ]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(OPTIMIZERS[optimizer](), loss, steps_per_execution=4, jit_compile=False)
    return model


def trained(model, *, chunked):
    rng = np.random.default_rng(3)
    x, y = rng.integers(0, 256, (40, 6, 6, 2), "uint8"), rng.integers(0, 3, 40, "int32")
    feed = Feed(Split(x, y), batch_size=8, seed=1, chunk_steps=4, scale=1 / 255)
    kept = {key: np.ones(v.shape, bool) for key, v in prunable_variables(model).items()}
    kept["conv/kernel"][0] = False
    hooked = vars(model.optimizer).copy()
    callbacks = [KeepMask(Mask(kept)), *([ChunkedFit(feed)] if chunked else [])]
    model.fit(**feed.fit_arguments(), epochs=3, callbacks=callbacks, verbose=0)
    for name in ("apply", "update_step"):
        assert vars(model.optimizer).get(name) is hooked.get(name)
    assert not model.get_layer("conv").kernel.numpy()[0].any()
    slots = {str(i): v.numpy() for i, v in enumerate(optimizer_variables(model))}
    return {key: v.numpy() for key, v in named_variables(model).items()} | slots


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_short_updates_are_those_of_keras(optimizer, spy, monkeypatch):
    expected = trained(network(optimizer), chunked=False)
    assert (spy.compiled, spy.kernels) == (0, 0)
    for many in (10**9, 1):
        monkeypatch.setattr(updating, "_MANY", many)
        spy.compiled = spy.kernels = 0
        found = trained(network(optimizer), chunked=True)
        assert found.keys() == expected.keys()
        for key, value in expected.items():
            np.testing.assert_allclose(found[key], value, rtol=1e-4, atol=1e-5, err_msg=key)
        if many == 1:
            assert (spy.compiled > 0) == (optimizer != "ema")
            assert spy.kernels == 0
        else:
            assert spy.compiled == 0
            assert (spy.kernels > 0) == (optimizer in BY_KERNEL)
