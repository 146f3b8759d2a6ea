"""The best of those that survive: an exact count, whatever the scores."""

from __future__ import annotations

import numpy as np

from tfticket.errors import MaskError


def keep_highest(
    scores: np.ndarray, mask: np.ndarray, keep: int, protected: np.ndarray | None = None
) -> np.ndarray:
    """The `keep` highest-scoring survivors, ties by flat index.

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
    survivors = int(np.count_nonzero(mask))
    sure = np.zeros(mask.shape, bool) if protected is None else mask & protected
    if not 0 <= keep <= survivors:
        raise MaskError(f"A mask can only shrink: {survivors} survive. Received: keep={keep}")
    left = keep - int(np.count_nonzero(sure))
    if left < 0:
        raise MaskError(f"What is protected can't go: {keep - left}. Received: keep={keep}")
    kept = sure.ravel()
    if left:
        alive = np.flatnonzero(mask & ~sure)
        values = scores.ravel()[alive]
        # The last highest value splits sure from undecided: one selection, no full sort.
        threshold = np.partition(values, alive.size - left)[alive.size - left]
        above = values > threshold
        tied = np.flatnonzero(values == threshold)[: left - np.count_nonzero(above)]
        kept[alive[above]] = True
        kept[alive[tied]] = True
    return kept.reshape(mask.shape)
