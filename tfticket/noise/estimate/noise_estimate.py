"""Estimating how many labels are wrong, and in what way, from held-out predictions alone.

Neither the rate nor the type of the noise is given. The rate lies between two numbers that hold for
noise of any type, also where classes or examples differ in it:

- at most, it is the share of the labels that a network disagrees with (`bounds`);
- at least, it is the even part of the noise, which no mistake of a network's reaches
  (`kinds.Ranks`).

Where both are near each other, the rate is known; where they aren't, the answer is that it can't be
told. Two classes have no lower ranks: there the given labels of confident predictions are counted
(`windows`), and mistakes that confidence didn't rule out are taken to be as many as those that it
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

from tfticket.display import Displayable
from tfticket.display.charts import Figure
from tfticket.display.pictures import framed
from tfticket.display.words import percent
from tfticket.errors import DataError
from tfticket.noise.estimate.bounds import Bounds, bounds
from tfticket.noise.estimate.kinds import CLEAN, GENERAL, PAIR, SYMMETRIC
from tfticket.noise.estimate.windows import check_class_count, checked_folds, windows_of
from tfticket.noise.labels.given import checked_labels, checked_probabilities
from tfticket.noise.labels.transition import pair, symmetric
from tfticket.noise.theory import rates_from_accuracy


@dataclass(frozen=True, eq=False, repr=False)
class NoiseEstimate(Displayable):
    """Rate, interval, type and matrix of the noise in labels.

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

    def __repr__(self) -> str:
        bounds = f"{self.rate:.3f} ({self.low:.3f} to {self.high:.3f})"
        known = "" if self.identifiable else ", not identifiable"
        return f"NoiseEstimate({bounds}, {self.kind}{known})"

    def summary(self) -> str:
        """Return rate, interval and type of the noise in a sentence or two."""
        said = (
            f"{percent(self.rate)} of the labels are estimated to be wrong "
            f"({100 * self.confidence:.6g} % CI {percent(self.low)} to {percent(self.high)}), "
            f"of the kind {self.kind}."
        )
        return said if self.identifiable else f"{said} The rate can't be relied on: {self.reason}"

    def to_rows(self) -> list[dict[str, Any]]:
        """Return a row for each entry of the transition matrix: true, given, probability."""
        return [
            {"true": true, "given": given, "probability": probability}
            for true, row in enumerate(self.matrix.tolist())
            for given, probability in enumerate(row)
        ]

    def _figure(self) -> Figure | None:
        title = "estimated transition matrix, P(given | true)"
        return framed(self.matrix, width=240, height=240, title=title, x="given", y="true")

    @property
    def agreement(self) -> float:
        """Share of all held-out predictions that are the given label."""
        return 1 - self.disagreement[0]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {**asdict(self), "matrix": self.matrix.tolist()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> NoiseEstimate:
        """Make it again from `to_dict`."""
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
    """Estimate rate, type and matrix of the noise in labels, knowing nothing about it.

        >>> labels = np.arange(1000) % 4
        >>> probabilities = 0.01 + 0.96 * np.eye(4)[labels]
        >>> estimate = estimate_noise(labels, probabilities)
        >>> estimate.kind, estimate.low, round(estimate.high, 3)
        ('clean', 0.0, 0.004)

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
    check_class_count(rows.shape[1])
    given = checked_labels(labels, rows.shape[1])
    networks = checked_folds(folds, given, rows)
    by_class = windows_of(given, rows, networks=networks, by_class=True)
    pooled = windows_of(given, rows, networks=networks, by_class=False)
    found = bounds(given, rows, by_class=by_class, pooled=pooled, confidence=confidence, seed=seed)
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


def _matrix(kind: str, rate: float, counts: np.ndarray) -> np.ndarray:
    k = len(counts)
    if kind == PAIR:
        return pair(k, rate).matrix
    even = symmetric(k, rate).matrix
    if kind in (CLEAN, SYMMETRIC):
        return even
    sizes = counts.sum(axis=1, keepdims=True)
    return np.where(sizes > 0, counts / np.maximum(sizes, 1), even)


_NEAR_CHANCE = 0.06
_NEAR_HALF = 0.01
_WIDEST_INTERVAL = 0.3
_WIDEST_FROM_ZERO = 0.1
_LEAST_ACCURACY = 0.5
_LEAST_SURE = 0.7  # mean probability of the predictions, as a share of those that agree
_DEVIATIONS = 1.645
_BEYOND_CHANCE = 3.0  # deviations
_UNSEEN = 0.5
_AS_OFTEN = 0.8


def has_learned(everything: np.ndarray) -> bool:
    """Test whether predictions are the given label more often than chance makes them.

    Args:
        everything: Examples by prediction and given label, shape (k, k).
    """
    agreement, chance, size = _agreement(everything)
    return bool(agreement > chance + _BEYOND_CHANCE * np.sqrt(chance * (1 - chance) / size))


def judge(found: Bounds, everything: np.ndarray, *, sure: float) -> tuple[str, float, float]:
    """Find why a rate can't be relied on, and which rates can't be ruled out.

    Args:
        found: The rate and its interval.
        everything: Examples by prediction and given label, shape (k, k).
        sure: Mean probability that the predicted classes were given, in [0, 1].

    Returns:
        A sentence, empty when the rate can be relied on; and the ends of the interval, wider where
        it can't.
    """
    k = len(everything)
    predicted, given = everything.sum(axis=1), everything.sum(axis=0)
    if (given > 0).sum() == 1:
        return (
            f"Only one label occurs, {int(given.argmax())}: a network trained on one class can't "
            "recognize another.",
            0.0,
            1.0,
        )
    unseen = np.flatnonzero((predicted == 0) & (given > 0))
    if everything[:, unseen].sum() > _UNSEEN / k * everything.sum():
        return f"No held-out example was predicted as class {_listed(unseen)}.", found.low, 1.0
    agreement, chance, _ = _agreement(everything)
    if not has_learned(everything):
        return (
            f"The predictions are the given label for {100 * agreement:.1f} % of the examples, as "
            f"chance makes them for {100 * chance:.1f} %: nothing was learned from these labels. "
            "Train for longer, scale the inputs, or look whether labels belong to inputs.",
            0.0,
            1.0,
        )
    if sure < _LEAST_SURE * agreement:
        return (
            f"The network gives its predictions a probability of {sure:.2f} and is right on "
            f"{agreement:.2f} of the labels: it hasn't been trained to the end. Train for "
            "more epochs.",
            0.0,
            found.high,
        )
    if found.kind == PAIR:
        return _judge_pair(found.windows.by_shift()[found.window], low=found.low, high=found.high)
    return _judge_any(found)


def _judge_any(found: Bounds) -> tuple[str, float, float]:
    """The same for noise of any type."""
    k, low, high = found.windows.num_classes, found.low, found.high
    counts = found.windows.counts[found.window]
    even = found.rate if found.even is None else found.even.rate
    if even >= (k - 1) / k - _NEAR_CHANCE:
        return (
            f"Near ({k} - 1)/{k} wrong labels, the labels carry next to nothing about the classes, "
            "or the network didn't learn them.",
            min(low, _memorized(counts)),
            1.0,
        )
    if found.even is not None and found.even.accuracy < _LEAST_ACCURACY:
        low = 0.0
    widest = _WIDEST_INTERVAL if low > 0 else _WIDEST_FROM_ZERO
    if high - low > widest:
        return (
            f"From {100 * low:.1f} % to {100 * high:.1f} % of the labels may be wrong: the "
            "network's own mistakes can't be distinguished from wrong labels. Use a better "
            "network.",
            low,
            high,
        )
    rivaled = _rivaled(counts) if found.kind == GENERAL else np.array([], int)
    if len(rivaled):
        return (
            f"Among confident predictions of class {_listed(rivaled)}, another label is given as "
            "often as that one.",
            low,
            1.0,
        )
    return "", low, high


def _judge_pair(shifts: np.ndarray, *, low: float, high: float) -> tuple[str, float, float]:
    """The same for pair noise, from the counts by shift of the window, shape (k,)."""
    if shifts[-1] > _AS_OFTEN * shifts[1]:
        return (
            "The class before is given about as often as the class after: pair noise that the "
            "network has memorized, or noise to both sides. Train for fewer epochs.",
            low,
            max(high, 1 - low, 1 - float(shifts[0] / shifts.sum())),
        )
    if high >= 0.5 - _NEAR_HALF:
        return (
            "Near 1/2, pair noise of rate e can't be distinguished from that of rate 1 - e to the "
            "other side.",
            low,
            1 - low,
        )
    if high - low > _WIDEST_INTERVAL:
        return "There are too few confident predictions.", low, high
    return "", low, high


def _agreement(everything: np.ndarray) -> tuple[float, float, int]:
    """Share of predictions that are the given label, the share that chance makes, and their number.

    Chance is what would be left if predictions and labels had nothing to do with each other.
    """
    size = everything.sum()
    chance = (everything.sum(axis=1) * everything.sum(axis=0)).sum() / size**2
    return float(np.trace(everything) / size), float(chance), int(size)


def _memorized(counts: np.ndarray) -> float:
    """The lowest rate if the network had memorized all of it, with chance in its favor."""
    size = counts.sum()
    agreement = np.trace(counts) / size
    most = agreement + _DEVIATIONS * np.sqrt(agreement * (1 - agreement) / size)
    return min(rates_from_accuracy(min(1.0, most), len(counts), kind="symmetric"), default=1.0)


def _rivaled(counts: np.ndarray) -> np.ndarray:
    """Classes whose own label isn't shown to be the most frequent in their window."""
    own = np.diag(counts)
    others = counts - np.diag(own)
    rival = others.max(axis=1)
    # One that stands out from the rest by chance alone is the tail of an even spread.
    even = (others.sum(axis=1) - rival) / max(len(counts) - 2, 1)
    stands_out = rival > even + 3 * np.sqrt(even + 1)
    as_frequent = own - rival < _DEVIATIONS * np.sqrt(own + rival)
    return np.flatnonzero(as_frequent & stands_out)


def _listed(classes: np.ndarray) -> str:
    names = [str(number) for number in classes[:5]]
    return ", ".join(names) + (" and more" if len(classes) > 5 else "")
