"""Other versions of the layer before a norm: with standardized weights, without, with a bias."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras

from tfticket.introspection import computes_as
from tfticket.norms.graph import LINEAR_LAYERS, unmasked
from tfticket.norms.layers.convolution import StandardizedConv, standardized
from tfticket.remaking import remade
from tfticket.sparsity.wrapper import Masked

_CONVOLUTIONS = (keras.layers.Conv1D, keras.layers.Conv2D, keras.layers.Conv3D)


def rebuilt(layer: keras.Layer, change: Callable[[keras.Layer], keras.Layer]) -> keras.Layer:
    """What `change` makes of a layer; of the one inside, when it has a mask."""
    if not isinstance(layer, Masked):
        return change(layer)
    config = {**layer.get_config(), "layer": change(layer.layer)}
    return Masked(**config)


def can_standardize(operation: Any) -> bool:
    """Whether it is a plain convolution, with a mask or without."""
    return type(unmasked(operation)) in _CONVOLUTIONS


def is_standardized(operation: Any) -> bool:
    """Whether it is a convolution with standardized weights, with a mask or without."""
    return computes_as(unmasked(operation), StandardizedConv)


def lacks_bias(operation: Any) -> bool:
    """Whether it could have a bias by channel, but has none."""
    layer = unmasked(operation)
    return computes_as(layer, LINEAR_LAYERS) and not layer.use_bias


def with_standardized_weights(layer: keras.Layer) -> keras.Layer:
    """The same convolution, not built, with standardized weights."""
    return rebuilt(layer, standardized)


def with_plain_weights(layer: keras.Layer) -> keras.Layer:
    """The convolution of Keras that a standardized one is a child of, not built."""

    def change(conv: keras.Layer) -> keras.Layer:
        kind = next(kind for kind in _CONVOLUTIONS if isinstance(conv, kind))
        return remade(conv, kind=kind, without=("epsilon",))

    return rebuilt(layer, change)


def with_bias(layer: keras.Layer) -> keras.Layer:
    """The same layer, not built, with a bias."""
    return rebuilt(layer, lambda old: remade(old, use_bias=True))


def copy_masks(old: keras.Layer, new: keras.Layer) -> None:
    """Gives a layer the masks of the one that it stands for, if that has any."""
    if isinstance(old, Masked):
        new.set_masks({key: mask.numpy() for key, mask in old.masks.items()})
