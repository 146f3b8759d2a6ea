"""Small `.tflite` files with pruned weights, made by the converter, and what runs them."""

from __future__ import annotations

import keras
import numpy as np

from tfticket.export import flatbuffer
from tfticket.export.conversion import convert
from tfticket.export.preparation import static_copy
from tfticket.export.runtime import Session

layers = keras.layers


def thinned(model, density, seed=0):
    """The model, with random weights of its kernels set to zero; biases get random values."""
    rng = np.random.default_rng(seed)
    for weight in model.weights:
        if len(weight.shape) == 1:
            weight.assign(rng.normal(size=weight.shape) if weight.trainable else weight)
        else:
            weight.assign(np.where(rng.random(weight.shape) < density, weight, 0.0))
    return model


def dense_net(*widths, density=0.1, inputs=(16,)):
    """Dense layers one after the other, with ReLU between them."""
    stack = [layers.Dense(width, activation="relu") for width in widths[:-1]]
    model = keras.Sequential([keras.Input(inputs), *stack, layers.Dense(widths[-1])])
    return thinned(model, density)


def file_of(model, format="fp32", calibration=None):
    """A model as the bytes of a file."""
    return convert(static_copy(model), format, calibration)


def parsed(content):
    return flatbuffer.parse(content, source="it")


def weights_in(content):
    """Name to values of the constants with two axes or more."""
    found = flatbuffer.constants(parsed(content))
    return {constant.name: constant.values for constant in found if constant.values.ndim > 1}


def inputs_for(content, count=20):
    """Random numbers, shape (count, ...)."""
    shape = Session(content, source="it").input.shape[1:]
    return np.random.default_rng(1).standard_normal((count, *shape)).astype("float32")


def answers(content, x, *, delegate=True):
    return Session(content, source="it", delegate=delegate).run(x)


def largest_difference(content, other):
    """How far the answers of two files differ, with the default delegate and without."""
    x = inputs_for(other)
    expected = answers(other, x)
    return max(
        float(np.abs(answers(content, x, delegate=delegate) - expected).max())
        for delegate in (True, False)
    )
