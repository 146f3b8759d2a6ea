"""Keras layers in place of those of this package, for files that load without tfticket."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from tfticket.classes import overridden
from tfticket.norms.layers.batch import FrozenBatchNorm, LpBatchNorm, NoisyBatchNorm
from tfticket.norms.layers.convolution import (
    StandardizedConv,
    StandardizedConv1D,
    StandardizedConv2D,
    StandardizedConv3D,
)
from tfticket.norms.layers.fused import FusedBatchNorm
from tfticket.norms.layers.group import GroupNorm

_CONVOLUTIONS: dict[type[StandardizedConv], type[keras.layers.Layer]] = {
    StandardizedConv1D: keras.layers.Conv1D,
    StandardizedConv2D: keras.layers.Conv2D,
    StandardizedConv3D: keras.layers.Conv3D,
}


def plain_layer(layer: keras.layers.Layer) -> keras.layers.Layer | None:
    """Return a Keras layer that predicts as a layer of this package does.

    It is for inference only: noise and l_p norms are gone, and standardized weights are constants.
    Keras' GroupNormalization counts masked positions.

    Args:
        layer: Any built layer.

    Returns:
        A new, built layer of the same name, with weights; None for a layer of Keras, for filter
        response normalization, which Keras lacks, and for a child that overrides what its parent
        computes.

    Example:
        >>> from tfticket.norms.layers import GroupNorm
        >>> layer = GroupNorm(groups=2)
        >>> layer.build((None, 8, 8, 4))
        >>> type(plain_layer(layer)).__name__
        'GroupNormalization'
    """
    return None if overridden(layer) else _plain(layer)


@functools.singledispatch
def _plain(layer: keras.layers.Layer) -> keras.layers.Layer | None:
    return None


@_plain.register
def _(layer: GroupNorm) -> keras.layers.Layer:
    config = _config(layer, without=("channels_per_group",))
    config["groups"] = layer.group_count
    return _made(keras.layers.GroupNormalization, config, layer, layer.get_weights())


@_plain.register
def _(layer: FusedBatchNorm) -> keras.layers.Layer:
    return _made(layer.stands_for, layer.get_config(), layer, layer.get_weights())


@_plain.register
def _(layer: FrozenBatchNorm) -> keras.layers.Layer:
    config = {**layer.get_config(), "trainable": False}
    return _made(keras.layers.BatchNormalization, config, layer, layer.get_weights())


@_plain.register
def _(layer: LpBatchNorm) -> keras.layers.Layer:
    *weights, scale = layer.get_weights()
    # Keras divides by sqrt(variance + epsilon), and the scale is never below sqrt(epsilon).
    variance = np.maximum(scale**2 - layer.epsilon, 0)
    config = _config(layer, without=("p",))
    return _made(keras.layers.BatchNormalization, config, layer, [*weights, variance])


@_plain.register
def _(layer: NoisyBatchNorm) -> keras.layers.Layer:
    config = _config(layer, without=("max_shift", "max_scale", "spread", "seed"))
    return _made(keras.layers.BatchNormalization, config, layer, layer.get_weights())


@_plain.register
def _(layer: StandardizedConv) -> keras.layers.Layer:
    kernel, *bias = layer.get_weights()
    config = _config(layer, without=("epsilon",))
    weights = [keras.ops.convert_to_numpy(layer.standardize(kernel)), *bias]
    return _made(_CONVOLUTIONS[type(layer)], config, layer, weights)


def _config(layer: keras.layers.Layer, *, without: Sequence[str]) -> dict[str, Any]:
    return {key: value for key, value in layer.get_config().items() if key not in without}


def _made(
    kind: type[keras.layers.Layer],
    config: dict[str, Any],
    like: keras.layers.Layer,
    weights: list[np.ndarray],
) -> keras.layers.Layer:
    layer = kind.from_config(config)
    layer.build(like.get_build_config()["input_shape"])
    layer.set_weights(weights)
    return layer
