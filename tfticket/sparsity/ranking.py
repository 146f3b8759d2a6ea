"""Rank survivors by score and keep an exact count of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tfticket.errors import MaskError

Arrays = Sequence[np.ndarray]


def keep_highest(
    scores: np.ndarray, mask: np.ndarray, keep: int, protected: np.ndarray | None = None
) -> np.ndarray:
    """Keep the `keep` highest-scoring survivors, ties by flat index.

    Args:
        scores: Any shape.
        mask: Boolean, of that shape: who survives so far.
        keep: At most the number of survivors, at least the number of protected ones.
        protected: Boolean, of that shape: survivors that stay, whatever they score.

    Returns:
        Boolean, of that shape.

    Raises:
        MaskError: when `keep` is out of its range.
    """
    protected = np.zeros(mask.shape, bool) if protected is None else protected
    return keep_highest_of_all([scores], [mask], keep, [protected])[0]


def keep_highest_of_all(
    scores: Arrays, masks: Arrays, keep: int, protected: Arrays
) -> list[np.ndarray]:
    """Do the same for several competing arrays, ties by their order, then by flat index.

    Args:
        scores: One array or more, of any shapes.
        masks: Boolean, of those shapes.
        keep: How many of them all.
        protected: Boolean, of those shapes.

    Returns:
        Boolean arrays, of those shapes.

    Raises:
        MaskError: when `keep` is out of its range.
    """
    sure = [np.ravel(mask & sure) for mask, sure in zip(masks, protected, strict=True)]
    safe, survivors = _count(sure), _count(masks)
    if not 0 <= keep <= survivors:
        raise MaskError(f"A mask can only shrink: {survivors} survive. Received: keep={keep}")
    if keep < safe:
        raise MaskError(f"What is protected can't go: {safe}. Received: keep={keep}")
    free = [np.ravel(mask) for mask in masks]
    if safe:
        free = [mask & ~kept for mask, kept in zip(free, sure, strict=True)]
    kept = _highest([np.ravel(each) for each in scores], free, keep - safe, survivors - safe)
    return [
        (best | safe_ones).reshape(mask.shape) if safe else best.reshape(mask.shape)
        for best, safe_ones, mask in zip(kept, sure, masks, strict=True)
    ]


def _highest(scores: Arrays, free: Arrays, keep: int, total: int) -> Arrays:
    """Return the highest-scoring of those that are free, all flat."""
    if keep in (0, total):
        return [mask.copy() if keep else np.zeros(mask.shape, bool) for mask in free]
    values = np.concatenate([array[mask] for array, mask in zip(scores, free, strict=True)])
    # The last highest value splits sure from undecided: one selection, no sort, and no indices.
    values.partition(total - keep)
    threshold = values[total - keep]
    ties = keep - int(np.count_nonzero(values[total - keep :] > threshold))
    kept = []
    for array, mask in zip(scores, free, strict=True):
        best = array > threshold
        best &= mask
        if ties:
            tied = array == threshold
            tied &= mask
            ties -= _first(tied, ties)
            best |= tied
        kept.append(best)
    return kept


def _first(tied: np.ndarray, most: int) -> int:
    """Leaves the first `most` that are True; returns how many these are."""
    count = int(np.count_nonzero(tied))
    if count <= most:
        return count
    tied[np.flatnonzero(tied)[most] :] = False
    return most


def _count(masks: Arrays) -> int:
    return sum(int(np.count_nonzero(mask)) for mask in masks)
