"""Two tiny networks that are taught together, and data for them."""

from __future__ import annotations

import keras
import numpy as np
from helpers import batch, logits_loss, mlp

from tfticket.noise.coteaching.model import CoTeaching

layers = keras.layers


def pair(first=None, second=None, *, forget_rate=0.5, gradual=0, **settings):
    """Forgets at its full rate from the start, unless told otherwise."""
    first = mlp((6, 3)) if first is None else first
    second = mlp((6, 3)) if second is None else second
    return CoTeaching(first, second, forget_rate=forget_rate, gradual=gradual, **settings)


def compiled_pair(*networks, optimizer=None, metrics=("accuracy",), eager=True, **settings):
    """Step by step in Python by default: a few steps take less time than a trace."""
    options = settings.pop("compile", {"run_eagerly": eager, "jit_compile": False})
    model = pair(*networks, **settings)
    optimizer = keras.optimizers.SGD(0.5) if optimizer is None else optimizer
    model.compile(optimizer, logits_loss(), metrics=list(metrics), **options)
    return model


def fit(model, x, y, *, epochs=1, batch_size=8, **kwargs):
    """Without shuffling, so that two runs see the same batches."""
    settings = {"verbose": 0, "shuffle": False, **kwargs}
    return model.fit(x, y, batch_size=batch_size, epochs=epochs, **settings).history


def state(model):
    """All that training changes: both networks, both optimizers, clock, relief."""
    return [np.array(v.numpy()) for v in [*model.variables, *model.optimizer.variables]]


def assert_same(ours, theirs):
    """Bit for bit."""
    assert len(ours) == len(theirs)
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(a, b)


def samples(count=16):
    return batch(examples=count)


def two_inputs():
    """A regression from two inputs with names."""
    inputs = {"a": keras.Input((2,), name="a"), "b": keras.Input((3,), name="b")}
    joined = layers.Concatenate()([inputs["a"], inputs["b"]])
    return keras.Model(inputs, layers.Dense(1)(joined))


def regression_samples(count=16):
    """For `two_inputs`."""
    rng = np.random.default_rng(0)
    x = {"a": rng.normal(size=(count, 2)), "b": rng.normal(size=(count, 3))}
    return x, rng.normal(size=(count, 1))


def softmax(z):
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)
