"""Normalizations by name, with the defaults of the papers; and the names of existing layers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import keras

from tfticket.errors import ModelError
from tfticket.introspection import computes_as, overridden
from tfticket.norms.layers.batch import FrozenBatchNorm, LpBatchNorm, NoisyBatchNorm
from tfticket.norms.layers.channels import ChannelNorm
from tfticket.norms.layers.fused import FusedBatchNorm
from tfticket.norms.layers.group import GroupNorm
from tfticket.norms.layers.response import FilterResponseNorm
from tfticket.state import named_layers
from tfticket.wording import did_you_mean

# The constants of PyTorch, which the reference runs of the papers had. Keras' own epsilon of 1e-3
# makes weak activations weaker, and its momentum of 0.99 needs some hundred steps before the moving
# statistics are of use.
_EPSILON = {"epsilon": 1e-5}
_MOVING = {"momentum": 0.9, **_EPSILON}

# What any kind with `gamma` and `beta` takes, under Keras' names and with Keras' defaults.
_AFFINE = (
    "center", "scale", "beta_initializer", "gamma_initializer", "beta_regularizer",
    "gamma_regularizer", "beta_constraint", "gamma_constraint",
)  # fmt: skip
_ALWAYS = ("axis", "dtype", "trainable")
_NOISE = ("max_shift", "max_scale", "spread", "seed")


@dataclass(frozen=True)
class _Kind:
    """One line of the catalog.

    Attributes:
        make: The layer's class; None for no layer.
        fixed: Arguments that make it this kind.
        defaults: Options with a default of the catalog.
        options: Options with a default of the layer.
        standardizes_weights: Whether the convolutions before it must standardize their weights.
        needs_positions: Whether a single position, such as a dense layer's, becomes constant.
    """

    make: Callable[..., keras.Layer] | None
    fixed: Mapping[str, Any] = field(default_factory=dict)
    defaults: Mapping[str, Any] = field(default_factory=dict)
    options: tuple[str, ...] = _AFFINE
    standardizes_weights: bool = False
    needs_positions: bool = False


_BATCH = keras.layers.BatchNormalization
_GROUPS = (*_AFFINE, "groups", "channels_per_group")
_KINDS: dict[str, _Kind] = {
    "none": _Kind(None, options=()),
    # Ioffe & Szegedy, arXiv:1502.03167. Keras' layer, computed by the fused kernel.
    "batch": _Kind(FusedBatchNorm, defaults=_MOVING),
    # Ioffe, arXiv:1702.03275. Its clips are widened by hand in the course of training; constant
    # ones are those of Wu & He, arXiv:1803.08494, section 4.1.
    "batch_renorm": _Kind(
        _BATCH,
        fixed={"renorm": True},
        defaults={
            **_MOVING,
            "renorm_clipping": {"rmax": 1.5, "rmin": 1 / 1.5, "dmax": 0.5},
            "renorm_momentum": 0.9,
        },
    ),
    "frozen_batch": _Kind(FrozenBatchNorm, defaults=_EPSILON),
    # Statistics over all replicas of a strategy. Keras takes the variance as E[x^2] - E[x]^2 here.
    "sync_batch": _Kind(_BATCH, fixed={"synchronized": True}, defaults=_MOVING),
    # Wu & He, arXiv:1803.08494. Without a number: up to 32 groups (table 3) of 4 channels or more.
    "group": _Kind(GroupNorm, defaults=_EPSILON, options=_GROUPS),
    # Ba et al., arXiv:1607.06450, over height, width and channels, as Wu & He's figure 2 has it.
    # Keras' LayerNormalization would take each pixel by itself.
    "layer": _Kind(GroupNorm, fixed={"groups": 1}, defaults=_EPSILON),
    # Ulyanov et al., arXiv:1607.08022: each channel of each example.
    "instance": _Kind(
        GroupNorm, fixed={"channels_per_group": 1}, defaults=_EPSILON, needs_positions=True
    ),
    # Zhang & Sennrich, arXiv:1910.07467: each position by itself, over its channels.
    "rms": _Kind(keras.layers.RMSNormalization, defaults=_EPSILON, options=()),
    # Singh & Krishnan, arXiv:1911.09737. The threshold replaces an activation; a layer that takes
    # the place of another norm has its own activation behind it.
    "filter_response": _Kind(
        FilterResponseNorm, defaults={"epsilon": 1e-6, "threshold": False, "learn_epsilon": False}
    ),
    # Qiao et al., arXiv:1903.10520: group normalization behind standardized weights.
    "ws_group": _Kind(GroupNorm, defaults=_EPSILON, options=_GROUPS, standardizes_weights=True),
    # Santurkar et al., arXiv:1805.11604, section 3.3 and algorithm 1.
    "l1_batch": _Kind(LpBatchNorm, fixed={"p": 1}, defaults=_MOVING),
    "l2_batch": _Kind(LpBatchNorm, fixed={"p": 2}, defaults=_MOVING),
    "linf_batch": _Kind(LpBatchNorm, fixed={"p": "inf"}, defaults=_MOVING),
    "noisy_batch": _Kind(NoisyBatchNorm, defaults=_MOVING, options=(*_AFFINE, *_NOISE)),
}


def norm_layer(
    kind: str, channels: int, *, name: str | None = None, **options: Any
) -> keras.Layer | None:
    """Build a normalization layer by name.

    Args:
        kind: A key of `NORMS`.
        channels: Number of channels of its inputs, at least 1.
        name: The layer's name.
        **options: Those of `options_of(kind)`, by Keras' names for them. The defaults are those of
            the papers: epsilon 1e-5 (1e-6 for `filter_response`), momentum 0.9, up to 32 groups of
            4 channels or more.

    Returns:
        The layer, not built yet; None for the kind "none".

    Raises:
        ModelError: for a kind or an option that doesn't exist, or a value out of its range.

    Example:
        >>> norm_layer("group", 64, groups=8, name="norm").groups
        8
    """
    return Norm(kind, options).layer(channels, name=name)


def options_of(kind: str) -> tuple[str, ...]:
    """Return the names of the options of a kind, sorted.

    Raises:
        ModelError: for a kind that doesn't exist.
    """
    return Norm(kind).known_options


@dataclass(frozen=True)
class Norm:
    """A kind of normalization with its options, for the `norm` of many layers.

    Attributes:
        kind: A key of `NORMS`.
        options: As for `norm_layer`.

    Raises:
        ModelError: for a kind or an option that doesn't exist.

    Example:
        >>> norm = Norm("group", {"channels_per_group": 16})
        >>> norm("norm1", 64).name
        'norm1'
    """

    kind: str
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        known = self.known_options
        for option in self.options:
            if option not in known:
                raise ModelError(
                    f"The options of the norm {self.kind!r} are {', '.join(known) or 'none'}. "
                    f"Received: {option!r}.{did_you_mean(option, known)}"
                )

    @property
    def known_options(self) -> tuple[str, ...]:
        """The names of the options of the kind, sorted."""
        entry = _find(self.kind)
        if entry.make is None:
            return ()
        return tuple(sorted({*entry.options, *entry.defaults, *_ALWAYS}))

    @property
    def standardizes_weights(self) -> bool:
        """True if the convolutions in front of it must become `standardized` ones."""
        return _KINDS[self.kind].standardizes_weights

    @property
    def needs_positions(self) -> bool:
        """True if it needs more than one position; behind a dense layer it is constant."""
        return _KINDS[self.kind].needs_positions

    def layer(self, channels: int, *, name: str | None = None) -> keras.Layer | None:
        """Build a layer for a number of channels; None for the kind "none"."""
        if channels < 1:
            raise ModelError(f"`channels` must be at least 1. Received: channels={channels}.")
        entry = _KINDS[self.kind]
        if entry.make is None:
            return None
        return entry.make(name=name, **{**entry.fixed, **entry.defaults, **self.options})

    def __call__(self, name: str, channels: int) -> keras.Layer | None:
        """Build a layer, with the arguments of a `NormFactory`."""
        return self.layer(channels, name=name)


def _find(kind: str) -> _Kind:
    if kind not in _KINDS:
        raise ModelError(
            f"A norm must be one of {', '.join(_KINDS)}. Received: {kind!r}."
            f"{did_you_mean(kind, _KINDS)}"
        )
    return _KINDS[kind]


NORMS: dict[str, Norm] = {kind: Norm(kind) for kind in _KINDS}
"""Every kind by name, with its defaults."""


_LAYERS = (
    keras.layers.BatchNormalization,
    keras.layers.GroupNormalization,
    keras.layers.LayerNormalization,
    keras.layers.RMSNormalization,
    ChannelNorm,
)


def is_norm(layer: keras.Layer) -> bool:
    """Return whether a layer is a norm of Keras or of this library, or a child that computes so.

    See `own_norms` for children that override what their parent computes.
    """
    return computes_as(layer, _LAYERS)


def own_norms(model: keras.Model) -> dict[str, str]:
    """Return the reason why a child of a norm isn't treated as one, by its key in a model."""
    found = {}
    for key, layer in named_layers(model).items():
        names = ", ".join(f"`{name}`" for name in overridden(layer))
        if names and isinstance(layer, _LAYERS):
            parent = next(kind for kind in type(layer).__mro__ if kind in _LAYERS)
            found[key] = (
                f"its class {type(layer).__name__} overrides {names} of {parent.__name__}, so that "
                "what it computes isn't known"
            )
    return found


def kind_of(layer: keras.Layer) -> str:
    """Return the kind of a built layer; the name of its class if the catalog has no such kind.

    So Keras' LayerNormalization is `LayerNormalization`: it normalizes each position by itself,
    while the kind `layer` normalizes over positions too. An Identity is `none`, and group
    normalization is `group` whether or not the weights before it are standardized. A child that
    overrides what its parent computes is called by its class.
    """
    if overridden(layer):
        return type(layer).__name__
    if isinstance(layer, keras.layers.Identity):
        return "none"
    if isinstance(layer, NoisyBatchNorm):
        return "noisy_batch"
    if isinstance(layer, keras.layers.BatchNormalization):
        synchronized = "sync_batch" if layer.synchronized else "batch"
        return "batch_renorm" if layer.renorm else synchronized
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


def axis_of(layer: keras.Layer) -> int:
    """Return the axis of a norm's channels; the last one for a norm over several axes."""
    axis = layer.get_config().get("axis", -1)
    return int(axis[-1] if isinstance(axis, (list, tuple)) else axis)


def channels_of(layer: keras.Layer) -> int:
    """Return the number of channels of a built norm."""
    return int(layer.get_build_config()["input_shape"][axis_of(layer)])


def groups_of(layer: keras.Layer) -> int | None:
    """Return the number of groups of a built group norm; None for other layers."""
    if isinstance(layer, GroupNorm):
        return layer.group_count
    return int(layer.groups) if isinstance(layer, keras.layers.GroupNormalization) else None
