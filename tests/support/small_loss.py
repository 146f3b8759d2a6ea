"""Small-loss selection in plain NumPy, which that of a compiled step is held against."""

from __future__ import annotations

import numpy as np

_ROUNDING = 1e-4  # (1 - 0.9) * 10 is 0.99... in binary numbers, and means 1


def kept_count(eligible: int, forget_rate: float) -> int:
    """Number of samples to keep: floor((1 - forget_rate) * eligible), at least 1.

    Source: Han et al. (2018), algorithm 1, steps 4 and 5; the paper says nothing of rounding.

    Args:
        eligible: Samples that can be kept, at least 1.
        forget_rate: Share to drop, in [0, 1].
    """
    return max(1, int((1 - forget_rate) * eligible + _ROUNDING))


def small_loss(
    losses: np.ndarray,
    forget_rate: float,
    *,
    eligible: np.ndarray | None = None,
    labels: np.ndarray | None = None,
    class_floor: float = 0.0,
) -> np.ndarray:
    """Keep the samples with the smallest losses; ties go by position.

    With a class floor, of each class its best samples are kept first, and the
    rest of the places go to the smallest losses overall. The places grow where the classes need
    more than there are.

    Args:
        losses: Loss of each sample, shape (batch,), unreduced. One that isn't finite counts as
            larger than all others.
        forget_rate: Share of the eligible samples to drop, in [0, 1].
        eligible: Samples that can be kept, boolean, shape (batch,); all when None or none can.
        labels: Given class of each sample, integers, shape (batch,); needed for a class floor.
        class_floor: Smallest share of each class to keep, in [0, 1], and at least one
            of each; 0 is no floor.

    Returns:
        True = kept, shape (batch,); never empty.
    """
    losses = np.asarray(losses)
    classes = np.zeros(0, int) if labels is None else np.asarray(labels)
    can = np.ones(len(losses), bool) if eligible is None else np.array(eligible, bool)
    if not can.any():
        can[:] = True
    ascending = np.argsort(np.where(np.isfinite(losses), losses, np.inf), kind="stable")
    order = [i for i in ascending if can[i]]
    first = _best_of_classes(order, classes, class_floor) if class_floor else []
    count = max(kept_count(len(order), forget_rate), len(first))
    kept = np.zeros(len(losses), bool)
    kept[[*first, *(i for i in order if i not in first)][:count]] = True
    return kept


def _best_of_classes(order: list[int], labels: np.ndarray, class_floor: float) -> list[int]:
    best: list[int] = []
    for label in np.unique(labels[order]):
        members = [i for i in order if labels[i] == label]
        best += members[: max(1, int(class_floor * len(members) + _ROUNDING))]
    return best
