"""Second derivatives that are right and fast where those of TensorFlow aren't.

`tf.nn.moments` stops the gradient of the mean inside the variance. Values and gradients are right,
since the term is zero, but its derivative isn't: Hessians through Keras' batch and group
normalization lack a part and aren't even symmetric. Max pooling is right and slow: the second
derivative of its kernel searches each window again.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import keras
import tensorflow as tf

from tfticket.internals import around_calls, flat_layers
from tfticket.norms.layers import FusedBatchNorm

_POOL = tf.nn.max_pool


@contextlib.contextmanager
def differentiable_twice(model: keras.Model) -> Iterator[None]:
    """Trace a model meanwhile with operations of the same values and right second derivatives.

    `tf.nn.moments` and `tf.nn.max_pool` are replaced for the whole process while the block lasts;
    who else traces a graph then gets operations of equal values and gradients.
    """
    before = tf.nn.moments, tf.nn.max_pool
    # The second derivative of the fused kernel takes longer than that of Keras' operations.
    fused = [layer for layer in flat_layers(model) if isinstance(layer, FusedBatchNorm)]
    try:
        tf.nn.moments, tf.nn.max_pool = _moments, _max_pool
        with around_calls(fused, _unfused):
            yield
    finally:
        tf.nn.moments, tf.nn.max_pool = before


def _unfused(layer: FusedBatchNorm, _: Any, *arguments: Any, **options: Any) -> Any:
    return keras.layers.BatchNormalization.call(layer, *arguments, **options)


def _moments(
    x: Any, axes: Any, shift: Any = None, keepdims: bool = False, name: str | None = None
) -> tuple[Any, Any]:
    """Return mean and variance, as `tf.nn.moments` does for float32 and float64."""
    mean = tf.reduce_mean(x, axes, keepdims=True)
    variance = tf.reduce_mean(tf.square(x - mean), axes, keepdims=True)
    if keepdims:
        return mean, variance
    return tf.squeeze(mean, axes), tf.squeeze(variance, axes)


def _max_pool(
    input: Any,  # as TensorFlow calls it
    ksize: Any,
    strides: Any,
    padding: str,
    data_format: str | None = None,
    name: str | None = None,
) -> Any:
    """Pool as `tf.nn.max_pool` does, with the places of the maxima kept for all derivatives."""
    if len(input.shape) != 4 or data_format not in (None, "NHWC") or len(padding) != 5:
        return _POOL(input, ksize, strides, padding, data_format, name)
    window: dict[str, Any] = {
        "ksize": _of_rank_4(ksize),
        "strides": _of_rank_4(strides),
        "padding": padding,
        "include_batch_in_index": True,
    }

    @tf.custom_gradient
    def pooled(x: Any) -> Any:
        values, places = tf.raw_ops.MaxPoolWithArgmax(input=x, Targmax=tf.int64, **window)

        @tf.custom_gradient
        def scattered(upstream: Any) -> Any:
            to_x = tf.raw_ops.MaxPoolGradWithArgmax(input=x, grad=upstream, argmax=places, **window)
            return to_x, lambda second: tf.gather(tf.reshape(second, (-1,)), places)

        return values, scattered

    return pooled(input)


def _of_rank_4(sizes: int | Sequence[int]) -> list[int]:
    both = [sizes, sizes] if isinstance(sizes, int) else list(sizes)
    both = both * 2 if len(both) == 1 else both
    return both if len(both) == 4 else [1, *both, 1]
