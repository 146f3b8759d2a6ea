"""Group normalization and its gradient in few passes over the images."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
from keras import ops

from tfticket.norms.layers.compiler import compiled_by_xla


def joined(means: Any, variances: Any, groups: int, epsilon: float) -> tuple[Any, Any]:
    """What normalizes centered channels within their groups: `(centered + distance) * factor`.

    All channels have the same number of positions, so the law of total variance,
    `Var = E[Var_c] + Var[E_c]`, needs no weights.

    Args:
        means: Of each channel, shape (batch, 1, ..., channels, 1, ...): all axes but those of the
            batch and the channels have length 1.
        variances: Of each channel, of that shape.
        groups: Into how many groups the channels are divided.
        epsilon: Added to the variance of a group.

    Returns:
        `distance` of a channel's mean from that of its group, and `factor`, one over the deviation
        of the group; both of the shape of `means`.
    """
    by_example = (-1, *means.shape[1:])
    channels = max(means.shape[1:])
    by_group = (-1, groups, channels // groups)
    means, variances = ops.reshape(means, by_group), ops.reshape(variances, by_group)
    distances = means - ops.mean(means, axis=-1, keepdims=True)
    variance = ops.mean(variances + ops.square(distances), axis=-1, keepdims=True)
    factor = ops.broadcast_to(ops.rsqrt(variance + epsilon), ops.shape(distances))
    return ops.reshape(distances, by_example), ops.reshape(factor, by_example)


def group_normalized(x: Any, gamma: Any, beta: Any, groups: int, epsilon: float) -> Any:
    """`gamma * normalized + beta`, with a gradient written out.

    Each pass over the images costs as much as the next, whatever it computes, so what counts is how
    many there are: four forward and five back here, where differentiating the forward pass takes
    twice as many. Squares are of centered values, so large means cost no precision.

    Args:
        x: Floats of shape (batch, positions, channels), float32 or float64.
        gamma: Scale, shape (channels,), of the type of `x`.
        beta: Shift, shape (channels,), of the type of `x`.
        groups: Into how many groups the channels are divided.
        epsilon: Added to the variance of a group.
    """

    @tf.custom_gradient
    def normalized(x: Any, gamma: Any, beta: Any) -> Any:
        positions = tf.cast(tf.shape(x)[1], x.dtype)
        mean = tf.reduce_mean(x, 1, keepdims=True)
        centered = x - mean
        variance = _sum_of_squares(centered) / positions
        distance, factor = joined(mean, variance, groups, epsilon)
        scale = factor * gamma

        def gradient(upstream: Any) -> tuple[Any, Any, Any]:
            total = tf.reduce_sum(upstream, 1, keepdims=True)
            moment = tf.reduce_sum(upstream * centered, 1, keepdims=True) + distance * total
            pull = _mean_of_groups(gamma * total, groups) * factor / positions
            slope = -_mean_of_groups(gamma * moment, groups) * factor**3 / positions
            to_x = upstream * scale + (centered * slope + (distance * slope - pull))
            return to_x, tf.reduce_sum(moment * factor, (0, 1)), tf.reduce_sum(total, (0, 1))

        return centered * scale + (distance * scale + beta), gradient

    return normalized(x, gamma, beta)


def _sum_of_squares(centered: Any) -> Any:
    """Of each channel of each example, in one pass; shape (batch, 1, channels)."""
    if compiled_by_xla():  # which has no such kernel, and makes one pass of two operations itself
        return tf.reduce_sum(tf.square(centered), 1, keepdims=True)

    @tf.custom_gradient
    def squared_norm(centered: Any) -> Any:
        norm = tf.raw_ops.EuclideanNorm(input=centered, axis=1, keep_dims=True)
        # For gradients of gradients only: the own one of the kernel is 0 / 0 for constant channels.
        return tf.square(norm), lambda upstream: 2.0 * centered * upstream

    return squared_norm(centered)


def _mean_of_groups(values: Any, groups: int) -> Any:
    """The mean over each group, for each of its channels; shape (batch, 1, channels)."""
    channels = values.shape[-1]
    by_group = tf.reshape(values, (-1, groups, channels // groups))
    mean = tf.reduce_mean(by_group, -1, keepdims=True)
    return tf.reshape(tf.broadcast_to(mean, tf.shape(by_group)), (-1, 1, channels))
