"""Keras layers in place of those of this package, for files that load without tfticket."""

from __future__ import annotations

import keras
import numpy as np

from tfticket.introspection import overridden
from tfticket.norms.layers.batch import FrozenBatchNorm, LpBatchNorm, NoisyBatchNorm
from tfticket.norms.layers.convolution import (
    StandardizedConv,
    StandardizedConv1D,
    StandardizedConv2D,
    StandardizedConv3D,
)
from tfticket.norms.layers.fused import FusedBatchNorm
from tfticket.norms.layers.group import GroupNorm

_PLAIN: dict[type[keras.layers.Layer], type[keras.layers.Layer]] = {
    FusedBatchNorm: keras.layers.BatchNormalization,
    FrozenBatchNorm: keras.layers.BatchNormalization,
    LpBatchNorm: keras.layers.BatchNormalization,
    NoisyBatchNorm: keras.layers.BatchNormalization,
    GroupNorm: keras.layers.GroupNormalization,
    StandardizedConv1D: keras.layers.Conv1D,
    StandardizedConv2D: keras.layers.Conv2D,
    StandardizedConv3D: keras.layers.Conv3D,
}
_OWN_ARGUMENTS: dict[type[keras.layers.Layer], tuple[str, ...]] = {
    GroupNorm: ("channels_per_group",),
    LpBatchNorm: ("p",),
    NoisyBatchNorm: ("max_shift", "max_scale", "spread", "seed"),
    StandardizedConv: ("epsilon",),
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
    kind = next((plain for own, plain in _PLAIN.items() if isinstance(layer, own)), None)
    if kind is None or overridden(layer):
        return None
    config, weights = layer.get_config(), layer.get_weights()
    for own, arguments in _OWN_ARGUMENTS.items():
        if isinstance(layer, own):
            config = {key: value for key, value in config.items() if key not in arguments}
    if isinstance(layer, GroupNorm):
        config["groups"] = layer.group_count
    elif isinstance(layer, FrozenBatchNorm):
        config["trainable"] = False
    elif isinstance(layer, LpBatchNorm):
        # Keras divides by sqrt(variance + epsilon), and the scale is never below sqrt(epsilon).
        weights[-1] = np.maximum(weights[-1] ** 2 - layer.epsilon, 0)
    elif isinstance(layer, StandardizedConv):
        weights[0] = keras.ops.convert_to_numpy(layer.standardize(weights[0]))
    made = kind.from_config(config)
    made.build(layer.get_build_config()["input_shape"])
    made.set_weights(weights)
    return made
