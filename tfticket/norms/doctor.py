"""`diagnose`: known mistakes in the normalization of a model, and their remedies."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import keras
import numpy as np

from tfticket.classes import computes_as
from tfticket.errors import ModelError
from tfticket.internals import get_keras_mask
from tfticket.norms.catalog import axis_of, groups_of, is_norm, kind_of, own_norms
from tfticket.norms.graph import LINEAR_LAYERS, Graph, unmasked
from tfticket.norms.layers.batch import FrozenBatchNorm
from tfticket.norms.layers.response import FilterResponseNorm
from tfticket.state import named_layers, named_variables
from tfticket.statistics import normalizes_by_batch

_LARGEST_ERROR = 0.1  # of a batch's variance, relative
_KERAS_EPSILON, _KERAS_MOMENTUM = 1e-3, 0.99
_GROUP_NORM = "Wu & He, arXiv:1803.08494"
Severity = Literal["error", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")


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


@dataclass(frozen=True)
class PlacedNorm:
    """A built norm and its place in the graph.

    Attributes:
        key: Its key in the model.
        layer: The layer.
        kind: See `kind_of`.
        channels: Number of channels.
        positions: Numbers of a channel in an example; None if that isn't fixed.
        before: The operations that output its input, as far as they are in a graph.
        read_alone: Whether nothing else reads their outputs.
        inputs: Its symbolic inputs, by call.
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
    inputs: tuple[Any, ...]
    training: tuple[Any, ...]

    @property
    def by_batch(self) -> bool:
        """Whether it uses statistics of the batch in training."""
        return normalizes_by_batch(self.layer)


Norms = Sequence[PlacedNorm]


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
    named_variables(model)  # says so when there are none yet
    norms = list(_norms(model))
    found = [
        Finding(
            "own-norm",
            "note",
            (key,),
            f"Not checked: {why}.",
            "put what it does beside normalizing into a layer of its own",
        )
        for key, why in own_norms(model).items()
    ]
    found += [] if batch_size is None else _small_batches(norms, batch_size)
    for check in CHECKS:
        found += check(norms)
    return sorted(found, key=lambda finding: SEVERITIES.index(finding.severity))


def _norms(model: keras.Model) -> Iterator[PlacedNorm]:
    graph = Graph(model)
    for key, layer in named_layers(model).items():
        if is_norm(layer) and layer.built:
            shape = tuple(layer.get_build_config()["input_shape"])
            axis = axis_of(layer) % len(shape)
            sizes = [size for place, size in enumerate(shape) if place not in (0, axis)]
            before = tuple(graph.before(layer))
            yield PlacedNorm(
                key=key,
                layer=layer,
                kind=kind_of(layer),
                channels=int(shape[axis]),
                positions=None if None in sizes else math.prod(sizes),
                before=before,
                read_alone=all(len(graph.after(source)) == 1 for source in before),
                inputs=tuple(graph.inputs(layer)),
                training=tuple(graph.arguments_around(layer, "training")),
            )


def _small_batches(norms: Norms, batch_size: int) -> Iterator[Finding]:
    """Find statistics of so few numbers that they are mostly noise.

    The variance of m independent normal numbers has a relative standard error of
    `sqrt(2 / (m - 1))`; neighboring positions of an image aren't independent, so it is larger.
    """
    counts = {n.key: batch_size * n.positions for n in norms if n.by_batch and n.positions}
    single = [key for key, count in counts.items() if count == 1]
    noisy = {
        key: math.sqrt(2 / (count - 1))
        for key, count in counts.items()
        if count > 1 and math.sqrt(2 / (count - 1)) > _LARGEST_ERROR
    }
    if single:
        yield Finding(
            "one-number", "error", tuple(single),
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


def _useless_bias(norms: Norms) -> Iterator[Finding]:
    """Find biases whose effect a norm cancels."""

    def useless(norm: PlacedNorm) -> bool:
        centers = norm.kind == "instance" or norm.by_batch
        return centers and norm.read_alone and any(_has_plain_bias(op) for op in norm.before)

    yield from _found(
        "bias-before-norm", "note", filter(useless, norms),
        "The layer before has a bias, which normalization cancels.",
        "build that layer with use_bias=False",
        "Ioffe & Szegedy, arXiv:1502.03167, section 3.2",
    )  # fmt: skip


def _has_plain_bias(operation: Any) -> bool:
    layer = unmasked(operation)
    if not computes_as(layer, LINEAR_LAYERS) or not layer.use_bias:
        return False
    return layer.activation is None or layer.activation is keras.activations.linear


def _constants(norms: Norms) -> Iterator[Finding]:
    """Find defaults of Keras that aren't those of the papers."""
    with_epsilon = [n for n in norms if n.layer.get_config().get("epsilon", 0) >= _KERAS_EPSILON]
    yield from _found(
        "large-epsilon", "note", with_epsilon,
        "Epsilon is 1e-3 or more, 100 times that of the papers: activations of standard deviation "
        "0.01 come out at 0.3, not 1.",
        "epsilon=1e-5, unless the weights were trained with this one",
        f"{_GROUP_NORM}, and the defaults of PyTorch",
    )  # fmt: skip
    slow = [n for n in norms if n.by_batch and n.layer.momentum >= _KERAS_MOMENTUM]
    yield from _found(
        "slow-statistics", "note", slow,
        "Momentum is 0.99 or more: after 100 steps moving statistics are still a third what they "
        "began with.",
        "momentum=0.9 for short training, or recalibrate: tfticket.statistics.recalibrate",
        "Wu & Johnson, arXiv:2105.07576, section 3",
    )  # fmt: skip


def _too_few_to_normalize(norms: Norms) -> Iterator[Finding]:
    """Find groups, or positions, of one or two numbers."""
    sizes = {
        norm.key: norm.positions * (norm.channels // groups)
        for norm in norms
        if norm.positions and (groups := groups_of(norm.layer))
    }
    yield from _found(
        "one-number-a-group", "error", [n for n in norms if sizes.get(n.key) == 1],
        "Each group is one number, so the output is the shift, whatever the input.",
        "ask for fewer groups: channels_per_group=16",
    )  # fmt: skip
    yield from _found(
        "two-numbers-a-group", "warning", [n for n in norms if sizes.get(n.key) == 2],
        "Each group is two numbers, so only which one is larger gets through.",
        "ask for fewer groups: channels_per_group=16",
    )  # fmt: skip
    positionless = [
        norm
        for norm in norms
        if isinstance(norm.layer, FilterResponseNorm) and norm.positions == 1
        if not norm.layer.learn_epsilon
    ]
    yield from _found(
        "one-position", "warning", positionless,
        "Each channel is one number, so little but its sign gets through.",
        "learn_epsilon=True, or another norm there",
        "Singh & Krishnan, arXiv:1911.09737, section 3.1",
    )  # fmt: skip


def _ignored_masks(norms: Norms) -> Iterator[Finding]:
    """Find padding that counts in statistics, or in later layers."""
    masked = [n for n in norms if any(get_keras_mask(x) is not None for x in n.inputs)]
    yield from _found(
        "mask-ignored", "warning",
        [n for n in masked if isinstance(n.layer, keras.layers.GroupNormalization)],
        "The inputs have a mask, which Keras' GroupNormalization ignores: padding counts.",
        "swap to tfticket's, which heeds masks: --to group",
    )  # fmt: skip
    yield from _found(
        "mask-lost", "warning", [n for n in masked if not n.layer.supports_masking],
        "The inputs have a mask, which this layer doesn't pass on: later layers don't see it.",
        "use a norm that does: --to layer, or Keras' LayerNormalization",
    )  # fmt: skip


def _frozen(norms: Norms) -> Iterator[Finding]:
    """Find norms that train when they seem frozen, or the other way round."""
    constant = [
        norm
        for norm in norms
        if isinstance(norm.layer, (keras.layers.BatchNormalization, FrozenBatchNorm))
        and not norm.by_batch
    ]
    untouched = [norm for norm in constant if _has_initial_statistics(norm.layer)]
    yield from _found(
        "frozen-untrained", "error", untouched,
        "It is frozen on the statistics that it began with (0 and 1), so it normalizes nothing.",
        "load trained weights, or let it train: layer.trainable = True",
    )  # fmt: skip
    yield from _found(
        "training-argument", "warning",
        [n for n in norms if n.by_batch and any(t is False for t in n.training)],
        "It was called with training=False, or a model that it is in, but Keras 3 overrides that "
        "in `fit`: it trains.",
        "freeze it: layer.trainable = False",
    )  # fmt: skip
    yield from _found(
        "statistics-move", "warning",
        [n for n in norms if n.by_batch and any(_is_frozen(op) for op in n.before)],
        "The layer before is frozen, but this norm isn't: its statistics go on moving.",
        "freeze both, or none",
    )  # fmt: skip


def _has_initial_statistics(layer: Any) -> bool:
    mean, variance = layer.moving_mean.numpy(), layer.moving_variance.numpy()
    return not np.any(mean) and bool(np.all(variance == 1))


def _is_frozen(operation: Any) -> bool:
    layer = unmasked(operation)
    return computes_as(layer, LINEAR_LAYERS) and not layer.trainable


def _precision(norms: Norms) -> Iterator[Finding]:
    """Find statistics in half precision."""
    half = [n for n in norms if n.by_batch and n.layer.variable_dtype in ("float16", "bfloat16")]
    yield from _found(
        "half-statistics", "warning", half,
        "Moving statistics are kept in a half-precision type, where small updates are lost.",
        "use a mixed policy, which keeps variables in float32: dtype='mixed_float16'",
    )  # fmt: skip


def _pitfalls(norms: Norms) -> Iterator[Finding]:
    """Find other known pitfalls."""
    every = [
        norm
        for norm in norms
        if isinstance(norm.layer, keras.layers.GroupNormalization)
        and norm.layer.groups == norm.channels
    ]
    yield from _found(
        "groups-written-over", "note", every,
        "Keras writes groups=-1 over with the number of channels when it builds the layer: a "
        "config taken from it doesn't fit other widths.",
        "swap to tfticket's, which keeps what was asked for: --to instance",
    )  # fmt: skip
    shifted = [
        norm
        for norm in norms
        if norm.by_batch and any(isinstance(op, keras.layers.Dropout) for op in norm.before)
    ]
    yield from _found(
        "dropout-before-norm", "warning", shifted,
        "Dropout right before it changes the variance in training only, so statistics don't fit "
        "at inference.",
        "put dropout behind the last norm, or recalibrate: tfticket.statistics.recalibrate",
        "Li et al., arXiv:1801.05134",
    )  # fmt: skip


CHECKS: tuple[Callable[[Norms], Iterable[Finding]], ...] = (
    _too_few_to_normalize,
    _frozen,
    _ignored_masks,
    _precision,
    _pitfalls,
    _useless_bias,
    _constants,
)
"""Checks that depend on the model only."""


def _found(
    code: str,
    severity: Severity,
    norms: Iterable[PlacedNorm],
    what: str,
    remedy: str,
    reference: str = "",
) -> Iterator[Finding]:
    keys = tuple(norm.key for norm in norms)
    if keys:
        yield Finding(code, severity, keys, what, remedy, reference)
