"""Other versions of the layer before a norm: with standardized weights, without, with a bias."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras

from tfticket.cloning import copy_layer
from tfticket.norms.graph import LINEAR_LAYERS, unmasked
from tfticket.norms.layers.convolution import StandardizedConv, standardized
from tfticket.sparsity.wrapper import Masked

_CONVOLUTIONS = (keras.layers.Conv1D, keras.layers.Conv2D, keras.layers.Conv3D)


def rebuilt(layer: keras.Layer, change: Callable[[keras.Layer], keras.Layer]) -> keras.Layer:
    """What `change` makes of a layer; of the one inside, when it has a mask."""
    if not isinstance(layer, Masked):
        return change(layer)
    copy = copy_layer(layer)
    return Masked(change(layer.layer), skip=copy.skip, name=copy.name, dtype=copy.dtype_policy)


def can_standardize(operation: Any) -> bool:
    """Whether it is a plain convolution, with a mask or without."""
    return type(unmasked(operation)) in _CONVOLUTIONS


def is_standardized(operation: Any) -> bool:
    """Whether it is a convolution with standardized weights, with a mask or without."""
    return isinstance(unmasked(operation), StandardizedConv)


def lacks_bias(operation: Any) -> bool:
    """Whether it could have a bias by channel, but has none."""
    layer = unmasked(operation)
    return isinstance(layer, LINEAR_LAYERS) and not layer.use_bias


def with_standardized_weights(layer: keras.Layer) -> keras.Layer:
    """The same convolution, not built, with standardized weights."""
    return rebuilt(layer, standardized)


def with_plain_weights(layer: keras.Layer) -> keras.Layer:
    """The convolution of Keras that a standardized one is a child of, not built."""

    def change(conv: keras.Layer) -> keras.Layer:
        kind = next(kind for kind in _CONVOLUTIONS if isinstance(conv, kind))
        config = conv.get_config()
        del config["epsilon"]
        return kind.from_config(config)

    return rebuilt(layer, change)


def with_bias(layer: keras.Layer) -> keras.Layer:
    """The same layer, not built, with a bias."""
    return rebuilt(layer, lambda old: type(old).from_config({**old.get_config(), "use_bias": True}))


def copy_masks(old: keras.Layer, new: keras.Layer) -> None:
    """Gives a layer the masks of the one that it stands for, if that has any."""
    if isinstance(old, Masked):
        new.set_masks({key: mask.numpy() for key, mask in old.masks.items()})
