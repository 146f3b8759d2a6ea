"""Moments that layers normalize by: compute them and apply them."""

from __future__ import annotations

import contextlib
import math
import warnings
from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import keras
from keras import ops

from tfticket.internals import around_calls, flat_layers
from tfticket.introspection import computes_as, overridden


class KeepsScale(keras.layers.Layer):
    """Abstract base of layers that normalize by a batch's mean and l-p scale and average both.

    It is defined here so that statistics can be recomputed without an import of these layers.

    Attributes:
        axis: Axis of the channels.
        order: p of the scale `(mean of |x|^p)^(1/p)`, in [1, inf].
        moving_mean: Moving average of the mean, shape (channels,).
        moving_scale: Moving average of the scale, shape (channels,).

    Example:
        >>> issubclass(KeepsScale, keras.layers.Layer)
        True
    """

    axis: int
    order: float
    moving_mean: keras.Variable
    moving_scale: keras.Variable

    @abstractmethod
    def scale_of(self, x: Any, axes: tuple[int, ...], present: Any) -> Any:
        """Compute the scale of inputs over axes, which stay with length 1.

        Args:
            x: Floats of any shape.
            axes: Axes to reduce.
            present: Positions that count, booleans that broadcast against `x`; all if None.
        """

    @abstractmethod
    def normalize(self, x: Any, mean: Any, scale: Any) -> Any:
        """Compute the layer's output for statistics that broadcast against the inputs."""


class Moments(NamedTuple):
    """Moments of one batch, or averaged over many.

    Attributes:
        count: Number of values of each channel.
        mean: Mean of each channel.
        spread: Variance of each channel; the l-p scale in a layer that keeps one.
    """

    count: Any
    mean: Any
    spread: Any


BATCH_NORMS = (keras.layers.BatchNormalization, KeepsScale)


def normalizes_by_batch(layer: keras.Layer) -> bool:
    """Tell whether a layer normalizes by statistics of the batch in training.

    A frozen layer (`trainable = False`) uses its moving statistics in training too. A subclass that
    overrides what its parent computes is unknown, so the answer is False.

    Args:
        layer: Any layer.

    Example:
        >>> norm = keras.layers.BatchNormalization()
        >>> normalizes_by_batch(norm)
        True
        >>> norm.trainable = False
        >>> normalizes_by_batch(norm)
        False
    """
    return computes_as(layer, BATCH_NORMS) and bool(layer.trainable)


def batch_layers(model: keras.Model) -> list[keras.Layer]:
    """List the layers of a model, nested ones too, that normalize by the batch in training.

    Subclasses that override what such layers compute are left out with a warning.
    """
    layers = flat_layers(model)
    for layer in layers:
        if isinstance(layer, BATCH_NORMS) and overridden(layer):
            names = ", ".join(f"`{name}`" for name in overridden(layer))
            warnings.warn(
                f"The layer {layer.name!r} is left as it is: its class {type(layer).__name__} "
                f"overrides {names}, so what it normalizes isn't known. Put what it does beside "
                "normalizing into a layer of its own.",
                stacklevel=3,
            )
    return [layer for layer in layers if normalizes_by_batch(layer)]


@contextlib.contextmanager
def normalizing(
    layers: Sequence[keras.Layer], normalize: Callable[[keras.Layer, Any, Any], Any]
) -> Iterator[None]:
    """Replace `call` of layers by `normalize(layer, inputs, mask)`, inside a `with` block.

    Inputs are cast to float32 or better, as these layers compute, and outputs to the layer's dtype.
    """

    def call(layer: Any, _: Any, inputs: Any, training: Any = None, mask: Any = None) -> Any:
        precise = keras.backend.result_type(inputs.dtype, "float32")
        return ops.cast(normalize(layer, ops.cast(inputs, precise), mask), layer.compute_dtype)

    with around_calls(layers, call):
        yield


def moments_of(layer: Any, x: Any, mask: Any, *, each_example: bool = False) -> Moments:
    """Compute the moments of a layer's inputs, in a shape that broadcasts against them.

    Args:
        layer: A layer that `normalizes_by_batch`.
        x: Its inputs, shape (batch, ..., channels, ...).
        mask: Positions that count, booleans of that shape without the channels; all if None.
        each_example: Compute them for each example, not for the batch.
    """
    channels = layer.axis % len(x.shape)
    axes = tuple(a for a in range(int(each_example), len(x.shape)) if a != channels)
    present = None if mask is None else ops.expand_dims(ops.cast(mask, "bool"), layer.axis)
    counted = ops.ones_like(x) if present is None else ops.cast(present, x.dtype) * ops.ones_like(x)
    count = ops.sum(counted, axes, keepdims=True)

    def mean(values: Any) -> Any:
        values = values if present is None else ops.where(present, values, 0.0)
        return ops.sum(values, axes, keepdims=True) / ops.maximum(count, 1.0)

    center = mean(x)
    if isinstance(layer, KeepsScale):
        return Moments(count, center, layer.scale_of(x, axes, present))
    return Moments(count, center, mean(ops.square(x - center)))


def moving_moments(layer: Any, x: Any) -> Moments:
    """Return the moving statistics of a layer, in a shape that broadcasts against its inputs."""
    spread = layer.moving_scale if isinstance(layer, KeepsScale) else layer.moving_variance
    return Moments(None, _by_channel(layer, layer.moving_mean, x), _by_channel(layer, spread, x))


def normalized(layer: Any, x: Any, moments: Moments) -> Any:
    """Compute the output of a layer by moments that broadcast against its inputs."""
    if isinstance(layer, KeepsScale):
        return layer.normalize(x, moments.mean, moments.spread)
    factor = ops.rsqrt(moments.spread + layer.epsilon)
    if layer.scale:
        factor = factor * _by_channel(layer, layer.gamma, x)
    outputs = (x - moments.mean) * factor
    return outputs + _by_channel(layer, layer.beta, x) if layer.center else outputs


def mean_of_spreads(layer: Any, shares: Any, spreads: Any) -> Any:
    """Join the spreads of parts to that of the whole, without the variance between means.

    Variances are averaged, and so are p-th powers of l-p scales; of maxima the largest remains.

    Args:
        layer: Layer of the spreads.
        shares: Share of each part, which add up to 1; parts with a share of 0 don't count.
        spreads: Spreads of the parts, along the first axis.
    """
    if not isinstance(layer, KeepsScale):
        return ops.sum(shares * spreads, 0)
    if math.isinf(layer.order):
        return ops.max(ops.where(shares > 0, spreads, 0.0), 0)
    return ops.sum(shares * spreads**layer.order, 0) ** (1.0 / layer.order)


def _by_channel(layer: Any, values: Any, x: Any) -> Any:
    shape = [1] * len(x.shape)
    shape[layer.axis] = -1
    return ops.reshape(ops.cast(values, x.dtype), shape)
