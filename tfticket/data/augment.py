"""Random changes to training images, as pure functions of seed and step."""

from __future__ import annotations

import tensorflow as tf

AUGMENTATIONS = ("none", "flip_crop")
_PADDING = 4


def flip_crop(x: tf.Tensor, *, seed: int, step: tf.Tensor) -> tf.Tensor:
    """Shifts images by up to 4 pixels over a black border, and mirrors half of them.

    As He et al. (arXiv:1512.03385, section 4.2) do for CIFAR-10.

    Args:
        x: Images, shape (batch, height, width, channels), any type; black is 0.
        seed: Seed of the augmentation, in [0, 2**31).
        step: Scalar; the result is a pure function of seed, step and place in the batch.

    Returns:
        Images of the same shape and type.
    """
    count, height, width = x.shape[0], x.shape[1], x.shape[2]
    shifts = 2 * _PADDING + 1
    seeds = tf.stack([tf.constant(seed, tf.int64), tf.cast(step, tf.int64)])
    # One draw for the three decisions: 9 rows times 9 columns times 2 directions.
    draws = tf.random.stateless_uniform((count, 1), seeds, 0, 2 * shifts**2, tf.int32)
    mirrored, top, left = draws % 2, draws // 2 % shifts, draws // 2 // shifts
    columns = tf.where(mirrored == 0, tf.range(width), tf.range(width)[::-1])
    border = [_PADDING, _PADDING]
    padded = tf.pad(x, [[0, 0], border, border, [0, 0]])
    rows = tf.gather(padded, top + tf.range(height), axis=1, batch_dims=1)
    return tf.gather(rows, left + columns, axis=2, batch_dims=1)
