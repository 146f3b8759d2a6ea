"""What layers normalize by: moments of their inputs, how to take them and how to use them."""

from __future__ import annotations

import contextlib
import math
import warnings
from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import keras
from keras import ops

from tfticket.internals import flat_layers
from tfticket.introspection import computes_as, overridden


class KeepsScale(keras.layers.Layer):
    """Abstract base of layers that normalize by a batch's mean and l-p scale and average both.

    It is defined this low so that statistics can be taken without knowing these layers.

    Attributes:
        axis: Of the channels.
        order: p of the scale `(mean of |x|^p)^(1/p)`, in [1, inf].
        moving_mean: Moving average of the mean, shape (channels,).
        moving_scale: Moving average of the scale, shape (channels,).
    """

    axis: int
    order: float
    moving_mean: keras.Variable
    moving_scale: keras.Variable

    @abstractmethod
    def scale_of(self, x: Any, axes: tuple[int, ...], present: Any) -> Any:
        """The scale of inputs over some axes, which stay with length 1.

        Args:
            x: Floats of any shape.
            axes: What to take it over.
            present: Booleans that broadcast against `x`, or None: what counts.
        """

    @abstractmethod
    def normalize(self, x: Any, mean: Any, scale: Any) -> Any:
        """The layer's output for statistics that broadcast against the inputs."""


class Moments(NamedTuple):
    """What a layer normalizes by, of one batch or averaged over many.

    Attributes:
        count: How many numbers of each channel they are of.
        mean: Mean of each channel.
        spread: Variance of each channel; the l-p scale in a layer that keeps one.
    """

    count: Any
    mean: Any
    spread: Any


BATCH_NORMS = (keras.layers.BatchNormalization, KeepsScale)


def normalizes_by_batch(layer: keras.Layer) -> bool:
    """Whether training makes the layer use statistics of the batch, as it is set now.

    A frozen one (`trainable = False`) uses its moving statistics in training too. What a child does
    that overrides what its parent computes isn't known.
    """
    return computes_as(layer, BATCH_NORMS) and bool(layer.trainable)


def batch_layers(model: keras.Model) -> list[keras.Layer]:
    """The layers of a model, nested ones too, that normalize by the batch in training.

    A warning names those that may, of classes that override what such layers compute.
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
    """For a while each layer calls `normalize(layer, inputs, mask)` in place of its own method.

    Inputs come in float32 or better, as such layers compute; outputs go out in the layer's type.
    """
    before = [vars(layer).get("call") for layer in layers]
    try:
        for layer in layers:
            layer.call = _caller(layer, normalize)
        yield
    finally:
        for layer, call in zip(layers, before, strict=True):
            if call is None:
                del layer.call
            else:
                layer.call = call


def _caller(
    layer: keras.Layer, normalize: Callable[[keras.Layer, Any, Any], Any]
) -> Callable[..., Any]:
    def call(inputs: Any, training: Any = None, mask: Any = None) -> Any:
        precise = keras.backend.result_type(inputs.dtype, "float32")
        return ops.cast(normalize(layer, ops.cast(inputs, precise), mask), layer.compute_dtype)

    return call


def moments_of(layer: Any, x: Any, mask: Any, *, each_example: bool = False) -> Moments:
    """Moments of a layer's inputs, in a shape that broadcasts against them.

    Args:
        layer: One that `normalizes_by_batch`.
        x: Its inputs, shape (batch, ..., channels, ...).
        mask: Booleans of that shape without the channels: positions that count, or None.
        each_example: Of each example by itself, not of the batch.
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
    """The layer's moving statistics, in a shape that broadcasts against its inputs."""
    spread = layer.moving_scale if isinstance(layer, KeepsScale) else layer.moving_variance
    return Moments(None, _by_channel(layer, layer.moving_mean, x), _by_channel(layer, spread, x))


def normalized(layer: Any, x: Any, moments: Moments) -> Any:
    """The layer's output by moments that broadcast against its inputs."""
    if isinstance(layer, KeepsScale):
        return layer.normalize(x, moments.mean, moments.spread)
    factor = ops.rsqrt(moments.spread + layer.epsilon)
    if layer.scale:
        factor = factor * _by_channel(layer, layer.gamma, x)
    outputs = (x - moments.mean) * factor
    return outputs + _by_channel(layer, layer.beta, x) if layer.center else outputs


def mean_of_spreads(layer: Any, shares: Any, spreads: Any, *, axis: int) -> Any:
    """Spreads of parts joined to that of the whole, as far as they add up.

    Variances do when all parts have one mean; powers of l-p scales always do, and of maxima the
    largest remains.

    Args:
        layer: Whose spreads they are.
        shares: Parts of the whole that add up to 1; those of 0 don't count.
        spreads: Of the parts.
        axis: The axis of the parts.
    """
    if not isinstance(layer, KeepsScale):
        return ops.sum(shares * spreads, axis)
    if math.isinf(layer.order):
        return ops.max(ops.where(shares > 0, spreads, 0.0), axis)
    return ops.sum(shares * spreads**layer.order, axis) ** (1.0 / layer.order)


def _by_channel(layer: Any, values: Any, x: Any) -> Any:
    shape = [1] * len(x.shape)
    shape[layer.axis] = -1
    return ops.reshape(ops.cast(values, x.dtype), shape)
