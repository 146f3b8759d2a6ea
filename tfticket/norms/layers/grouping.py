"""Group normalization and its gradient in few passes over the images."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
from keras import ops

from tfticket.norms.layers.compiler import compiled_by_xla


def joined(means: Any, variances: Any, epsilon: float) -> tuple[Any, Any]:
    """What normalizes centered channels within their groups: `(centered + distance) * factor`.

    All channels have the same number of positions, so the law of total variance,
    `Var = E[Var_c] + Var[E_c]`, needs no weights.

    Args:
        means: Of each channel, shape (batch, groups, channels of a group).
        variances: Of each channel, of that shape.
        epsilon: Added to the variance of a group.

    Returns:
        `distance` of a channel's mean from that of its group, of the shape of `means`, and
        `factor`, one over the deviation of the group, shape (batch, groups, 1).
    """
    distance = means - ops.mean(means, axis=-1, keepdims=True)
    variance = ops.mean(variances + ops.square(distance), axis=-1, keepdims=True)
    return distance, ops.rsqrt(variance + epsilon)


def group_normalized(x: Any, gamma: Any, beta: Any, groups: int, epsilon: float) -> Any:
    """`gamma * normalized + beta`, with a gradient written out.

    Nearly all of the time goes into passes over the images, so what counts is how many there are:
    five forward and seven back, fewer than when the forward pass is differentiated. Squares are of
    centered values, so large means cost no precision.

    Args:
        x: Floats of shape (batch, positions, channels), float32 or float64.
        gamma: Scale, shape (channels,), of the type of `x`.
        beta: Shift, shape (channels,), of the type of `x`.
        groups: Into how many groups the channels are divided.
        epsilon: Added to the variance of a group.
    """
    channels = x.shape[-1]
    grouped, flat = (-1, groups, channels // groups), (-1, 1, channels)

    @tf.custom_gradient
    def normalized(x: Any, gamma: Any, beta: Any) -> Any:
        positions = tf.cast(tf.shape(x)[1], x.dtype)
        mean = tf.reduce_mean(x, 1, keepdims=True)
        centered = x - mean
        variance = tf.reshape(_sum_of_squares(centered), grouped) / positions
        distance, factor = joined(tf.reshape(mean, grouped), variance, epsilon)
        gammas = tf.reshape(gamma, grouped)
        scale = factor * gammas
        shift = distance * scale + tf.reshape(beta, grouped)
        scale = tf.reshape(scale, flat)

        def gradient(upstream: Any) -> tuple[Any, Any, Any]:
            total = tf.reshape(tf.reduce_sum(upstream, 1), grouped)
            moment = tf.reshape(tf.reduce_sum(upstream * centered, 1), grouped) + distance * total
            share = factor / positions
            pull = tf.reduce_mean(gammas * total, -1, keepdims=True) * share
            slope = -tf.reduce_mean(gammas * moment, -1, keepdims=True) * share * factor**2
            offset = tf.reshape(distance * slope - pull, flat)
            slope = tf.reshape(tf.broadcast_to(slope, tf.shape(distance)), flat)
            to_x = upstream * scale + (centered * slope + offset)
            to_gamma = tf.reshape(tf.reduce_sum(moment * factor, 0), (channels,))
            return to_x, to_gamma, tf.reshape(tf.reduce_sum(total, 0), (channels,))

        return centered * scale + tf.reshape(shift, flat), gradient

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
