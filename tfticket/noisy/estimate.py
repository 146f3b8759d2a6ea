"""How many labels are wrong, and in what way: from held-out predictions alone.

Neither the rate nor the type of the noise is given. The rate lies between two numbers that hold for
noise of any type, also where classes or examples differ in it:

- at most, it is the share of the labels that a network disagrees with (`ranks` says why);
- at least, it is the even part of the noise, which no mistake of a network's reaches (`ranks`).

Where both are near each other, the rate is known; where they aren't, the answer is that it can't be
told. Two classes have no lower ranks: there the given labels of confident predictions are counted
(`anchors`), and mistakes that confidence didn't rule out are taken to be as many as those that it
did. Pair noise has equations of its own (`kinds`).

What can't be known is said. Near (k - 1) / k symmetric labels carry nothing; near 1 / 2 pair noise
can't be told from its mirror image. The label most often given to a class is taken to be the right
one; nothing in the data could show otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from tfticket.errors import DataError
from tfticket.noisy.anchors import Windows, count_windows, widest_unbiased
from tfticket.noisy.bounds import Bounds, bounds, bounds_of_pair
from tfticket.noisy.identifiability import has_learned, judge
from tfticket.noisy.kinds import CLEAN, PAIR, SYMMETRIC, fits_pair, is_shared_pair
from tfticket.noisy.labels import checked_labels, checked_probabilities
from tfticket.noisy.transition import pair, symmetric

_MANY = 2  # the window that holds half of the examples: many, and without the vaguest


@dataclass(frozen=True, eq=False)
class NoiseEstimate:
    """What held-out predictions tell about wrong labels.

    Attributes:
        rate: Share of wrong labels, in [0, 1).
        low: Lower end of its interval.
        high: Upper end of its interval. Where the rate isn't identifiable, it is the highest rate
            that can't be ruled out.
        kind: `clean`, where no wrong label is shown, in no class, and at most 5 % can be wrong;
            `symmetric`, `pair`, or `general` for anything else.
        identifiable: Whether the rate can be relied on.
        reason: Why it can't, in a sentence; empty where it can.
        matrix: The estimated T, shape (k, k), rows summing to 1.
        confidence: Of the interval, in (0, 1).
        shares: Share q of the predictions in each window of confidence, from 1 down.
        disagreement: Share of them that aren't the given label; it levels off where the network's
            own mistakes are gone.
        window: Index of the window that was used.
        examples: How many examples are in it.
        learned: Whether predictions agree with given labels more often than chance makes them.
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
    learned: bool = True

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
            wasn't trained on that example. The better the network, the shorter the interval.
        folds: Which network predicted each example, integers of shape (n,); None for one.
        confidence: Of the interval, in (0, 1).
        seed: Seed of the bootstrap, and of the order of equal probabilities.

    Returns:
        The estimate. There always is one; `identifiable` says whether to rely on it.

    Raises:
        DataError: when shapes or values are wrong.
    """
    if not 0 < confidence < 1:
        raise DataError(f"`confidence` must be in (0, 1). Received: {confidence}.")
    rows = checked_probabilities(probabilities)
    given = checked_labels(labels, rows.shape[1])
    by_class = count_windows(given, rows, folds=folds)
    everyone = count_windows(given, rows, folds=folds, by_class=False)
    found = _bounds(given, rows, by_class, everyone, confidence=confidence, seed=seed)
    everything = by_class.counts[0]
    sure = float(rows.max(axis=1).mean())
    reason, low, high = judge(found, everything, sure=sure)
    counts = found.windows.counts[found.window]
    return NoiseEstimate(
        rate=found.rate,
        low=low,
        high=high,
        kind=found.kind,
        identifiable=not reason,
        reason=reason,
        matrix=_matrix(found.kind, found.rate, counts),
        confidence=confidence,
        shares=tuple(found.windows.shares.tolist()),
        disagreement=tuple(found.windows.disagreement().tolist()),
        window=found.window,
        examples=int(counts.sum()),
        learned=has_learned(everything),
    )


def _bounds(
    given: np.ndarray,
    rows: np.ndarray,
    by_class: Windows,
    everyone: Windows,
    *,
    confidence: float,
    seed: int,
) -> Bounds:
    """The rate with its interval, by the type of the noise."""
    purest = int(widest_unbiased(by_class.disagreement(), by_class.sizes()))
    many = min(_MANY, len(by_class.counts) - 1)
    if fits_pair(by_class.counts[purest], seed=seed) or is_shared_pair(by_class.counts[many]):
        return bounds_of_pair(everyone, confidence=confidence, seed=seed)
    return bounds(
        given, rows, by_class=by_class, everyone=everyone, confidence=confidence, seed=seed
    )


def _matrix(kind: str, rate: float, counts: np.ndarray) -> np.ndarray:
    k = len(counts)
    if kind == PAIR:
        return pair(k, rate).matrix
    even = symmetric(k, rate).matrix
    if kind in (CLEAN, SYMMETRIC):
        return even
    sizes = counts.sum(axis=1, keepdims=True)
    return np.where(sizes > 0, counts / np.maximum(sizes, 1), even)
