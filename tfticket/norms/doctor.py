"""`diagnose`: known mistakes in the normalization of a model, and their remedies."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import keras
import numpy as np

from tfticket.errors import ModelError
from tfticket.internals import get_keras_mask
from tfticket.introspection import computes_as
from tfticket.layer_kinds import LINEAR
from tfticket.norms.catalog import axis_of, groups_of, is_norm, kind_of, own_norms
from tfticket.norms.graph import Graph, unmasked
from tfticket.norms.layers.batch import FrozenBatchNorm
from tfticket.norms.layers.response import FilterResponseNorm
from tfticket.state import named_layers, named_variables
from tfticket.statistics import normalizes_by_batch

Severity = Literal["error", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")
_LARGEST_ERROR = 0.1  # of a batch's variance, relative
_KERAS_EPSILON, _KERAS_MOMENTUM = 1e-3, 0.99
_GROUP_NORM = "Wu & He, arXiv:1803.08494"


@dataclass(frozen=True)
class Finding:
    """A mistake, or a likely one.

    Attributes:
        code: Name for programs: `small-batch`.
        severity: `error` if it can't work, `warning` if it is likely to do harm, else `note`.
        layers: Keys of the layers concerned.
        what: Description in a sentence.
        remedy: What to do, in a line.
        reference: Source; empty for the behavior of Keras.
    """

    code: str
    severity: Severity
    layers: tuple[str, ...]
    what: str
    remedy: str
    reference: str = ""


def diagnose(model: keras.Model, *, batch_size: int | None = None) -> list[Finding]:
    """Check a model's normalization for known mistakes.

    Nothing is run and nothing changed. Of a subclassed model only the norms are checked, not their
    place in the graph.

    Args:
        model: A built model of any class.
        batch_size: Examples in a batch of training on one device; None skips the checks that depend
            on it.

    Returns:
        The findings, the worst first.

    Raises:
        ModelError: when the model isn't built, or `batch_size` is below 1.

    Example:
        >>> from tfticket.models import lenet_300_100
        >>> model = lenet_300_100((4,), 3, norm="batch")
        >>> [(finding.code, finding.severity) for finding in diagnose(model, batch_size=2)]
        [('small-batch', 'warning')]
    """
    if batch_size is not None and batch_size < 1:
        raise ModelError(f"`batch_size` must be at least 1. Received: batch_size={batch_size}.")
    named_variables(model)  # raises if there are none yet
    norms = list(_norms(model))
    apart = "put what it does beside normalizing into a layer of its own"
    found = [
        Finding("own-norm", "note", (key,), f"Not checked: {why}.", apart)
        for key, why in own_norms(model).items()
    ]
    found += [] if batch_size is None else _small_batches(norms, batch_size)
    for rule in _RULES:
        if keys := tuple(norm.key for norm in norms if rule.applies(norm)):
            found.append(
                Finding(rule.code, rule.severity, keys, rule.what, rule.remedy, rule.reference)
            )
    return sorted(found, key=lambda finding: SEVERITIES.index(finding.severity))


@dataclass(frozen=True)
class _PlacedNorm:
    """A built norm and its place in the graph.

    Attributes:
        key: Its key in the model.
        layer: The layer.
        kind: See `kind_of`.
        channels: Number of channels.
        positions: Numbers of a channel in an example; None if that isn't fixed.
        before: The operations that output its input, as far as they are in a graph.
        read_alone: Whether nothing else reads their outputs.
        masked: Whether an input has a mask.
        training: The `training` argument of its calls, and of the calls of models that it is in,
            if there is a graph.
    """

    key: str
    layer: Any
    kind: str
    channels: int
    positions: int | None
    before: tuple[Any, ...]
    read_alone: bool
    masked: bool
    training: tuple[Any, ...]

    @property
    def by_batch(self) -> bool:
        """True if it uses statistics of the batch in training."""
        return normalizes_by_batch(self.layer)

    @property
    def group_size(self) -> int | None:
        """Numbers that are normalized together by a group norm; None if unknown."""
        groups = groups_of(self.layer)
        return self.positions * (self.channels // groups) if self.positions and groups else None


def _norms(model: keras.Model) -> Iterator[_PlacedNorm]:
    graph = Graph(model)
    for key, layer in named_layers(model).items():
        if is_norm(layer) and layer.built:
            shape = tuple(layer.get_build_config()["input_shape"])
            axis = axis_of(layer) % len(shape)
            sizes = [size for place, size in enumerate(shape) if place not in (0, axis)]
            before = tuple(graph.before(layer))
            yield _PlacedNorm(
                key=key,
                layer=layer,
                kind=kind_of(layer),
                channels=int(shape[axis]),
                positions=None if None in sizes else math.prod(sizes),
                before=before,
                read_alone=all(len(graph.after(source)) == 1 for source in before),
                masked=any(get_keras_mask(x) is not None for x in graph.inputs(layer)),
                training=tuple(graph.arguments_around(layer, "training")),
            )


def _small_batches(norms: Sequence[_PlacedNorm], batch_size: int) -> Iterator[Finding]:
    """Find statistics of so few numbers that they are mostly noise.

    The variance of m independent normal numbers has a relative standard error of
    `sqrt(2 / (m - 1))`; neighboring positions of an image aren't independent, so it is larger.
    """
    counts = {n.key: batch_size * n.positions for n in norms if n.by_batch and n.positions}
    errors = {key: math.sqrt(2 / (count - 1)) for key, count in counts.items() if count > 1}
    noisy = {key: error for key, error in errors.items() if error > _LARGEST_ERROR}
    if single := tuple(key for key, count in counts.items() if count == 1):
        yield Finding(
            "one-number", "error", single,
            "A batch holds one number of each channel, so training normalizes it to 0.",
            "use batches of 16 or more, or swap to a norm that needs no batch: --to layer",
        )  # fmt: skip
    if noisy:
        worst = max(noisy, key=lambda key: noisy[key])
        yield Finding(
            "small-batch", "warning", tuple(noisy),
            f"With {batch_size} examples a batch, variances are off by {noisy[worst]:.0%} or more "
            f"({worst}: {counts[worst]} numbers of each channel).",
            "use larger batches, or swap to a norm that needs no batch: --to group",
            f"{_GROUP_NORM}, figure 1; standard error sqrt(2 / (m - 1))",
        )  # fmt: skip


def _normalizes_nothing(norm: _PlacedNorm) -> bool:
    """Return whether it is frozen on the statistics that it began with."""
    kinds = (keras.layers.BatchNormalization, FrozenBatchNorm)
    if not isinstance(norm.layer, kinds) or norm.by_batch:
        return False
    mean, variance = norm.layer.moving_mean.numpy(), norm.layer.moving_variance.numpy()
    return not np.any(mean) and bool(np.all(variance == 1))


def _has_plain_bias(operation: Any) -> bool:
    layer = unmasked(operation)
    if not computes_as(layer, LINEAR) or not layer.use_bias:
        return False
    return layer.activation is None or layer.activation is keras.activations.linear


def _is_frozen(operation: Any) -> bool:
    layer = unmasked(operation)
    return computes_as(layer, LINEAR) and not layer.trainable


def _is_keras_group(norm: _PlacedNorm) -> bool:
    return isinstance(norm.layer, keras.layers.GroupNormalization)


@dataclass(frozen=True)
class _Rule:
    """A known mistake that depends on one norm and its place; see `Finding`."""

    code: str
    severity: Severity
    applies: Callable[[_PlacedNorm], bool]
    what: str
    remedy: str
    reference: str = ""


_RULES = (
    _Rule(
        "one-number-a-group", "error", lambda norm: norm.group_size == 1,
        "Each group is one number, so the output is the shift, whatever the input.",
        "ask for fewer groups: channels_per_group=16",
    ),
    _Rule(
        "two-numbers-a-group", "warning", lambda norm: norm.group_size == 2,
        "Each group is two numbers, so only which one is larger gets through.",
        "ask for fewer groups: channels_per_group=16",
    ),
    _Rule(
        "one-position", "warning",
        lambda norm: isinstance(norm.layer, FilterResponseNorm) and norm.positions == 1
        and not norm.layer.learn_epsilon,
        "Each channel is one number, so little but its sign gets through.",
        "learn_epsilon=True, or another norm there",
        "Singh & Krishnan, arXiv:1911.09737, section 3.1",
    ),
    _Rule(
        "frozen-untrained", "error", _normalizes_nothing,
        "It is frozen on the statistics that it began with (0 and 1), so it normalizes nothing.",
        "load trained weights, or let it train: layer.trainable = True",
    ),
    _Rule(
        "training-argument", "warning",
        lambda norm: norm.by_batch and any(training is False for training in norm.training),
        "It was called with training=False, or a model that it is in, but Keras 3 overrides that "
        "in `fit`: it trains.",
        "freeze it: layer.trainable = False",
    ),
    _Rule(
        "statistics-move", "warning",
        lambda norm: norm.by_batch and any(map(_is_frozen, norm.before)),
        "The layer before is frozen, but this norm isn't: its statistics go on moving.",
        "freeze both, or none",
    ),
    _Rule(
        "mask-ignored", "warning", lambda norm: norm.masked and _is_keras_group(norm),
        "The inputs have a mask, which Keras' GroupNormalization ignores: padding counts.",
        "swap to tfticket's, which heeds masks: --to group",
    ),
    _Rule(
        "mask-lost", "warning", lambda norm: norm.masked and not norm.layer.supports_masking,
        "The inputs have a mask, which this layer doesn't pass on: later layers don't see it.",
        "use a norm that does: --to layer, or Keras' LayerNormalization",
    ),
    _Rule(
        "half-statistics", "warning",
        lambda norm: norm.by_batch and norm.layer.variable_dtype in ("float16", "bfloat16"),
        "Moving statistics are kept in a half-precision type, where small updates are lost.",
        "use a mixed policy, which keeps variables in float32: dtype='mixed_float16'",
    ),
    _Rule(
        "groups-written-over", "note",
        lambda norm: _is_keras_group(norm) and norm.layer.groups == norm.channels,
        "Keras writes groups=-1 over with the number of channels when it builds the layer: a "
        "config taken from it doesn't fit other widths.",
        "swap to tfticket's, which keeps what was asked for: --to instance",
    ),
    _Rule(
        "dropout-before-norm", "warning",
        lambda norm: norm.by_batch
        and any(isinstance(layer, keras.layers.Dropout) for layer in norm.before),
        "Dropout right before it changes the variance in training only, so statistics don't fit "
        "at inference.",
        "put dropout behind the last norm, or recalibrate: tfticket.statistics.recalibrate",
        "Li et al., arXiv:1801.05134",
    ),
    _Rule(
        "bias-before-norm", "note",
        lambda norm: (norm.kind == "instance" or norm.by_batch) and norm.read_alone
        and any(map(_has_plain_bias, norm.before)),
        "The layer before has a bias, which normalization cancels.",
        "build that layer with use_bias=False",
        "Ioffe & Szegedy, arXiv:1502.03167, section 3.2",
    ),
    _Rule(
        "large-epsilon", "note",
        lambda norm: norm.layer.get_config().get("epsilon", 0) >= _KERAS_EPSILON,
        "Epsilon is 1e-3 or more, 100 times that of the papers: activations of standard deviation "
        "0.01 come out at 0.3, not 1.",
        "epsilon=1e-5, unless the weights were trained with this one",
        f"{_GROUP_NORM}, and the defaults of PyTorch",
    ),
    _Rule(
        "slow-statistics", "note",
        lambda norm: norm.by_batch and norm.layer.momentum >= _KERAS_MOMENTUM,
        "Momentum is 0.99 or more: after 100 steps moving statistics are still a third what they "
        "began with.",
        "momentum=0.9 for short training, or recalibrate: tfticket.statistics.recalibrate",
        "Wu & Johnson, arXiv:2105.07576, section 3",
    ),
)  # fmt: skip
