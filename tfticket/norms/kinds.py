"""Which normalization a layer is, in the words of the catalog."""

from __future__ import annotations

import keras

from tfticket.introspection import computes_as, overridden
from tfticket.norms.layers.batch import FrozenBatchNorm, LpBatchNorm
from tfticket.norms.layers.channels import ChannelNorm
from tfticket.norms.layers.group import GroupNorm
from tfticket.norms.layers.noise import NoisyBatchNorm
from tfticket.norms.layers.response import FilterResponseNorm

_LAYERS = (
    keras.layers.BatchNormalization,
    keras.layers.GroupNormalization,
    keras.layers.LayerNormalization,
    keras.layers.RMSNormalization,
    ChannelNorm,
)


def is_norm(layer: keras.Layer) -> bool:
    """Whether a layer normalizes its inputs, as one of Keras or of this library does.

    So does a child of one, unless it overrides what its parent computes; see `why_unknown`.
    """
    return computes_as(layer, _LAYERS)


def why_unknown(layer: keras.Layer) -> str | None:
    """Why a child of a norm isn't treated as one, in words; None for any other layer."""
    names = ", ".join(f"`{name}`" for name in overridden(layer))
    if not names or not isinstance(layer, _LAYERS):
        return None
    parent = next(kind for kind in type(layer).__mro__ if kind in _LAYERS)
    return (
        f"its class {type(layer).__name__} overrides {names} of {parent.__name__}, so that what it "
        "computes isn't known"
    )


def kind_of(layer: keras.Layer) -> str:
    """The kind of a built layer; its class's name when the catalog has no such kind.

    So Keras' LayerNormalization is `LayerNormalization`: it takes each position by itself, while
    the kind `layer` normalizes over positions too. What stands in for no norm is `none`, and group
    normalization is `group` whether or not the weights before it are standardized. A child that
    overrides what its parent computes has its own name.
    """
    if overridden(layer):
        return type(layer).__name__
    if isinstance(layer, keras.layers.Identity):
        return "none"
    if isinstance(layer, NoisyBatchNorm):
        return "noisy_batch"
    if isinstance(layer, keras.layers.BatchNormalization):
        return _batch_kind(layer)
    if isinstance(layer, LpBatchNorm):
        return f"l{layer.p}_batch"
    if isinstance(layer, (GroupNorm, keras.layers.GroupNormalization)):
        groups = groups_of(layer)
        if groups == 1:
            return "layer"
        return "instance" if groups == channels_of(layer) else "group"
    by_class: dict[type, str] = {
        FrozenBatchNorm: "frozen_batch",
        FilterResponseNorm: "filter_response",
        keras.layers.RMSNormalization: "rms",
    }
    return by_class.get(type(layer), type(layer).__name__)


def _batch_kind(layer: keras.layers.BatchNormalization) -> str:
    if layer.renorm:
        return "batch_renorm"
    return "sync_batch" if layer.synchronized else "batch"


def axis_of(layer: keras.Layer) -> int:
    """The axis of a norm's channels; the last of them for a norm over several axes."""
    axis = layer.get_config().get("axis", -1)
    return int(axis[-1] if isinstance(axis, (list, tuple)) else axis)


def channels_of(layer: keras.Layer) -> int:
    """How many channels a built norm sees."""
    return int(layer.get_build_config()["input_shape"][axis_of(layer)])


def groups_of(layer: keras.Layer) -> int | None:
    """Into how many groups a built group norm divides its channels; None for other layers."""
    if isinstance(layer, GroupNorm):
        return layer.group_count
    return int(layer.groups) if isinstance(layer, keras.layers.GroupNormalization) else None
