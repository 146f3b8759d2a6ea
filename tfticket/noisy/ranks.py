"""Where given labels stand in the order of a network's probabilities, and what it tells.

Take for each example the rank of its given label, from 0 for the one that the network predicted.
A network that errs usually has the right class among its next guesses, so a right label hardly ever
stands in the lower half of the ranks. Wrong labels that are the same for all classes stand on each
rank equally often. What is counted down there is therefore noise and no mistake of the network's,
and a share e of even noise leaves e / (k - 1) on each rank, whatever the network gets wrong:

    even part = (k - 1) x share of the labels on a rank of the lower half, mean over its ranks

Noise that isn't even is confused by networks too, and learned; it stands on upper ranks. So the
even part is a lower bound of any noise, and all of it if the noise is symmetric.

A bound from above needs no ranks. A prediction is the given label no more often than the label most
often given to such examples, and as long as that one is the right label, a network disagrees with
at least as many labels as are wrong.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from tfticket.seeds import generator

_MISTAKES_BELOW = 0.1  # of a network's mistakes, the even part that they may pass for
_LEAST_MISTAKES = 0.01  # the same of all labels
_LARGEST_SPREAD = 0.15  # of rates that are called equal, as a share of their mean
_CHANCE = 2.0  # deviations of chi-square


@dataclass(frozen=True)
class EvenPart:
    """Wrong labels that are the same for all classes.

    Attributes:
        rate: Their share of all labels, in [0, (k - 1) / k].
        low: Lower end of its interval.
        accuracy: Share of the examples that the network is right on if all noise is even, in
            [0, 1]. Other noise passes for its mistakes.
    """

    rate: float
    low: float
    accuracy: float


@dataclass(frozen=True, eq=False)
class Ranks:
    """Given labels by their rank among a network's guesses.

    Attributes:
        counts: Labels on each rank, shape (k,).
        predicted: Labels on lower ranks by predicted class, shape (k,), and how many are expected
            of even noise, up to a factor; shape (2, k).
        given: The same by given class.
    """

    counts: np.ndarray
    predicted: np.ndarray
    given: np.ndarray

    def even_part(self, confidence: float) -> EvenPart:
        """The even part of the noise.

        Its lower end allows for chance; for what still declines from the lower half to the lower
        quarter of the ranks, which even noise doesn't; and for mistakes on lower ranks, by 1 % of
        the labels and a tenth of what the network seems to be mistaken on.

        Args:
            confidence: Of the lower end, in (0, 1).
        """
        k, size = len(self.counts), self.counts.sum()
        rate, low = self._on_last(_lower_half(k), confidence)
        declined, least = self._on_last(max(1, (k - 1) // 4), confidence)
        rank = rate / (k - 1)
        agreement = float(self.counts[0] / size)
        accuracy = (agreement - rank) / max(1 - k * rank, np.finfo(float).tiny)
        accuracy = float(np.clip(accuracy, 0, 1))
        low = min(low, least) - max(0.0, rate - declined)
        low -= _LEAST_MISTAKES + _MISTAKES_BELOW * (1 - accuracy)
        return EvenPart(min(rate, 1 - 1 / k), max(0.0, low), accuracy)

    def is_even(self) -> bool:
        """Whether lower ranks, classes predicted and classes given have it in equal measure."""
        last = self.counts[-_lower_half(len(self.counts)) :]
        tables = (np.stack([last, np.ones_like(last)]), self.predicted, self.given)
        return all(_spread(*table) < _LARGEST_SPREAD for table in tables)

    def _on_last(self, ranks: int, confidence: float) -> tuple[float, float]:
        """The even part read off so many of the last ranks, and its lower end."""
        count = self.counts[-ranks:].sum()
        factor = (len(self.counts) - 1) / (ranks * self.counts.sum())
        chance = NormalDist().inv_cdf(confidence) * np.sqrt(count + 1)
        return float(count * factor), float((count - chance) * factor)


def rank_labels(labels: np.ndarray, probabilities: np.ndarray, *, seed: int) -> Ranks:
    """Counts given labels by their rank.

    Args:
        labels: Given labels, shape (n,), int64 in [0, k).
        probabilities: Out-of-sample probabilities, shape (n, k).
        seed: Classes of equal probability are ordered at random.
    """
    count, k = probabilities.shape
    own = np.take_along_axis(probabilities, labels[:, None], axis=1)
    before = (probabilities > own).sum(axis=1)
    equal = (probabilities == own).sum(axis=1)
    rank = before + (generator(seed, "noise", "ties").random(count) * equal).astype(np.int64)
    low, predicted = rank >= k - _lower_half(k), probabilities.argmax(axis=1)
    return Ranks(
        counts=np.bincount(rank, minlength=k),
        predicted=np.stack(
            [np.bincount(each, minlength=k) for each in (predicted[low], predicted)]
        ),
        given=np.stack([np.bincount(labels[low], minlength=k), _on_lower_ranks(probabilities)]),
    )


def _lower_half(num_classes: int) -> int:
    """How many ranks are the lower half: at least one, and never the first."""
    return max(1, (num_classes - 1) // 2)


def _on_lower_ranks(probabilities: np.ndarray) -> np.ndarray:
    """How often each class is on a lower rank; those of equal probability share them."""
    lower = _lower_half(probabilities.shape[1])
    edge = np.partition(probabilities, lower - 1, axis=1)[:, lower - 1 : lower]
    below, at = probabilities < edge, probabilities == edge
    left = lower - below.sum(axis=1, keepdims=True)
    return below.sum(axis=0) + (at * (left / at.sum(axis=1, keepdims=True))).sum(axis=0)


def _spread(counts: np.ndarray, expected: np.ndarray) -> float:
    """How far rates differ beyond chance: their deviation, as a share of their mean."""
    total, known = counts.sum(), expected > 0
    if total == 0 or known.sum() < 2:
        return 0.0
    expected = expected[known] * (total / expected[known].sum())
    freedom = known.sum() - 1
    chi_square = ((counts[known] - expected) ** 2 / expected).sum()
    return float(np.sqrt(max(0.0, chi_square - freedom - _CHANCE * np.sqrt(2 * freedom)) / total))
