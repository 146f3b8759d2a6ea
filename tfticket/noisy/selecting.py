"""Small-loss selection inside a compiled step; `tfticket.noisy.selection` is its definition.

The number of samples to keep is a tensor and the selection a mask, so that the forget rate can
change from step to step without a new trace, and nothing leaves the device to be sorted elsewhere.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from tfticket.noisy.selection import ROUNDING


def small_loss_mask(
    losses: Any,
    forget_rate: Any,
    *,
    candidates: Any,
    labels: Any = None,
    class_floor: float = 0.0,
) -> tf.Tensor:
    """Keeps the samples with the smallest losses, as `selection.small_loss` does.

    Args:
        losses: Loss of each sample, float32, shape (batch,).
        forget_rate: Share of the candidates to drop, float32 scalar in [0, 1].
        candidates: Who can be kept, boolean, shape (batch,); everyone when nobody can.
        labels: Given class of each sample, integers, shape (batch,); needed for a class floor.
        class_floor: Smallest share of each class's candidates to keep, in [0, 1].

    Returns:
        True = kept, boolean, shape (batch,).
    """
    losses = tf.stop_gradient(losses)
    candidates = everyone_if_nobody(candidates)
    finite = tf.where(tf.math.is_finite(losses), losses, losses.dtype.max)
    rank = _ranks(tf.where(candidates, finite, tf.constant(float("inf"), losses.dtype)))
    kept = _share(1.0 - forget_rate, _count(candidates))
    if class_floor:
        best = _best_of_classes(rank, candidates, labels, class_floor)
        kept = tf.maximum(kept, _count(best))
        rank = _ranks(tf.where(best, rank - tf.size(rank), rank))
    return (rank < kept) & candidates


def everyone_if_nobody(mask: Any) -> tf.Tensor:
    """The mask, or all True where it is all False."""
    return mask | ~tf.reduce_any(mask)


def _ranks(keys: Any) -> tf.Tensor:
    """Place of each sample in ascending order, from 0; ties go by position."""
    return tf.math.invert_permutation(tf.argsort(keys, stable=True))


def _count(mask: Any) -> tf.Tensor:
    return tf.reduce_sum(tf.cast(mask, tf.int32))


def _share(share: Any, counts: Any) -> tf.Tensor:
    """That share of each count, rounded down, at least 1."""
    exact = tf.cast(share, tf.float32) * tf.cast(counts, tf.float32)
    return tf.maximum(1, tf.cast(tf.floor(exact + ROUNDING), tf.int32))


def _best_of_classes(rank: Any, candidates: Any, labels: Any, class_floor: float) -> tf.Tensor:
    """The candidates that belong to their class's share, whatever the other classes do."""
    same = (labels[:, None] == labels[None, :]) & candidates[None, :]
    better = same & (rank[None, :] < rank[:, None])
    place = tf.reduce_sum(tf.cast(better, tf.int32), axis=1)
    members = tf.reduce_sum(tf.cast(same, tf.int32), axis=1)
    return candidates & (place < _share(class_floor, members))
