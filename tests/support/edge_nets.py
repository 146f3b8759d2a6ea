"""Tiny networks as files, for questions about what a device makes of them."""

from __future__ import annotations

import warnings

import keras
import numpy as np
import tensorflow as tf
from tflite_files import file_of, thinned

from tfticket.quiet import quiet

layers = keras.layers
ENDS = {"inference_input_type": tf.int8, "inference_output_type": tf.int8}
SPARSE = [tf.lite.Optimize.EXPERIMENTAL_SPARSITY]


def sequential(*stack, shape=(8, 8, 1)):
    return keras.Sequential([keras.Input(shape), *stack])


def convnet(density=0.4):
    """A convolution, a normalization that is folded, a depthwise kernel and dense layers."""
    model = sequential(
        layers.Conv2D(6, 3, padding="same", use_bias=False, name="conv"),
        layers.BatchNormalization(name="norm"),
        layers.ReLU(),
        layers.DepthwiseConv2D(3, name="depthwise"),
        layers.Flatten(),
        layers.Dense(24, activation="relu", name="hidden"),
        layers.Dense(10, name="output"),
    )
    return thinned(model, density)


def examples_for(model, count=20, seed=0):
    """Random numbers as the model takes them."""
    shape = (count, *model.input_shape[1:])
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def int8_of(model):
    return file_of(model, "int8", examples_for(model))


def raw(model, **attributes):
    """What the converter makes of a model when it isn't told what tfticket tells it."""
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    for name, value in attributes.items():
        setattr(converter, name, value)
    with quiet(), warnings.catch_warnings():
        # The ranges come from the calibration, not from the older way that this asks for.
        warnings.filterwarnings("ignore", "Statistics for quantized inputs were expected")
        return bytes(converter.convert())
