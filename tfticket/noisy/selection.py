"""Small-loss selection, plainly: which samples of a batch a network is to learn from.

Deep networks learn what is common before what is contradictory, so early in training wrong labels
are among those with large losses (Han et al. 2018, arXiv:1804.06872, section 2). This module is the
definition, in NumPy; `tfticket.noisy.selecting` is the same inside a compiled step, and tests hold
one to the other.
"""

from __future__ import annotations

import numpy as np

from tfticket.errors import DataError

# (1 - 0.9) * 10 is 0.99... in binary numbers, and means 1.
ROUNDING = 1e-4


def kept_count(candidates: int, forget_rate: float) -> int:
    """How many of so many samples are kept: floor((1 - forget_rate) * candidates), at least 1.

    Source: Han et al. (2018), algorithm 1, steps 4 and 5; the paper says nothing of rounding.

    Args:
        candidates: Samples that can be kept, at least 1.
        forget_rate: Share to drop, in [0, 1].
    """
    if candidates < 1:
        raise DataError(
            f"A selection needs at least one sample to choose from. Received: {candidates}."
        )
    if not 0 <= forget_rate <= 1:
        raise DataError(f"`forget_rate` must be in [0, 1]. Received: {forget_rate}.")
    return max(1, int((1 - forget_rate) * candidates + ROUNDING))


def small_loss(
    losses: np.ndarray,
    forget_rate: float,
    *,
    candidates: np.ndarray | None = None,
    labels: np.ndarray | None = None,
    class_floor: float = 0.0,
) -> np.ndarray:
    """Keeps the samples with the smallest losses; ties go by position.

    With a class floor, of each class among the candidates its best samples are kept first, and the
    rest of the places go to the smallest losses overall. The places grow where the classes need
    more than there are.

    Args:
        losses: Loss of each sample, shape (batch,), unreduced. One that isn't finite counts as
            larger than all others.
        forget_rate: Share of the candidates to drop, in [0, 1].
        candidates: Who can be kept, boolean, shape (batch,); everyone when None or when nobody can.
        labels: Given class of each sample, integers, shape (batch,); needed for a class floor.
        class_floor: Smallest share of each class's candidates to keep, in [0, 1], and at least one
            of each; 0 is no floor.

    Returns:
        True = kept, shape (batch,); never empty.

    Raises:
        DataError: when shapes or ranges don't fit.
    """
    losses = np.asarray(losses)
    if losses.ndim != 1 or not len(losses):
        raise DataError(
            "Losses must be one number for each sample, shape (batch,), with at least one sample. "
            f"Received: shape {losses.shape}."
        )
    classes = np.zeros(0, int) if labels is None else np.asarray(labels)
    if not 0 <= class_floor <= 1 or (class_floor and classes.shape != losses.shape):
        raise DataError(
            "A class floor must be in [0, 1] and needs the label of each sample. Received: "
            f"class_floor={class_floor}, labels of shape {classes.shape}."
        )
    can = np.ones(len(losses), bool) if candidates is None else np.array(candidates, bool)
    if not can.any():
        can[:] = True
    order = [i for i in np.argsort(_comparable(losses), kind="stable") if can[i]]
    first = _best_of_classes(order, classes, class_floor) if class_floor else []
    count = max(kept_count(len(order), forget_rate), len(first))
    kept = np.zeros(len(losses), bool)
    kept[[*first, *(i for i in order if i not in first)][:count]] = True
    return kept


def _comparable(losses: np.ndarray) -> np.ndarray:
    return np.where(np.isfinite(losses), losses, np.inf)


def _best_of_classes(order: list[int], labels: np.ndarray, class_floor: float) -> list[int]:
    best: list[int] = []
    for label in np.unique(labels[order]):
        members = [i for i in order if labels[i] == label]
        best += members[: max(1, int(class_floor * len(members) + ROUNDING))]
    return best
