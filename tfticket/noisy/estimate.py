"""How many labels are wrong, and in what way: from held-out predictions alone.

Neither the rate nor the type of the noise is given. The given labels of confident held-out
predictions are counted (`anchors`) and compared with what each type of noise would leave (`kinds`);
the rate follows from such counts. They are taken of each class's own most confident predictions as
long as classes may differ in their noise, and of all classes' most confident ones when they don't.

The interval is a bootstrap over examples in which the window is chosen anew each time, widened for
what resampling can't show (`interval`); for noise of no known type, down to the rate among the most
confident predictions of all classes, since what hard classes add to it may be a network's mistakes.
An interval that reaches 0 makes the kind `clean`: no wrong label is shown.

What can't be known is said. Near (k - 1) / k symmetric labels carry nothing; near 1 / 2 pair noise
can't be told from its mirror image. The label most often given to a class is taken to be the right
one; nothing in the data could show otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from tfticket.errors import DataError
from tfticket.noisy.anchors import Windows, count_windows, widest_unbiased
from tfticket.noisy.identifiability import judge
from tfticket.noisy.interval import IMPURITY, interval
from tfticket.noisy.kinds import CLEAN, GENERAL, PAIR, SYMMETRIC, fit_kind, pair_roots, shared_kind
from tfticket.noisy.transition import pair, symmetric
from tfticket.seeds import generator

_RESAMPLES = 400
_MANY = 2  # the window that holds half of the examples: many, and without the vaguest
_GROUPS = 4  # given as predicted, one class after, one before, otherwise


@dataclass(frozen=True, eq=False)
class NoiseEstimate:
    """What held-out predictions tell about wrong labels.

    Attributes:
        rate: Share of wrong labels, in [0, 1).
        low: Lower end of its interval.
        high: Upper end of its interval. Where the rate isn't identifiable, it is the highest rate
            that can't be ruled out.
        kind: `clean`, `symmetric`, `pair` or `general`.
        identifiable: Whether the rate can be relied on.
        reason: Why it can't, in a sentence; empty where it can.
        matrix: The estimated T, shape (k, k), rows summing to 1.
        confidence: Of the interval, in (0, 1).
        shares: Share q of the predictions in each window of confidence, from 1 down.
        disagreement: Share of them that aren't the given label; it levels off where the network's
            own mistakes are gone.
        window: Index of the window that was used.
        examples: How many examples are in it.
    """

    rate: float
    low: float
    high: float
    kind: str
    identifiable: bool
    reason: str
    matrix: np.ndarray
    confidence: float
    shares: tuple[float, ...]
    disagreement: tuple[float, ...]
    window: int
    examples: int

    @property
    def agreement(self) -> float:
        """Share of all held-out predictions that are the given label."""
        return 1 - self.disagreement[0]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {**asdict(self), "matrix": self.matrix.tolist()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> NoiseEstimate:
        """What `to_dict` took apart."""
        arrays = {
            "matrix": np.array(values["matrix"], float),
            "shares": tuple(values["shares"]),
            "disagreement": tuple(values["disagreement"]),
        }
        return cls(**{**values, **arrays})


def estimate_noise(
    labels: ArrayLike,
    probabilities: ArrayLike,
    *,
    folds: ArrayLike | None = None,
    confidence: float = 0.95,
    seed: int = 0,
) -> NoiseEstimate:
    """Estimates rate, type and matrix of the noise in labels, knowing nothing about it.

    Args:
        labels: Given labels, shape (n,), integers in [0, k).
        probabilities: Out-of-sample probabilities, shape (n, k): each row from a network that
            wasn't trained on that example. Networks of few epochs serve best: the rate of
            symmetric noise is overstated when the network has memorized nearly all of it.
        folds: Which network predicted each example, integers of shape (n,); None for one.
        confidence: Of the interval, in (0, 1).
        seed: Seed of the bootstrap.

    Returns:
        The estimate. There always is one; `identifiable` says whether to rely on it.

    Raises:
        DataError: when shapes or values are wrong.
    """
    if not 0 < confidence < 1:
        raise DataError(f"`confidence` must be in (0, 1). Received: {confidence}.")
    count = partial(count_windows, labels, probabilities, folds=folds)
    windows = count()
    groups = _grouped(windows.by_shift())
    _, purest = _rates(groups, SYMMETRIC, windows.num_classes)
    kind = fit_kind(windows.counts[purest], seed=seed)
    if kind == GENERAL:
        kind = shared_kind(windows.counts[min(_MANY, len(windows.counts) - 1)])
    if kind != GENERAL:
        windows = count(by_class=False)
        groups = _grouped(windows.by_shift())
    rates, chosen = _rates(groups, kind, windows.num_classes)
    window, rate = int(chosen), float(rates[chosen])
    resampled = _bootstrap(groups, kind, windows.num_classes, seed)
    low, high = interval(
        rates,
        groups.sum(axis=1),
        window=window,
        resampled=resampled,
        confidence=confidence,
        both_sides=kind == PAIR,
    )
    if kind == GENERAL:
        low = min(low, _of_easy_classes(count(by_class=False)))
    reason, low, high = judge(kind, windows, window=window, low=low, high=high)
    if low == 0 and not reason:
        kind = CLEAN
    disagreement = 1 - groups[:, 0] / groups.sum(axis=1)
    return NoiseEstimate(
        rate=rate,
        low=low,
        high=high,
        kind=kind,
        identifiable=not reason,
        reason=reason,
        matrix=_matrix(kind, rate, windows.counts[window]),
        confidence=confidence,
        shares=tuple(windows.shares.tolist()),
        disagreement=tuple(disagreement.tolist()),
        window=window,
        examples=int(groups[window].sum()),
    )


def _grouped(shifts: np.ndarray) -> np.ndarray:
    """Counts by shift, shape (w, k), as the four groups of `pair_roots`, shape (w, 4)."""
    near = np.zeros((len(shifts), _GROUPS), np.int64)
    near[:, 0], near[:, 1] = shifts[:, 0], shifts[:, 1]
    if shifts.shape[1] > 2:  # with two classes, the one after is the one before
        near[:, 2] = shifts[:, -1]
    near[:, 3] = shifts.sum(axis=1) - near[:, :3].sum(axis=1)
    return near


def _rates(groups: np.ndarray, kind: str, num_classes: int) -> tuple[np.ndarray, np.ndarray]:
    """The rate that each window gives, and which window to use, for groups of shape (..., w, 4)."""
    sizes = groups.sum(axis=-1)
    wrong = 1 - groups[..., 0] / np.maximum(sizes, 1)
    if kind == PAIR:
        rates, discriminant = pair_roots(groups, num_classes)
        # The equations hold in each window. The variance of their root goes with 1 / (m D).
        return rates, np.argmax(sizes * discriminant, axis=-1)
    # Labels that agree by chance only are as wrong as can be: a rate never passes (k - 1) / k.
    return np.minimum(wrong, 1 - 1 / num_classes), widest_unbiased(wrong, sizes)


def _of_easy_classes(windows: Windows) -> float:
    """How low noise of no known type may be: what hard classes add to it may be mistakes."""
    groups = _grouped(windows.by_shift())
    rates, chosen = _rates(groups, GENERAL, windows.num_classes)
    return max(0.0, float(rates[chosen]) - IMPURITY)


def _bootstrap(groups: np.ndarray, kind: str, num_classes: int, seed: int) -> np.ndarray:
    """Rates of resampled examples, shape (resamples,)."""
    rings = groups - np.vstack([groups[1:], np.zeros((1, _GROUPS), groups.dtype)])
    total = rings.sum()
    rng = generator(seed, "noise", "bootstrap")
    drawn = rng.multinomial(total, rings.ravel() / total, size=_RESAMPLES)
    drawn = drawn.reshape(_RESAMPLES, *rings.shape)
    nested = np.cumsum(drawn[:, ::-1], axis=1)[:, ::-1]
    rates, chosen = _rates(nested, kind, num_classes)
    return rates[np.arange(_RESAMPLES), chosen]


def _matrix(kind: str, rate: float, counts: np.ndarray) -> np.ndarray:
    k = len(counts)
    if kind == PAIR:
        return pair(k, rate).matrix
    even = symmetric(k, rate).matrix
    if kind in (CLEAN, SYMMETRIC):
        return even
    sizes = counts.sum(axis=1, keepdims=True)
    return np.where(sizes > 0, counts / np.maximum(sizes, 1), even)
