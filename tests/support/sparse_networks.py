"""Small networks of the family that XNNPACK computes sparsely, and ones that only look like it."""

from __future__ import annotations

import keras
from tflite_files import thinned

from tfticket.export.conversion import convert_sparsely
from tfticket.export.preparation import static_copy

layers = keras.layers


def stem(channels=3, strides=2, padding="valid"):
    """An input of 16 x 16 pixels, and the convolution that can begin sparse computation."""
    inputs = keras.Input((16, 16, channels))
    x = layers.ZeroPadding2D(1)(inputs) if padding == "valid" else inputs
    return inputs, layers.Conv2D(8, 3, strides=strides, padding=padding, activation="relu")(x)


def pointwise(x, units=16, activation="relu"):
    return layers.Conv2D(units, 1, activation=activation)(x)


def classify(inputs, x, density=0.25):
    """Average over the picture, a dense layer, and most weights zero."""
    x = layers.Dense(5)(layers.GlobalAveragePooling2D()(x))
    return thinned(keras.Model(inputs, x), density)


def with_between(between, density=0.25):
    """Two pointwise convolutions with something between them."""
    inputs, x = stem()
    return classify(inputs, pointwise(between(pointwise(x))), density)


def with_ending(ending):
    """One pointwise convolution, and an ending."""
    inputs, x = stem()
    return thinned(keras.Model(inputs, ending(pointwise(x))), 0.25)


def mobile():
    """A network of everything that is allowed."""
    inputs, x = stem()
    x = layers.DepthwiseConv2D(3, padding="same", activation="relu")(pointwise(x))
    x = layers.DepthwiseConv2D(5, strides=2)(layers.ZeroPadding2D(2)(x))
    x = layers.Add()([x, pointwise(x, activation="sigmoid")])
    gate = layers.GlobalAveragePooling2D(keepdims=True)(x)
    gate = pointwise(pointwise(gate, 4), 16, "sigmoid")
    return classify(inputs, pointwise(layers.Multiply()([x, gate])))


def narrow_head(x):
    """A convolution as the last layer, after an average that keeps its axes."""
    x = layers.GlobalAveragePooling2D(keepdims=True)(x)
    return layers.Flatten()(layers.Conv2D(5, 1)(x))


def sparsely_stored(model):
    """The file that the converter makes when it is asked for sparse storage."""
    return convert_sparsely(static_copy(model))
