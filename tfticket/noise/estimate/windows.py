"""Held-out predictions and given labels, counted in windows of rising confidence.

Let a network predict examples that it wasn't trained on, and keep the most confident share q of the
predictions of each class. As q falls, nearly all that are left are of the class that was predicted,
even where the network has memorized wrong labels: what it memorized differs from example to
example, and what the classes look like doesn't. Such examples are the "anchor points" of the
literature (Liu & Tao 2016, arXiv:1411.7718; Patrini et al. 2017, arXiv:1609.03683), and the labels
*given* to those of class i are distributed as row i of T.

Unlike the mean prediction at anchor points, counting the given labels doesn't ask for calibrated
probabilities; and unlike solving Chen et al.'s equation 4 for the rate, it doesn't ask for complete
memorization. A wrong prediction counts as a wrong label: a window that is too wide overstates the
rate, one that is too small knows little. `widest_unbiased` settles that.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from tfticket.errors import DataError
from tfticket.noise.labels.given import checked_labels, checked_probabilities

MOST_CLASSES = 2000
"""Classes whose confusions fit in memory, several times."""

_AT_ONCE = 2**22  # numbers
_STEP = 2**-0.5  # each window has this share of the examples of the one before
_SMALLEST_SHARE = 1 / 32
_SMALLEST_COUNTS = (100, 1000)
_PER_CLASS = 8
_DEVIATIONS = 1.5
_ALIKE = 1e-6


@dataclass(frozen=True, eq=False)
class Windows:
    """Counts of given labels by prediction, in nested windows.

    Attributes:
        counts: Examples that were predicted as c and given j, in window w, shape (w, k, k). Window
            0 holds all of them, each further one the more confident part of the one before.
        shares: The share q of the predictions in each window, shape (w,), from 1.
    """

    counts: np.ndarray
    shares: np.ndarray

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return int(self.counts.shape[1])

    def sizes(self) -> np.ndarray:
        """Examples in each window, shape (w,)."""
        sizes: np.ndarray = self.counts.sum(axis=(1, 2))
        return sizes

    def disagreement(self) -> np.ndarray:
        """Share of the predictions in each window that aren't the given label, shape (w,)."""
        agree = np.trace(self.counts, axis1=1, axis2=2) / np.maximum(self.sizes(), 1)
        disagree: np.ndarray = 1 - agree
        return disagree

    def by_shift(self) -> np.ndarray:
        """Examples whose given label is s classes after the predicted one, shape (w, k)."""
        k = self.num_classes
        given = (np.arange(k)[:, None] + np.arange(k)) % k
        shifts: np.ndarray = np.take_along_axis(self.counts, given[None], axis=2).sum(axis=1)
        return shifts


def count_windows(
    labels: ArrayLike,
    probabilities: ArrayLike,
    *,
    folds: ArrayLike | None = None,
    by_class: bool = True,
) -> Windows:
    """Count given labels in windows of confidence.

    Confidence is the log odds of the two most probable classes. It is ranked among predictions of
    the same network, so that a fold that is less sure of itself is in every window by the same
    share; and among those of the same class, so that each row of T is looked at, or among those of
    all classes. The latter windows are purer, since hard classes stay out of them, and tell of
    noise that is the same for all classes only.

    Args:
        labels: Given labels, shape (n,), integers in [0, k).
        probabilities: Out-of-sample probabilities, shape (n, k).
        folds: Which network predicted each example, integers of shape (n,); None for one.
        by_class: Whether each class is in every window by the same share.

    Raises:
        DataError: when shapes or values are wrong.
    """
    rows = checked_probabilities(probabilities)
    given = checked_labels(labels, rows.shape[1])
    networks = checked_folds(folds, given, rows)
    return windows_of(given, rows, networks=networks, by_class=by_class)


def check_class_count(num_classes: int) -> None:
    """Raise a `DataError` when there are more classes than can be confused with each other."""
    if num_classes > MOST_CLASSES:
        raise DataError(
            f"Received: {num_classes:,} classes, of which each may be confused with each. There "
            f"may be at most {MOST_CLASSES:,}. Merge classes into groups, or look at the labels of "
            "some classes at a time."
        )


def checked_folds(folds: ArrayLike | None, given: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Check which network predicted each example, shape (n,); None means one for all.

    Raises:
        DataError: when labels, rows and folds aren't as many.
    """
    networks = np.zeros(len(rows), int) if folds is None else checked_labels(folds, name="folds")
    if not len(given) == len(networks) == len(rows):
        raise DataError(
            "Labels, probabilities and folds must be as many. Received: "
            f"{len(given)}, {len(rows)}, {len(networks)}."
        )
    return networks


def windows_of(
    given: np.ndarray, rows: np.ndarray, *, networks: np.ndarray, by_class: bool
) -> Windows:
    """Do what `count_windows` does with labels, probabilities and networks that were checked."""
    count, k = rows.shape
    predicted = rows.argmax(axis=1)
    groups = networks * k + predicted if by_class else networks
    rank = _ranks(_log_odds(rows), groups)
    shares = _shares(count, k)
    counts = np.zeros((len(shares), k, k), np.int64)
    for window, share in enumerate(shares):
        inside = rank < share
        np.add.at(counts[window], (predicted[inside], given[inside]), 1)
    return Windows(counts, shares)


def widest_unbiased(rates: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Find the widest window whose rate isn't shown to be higher than that of any narrower one.

    Narrower windows are purer, so that rates fall from window to window as long as wrong
    predictions are among them. Two nested estimates of the same rate differ by chance with the
    variance a (1 - a) (1 / m' - 1 / m); a window is refused when it exceeds a narrower one by more
    than 1.5 such deviations. (The rule is Lepski's, for choosing between nested estimates.)

    Args:
        rates: Share of disagreement a in each window, widest first, shape (..., w).
        sizes: Examples m in each window, shape (..., w).

    Returns:
        The index of the window, shape (...,).
    """
    sizes = np.maximum(sizes, 1)
    variance = np.maximum(rates * (1 - rates), 1 / sizes)
    gap = rates[..., :, None] - rates[..., None, :]
    spare = 1 / sizes[..., None, :] - 1 / sizes[..., :, None]
    chance = np.sqrt(variance[..., :, None] * np.maximum(spare, 0))
    window = np.arange(rates.shape[-1])
    narrower = window[None, :] > window[:, None]
    refused = ((gap > _DEVIATIONS * chance) & narrower).any(axis=-1)
    widest: np.ndarray = np.argmin(refused, axis=-1)
    return widest


def share_most_alike(probabilities: np.ndarray) -> float:
    """Compute the share of the predictions that are as confident as the most confident one.

    A window that is narrower than that holds any of them: confidence says nothing there.

    Args:
        probabilities: Out-of-sample probabilities, shape (n, k).
    """
    confidence = _log_odds(probabilities)
    return float(np.mean(confidence >= confidence.max() - _ALIKE))


def pieces(count: int, columns: int) -> Iterator[slice]:
    """Yield slices of so many rows, each of which holds at most some million numbers."""
    step = max(1, _AT_ONCE // max(1, columns))
    for start in range(0, count, step):
        yield slice(start, start + step)


def _log_odds(probabilities: np.ndarray) -> np.ndarray:
    best = np.empty((len(probabilities), 2))
    for part in pieces(*probabilities.shape):
        best[part] = np.partition(probabilities[part], -2, axis=1)[:, -2:]
    tiny = np.finfo(np.float32).tiny
    return np.log(np.maximum(best[:, 1], tiny)) - np.log(np.maximum(best[:, 0], tiny))


def _ranks(confidence: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Share of an example's group that is more confident, in [0, 1)."""
    order = np.lexsort((-confidence, groups))
    _, starts, sizes = np.unique(groups[order], return_index=True, return_counts=True)
    within = np.arange(len(order)) - np.repeat(starts, sizes)
    rank = np.empty(len(order))
    rank[order] = (within + 0.5) / np.repeat(sizes, sizes)
    return rank


def _shares(count: int, num_classes: int) -> np.ndarray:
    """Shares of the windows: down to 1/32, but to no less than some hundred examples."""
    needed = max(np.clip(count / 8, *_SMALLEST_COUNTS), _PER_CLASS * num_classes)
    smallest = min(1.0, max(_SMALLEST_SHARE, needed / max(count, 1)))
    return _STEP ** np.arange(1 + int(np.log(smallest) / np.log(_STEP) + 1e-9))
