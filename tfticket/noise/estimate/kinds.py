"""The type of the noise, from a window of confident predictions and from the ranks of labels.

symmetric   the given label is the predicted one, or any other with equal probability
pair        networks under pair noise make the mistakes that the labels make: a share 1 - u of
            the window predicted as i is of class i - 1. Beside an even background of other
            mistakes, that window then holds
                next     = P(given i + 1) = e u
                previous = P(given i - 1) = (1 - e) (1 - u)
            so that e and u are the roots of t^2 - (1 + next - previous) t + next. With complete
            memorization u = 1 - e, which is equation 4 of Chen et al. (2019); with none u = 1,
            and e is the share of next. Nothing in between has to be assumed.
general     anything else

Pair noise is looked for twice. What the counts of a window agree with as they stand is found by
their distance; that asks for predictions that are nearly pure. Networks that often mistake some
classes for others need more: mistakes are a matter of single pairs of classes, so what they can't
have made is what all classes have in common. Symmetric noise is told by the ranks that no mistake
reaches (`Ranks`).
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from tfticket.noise.estimate.windows import Windows, pieces
from tfticket.seeds import generator

CLEAN, SYMMETRIC, PAIR, GENERAL = "clean", "symmetric", "pair", "general"

_SIMULATIONS = 60
_DEVIATIONS = 2.0
_TOLERANCE = 0.2  # share of the wrong labels that may be distributed otherwise
_LARGEST_BACKGROUND = 0.35
_MOST_EVEN = 0.25  # lower quartile to mean of the wrong labels' shares
_FEWEST_CLASSES = 5  # below, chance makes all classes alike


def fits_pair(counts: np.ndarray, *, seed: int) -> bool:
    """Test whether the counts of a window are those of pair noise, and not of symmetric noise.

    The distance between the counts and a type is the share of examples that would have to get
    another label. It is compared with what chance alone gives, by simulation, plus a fifth of the
    wrong labels: a network's own mistakes are never quite even.

    Args:
        counts: Examples by prediction and given label, shape (k, k).
        seed: Seed of the simulation.
    """
    k = len(counts)
    shares = Windows(counts[None], np.ones(1)).by_shift()[0] / max(counts.sum(), 1)
    wrong = 1 - shares[0]
    background = max(wrong - shares[1] - shares[-1], 0.0) / max(k - 3, 1)
    if k == 2 or background * (k - 1) > _LARGEST_BACKGROUND * wrong:
        return False
    symmetric = np.r_[shares[0], np.full(k - 1, wrong / (k - 1))]
    pair = np.full(k, background)
    pair[[0, 1, -1]] = shares[[0, 1, -1]]
    rng, sizes = generator(seed, "noise", "kind"), counts.sum(axis=1)

    def fits(spread: np.ndarray) -> bool:
        fitted = np.array([np.roll(spread, i) for i in range(k)])
        distance = _distance(counts, fitted)
        chance = [_distance(rng.multinomial(sizes, fitted), fitted) for _ in range(_SIMULATIONS)]
        bound = np.mean(chance) + _DEVIATIONS * np.std(chance)
        return bool(distance <= bound + _TOLERANCE * wrong)

    return not fits(symmetric) and fits(pair / pair.sum())


def is_shared_pair(counts: np.ndarray) -> bool:
    """Test whether all classes share pair noise, beside whatever mistakes a network makes.

    It makes the class after the most frequent wrong label of nearly every class, but for the class
    before, which the network gets from what it memorized.

    Args:
        counts: Examples by prediction and given label, shape (k, k), many rather than pure; fewer
            than five classes share nothing for certain.
    """
    k, sizes = len(counts), counts.sum(axis=1, keepdims=True)
    if k < _FEWEST_CLASSES or not sizes.all():
        return False
    # Column s holds the labels that are s classes after the predicted one.
    after = np.take_along_axis(counts / sizes, (np.arange(k)[:, None] + np.arange(k)) % k, axis=1)
    rare, wrong = np.quantile(after[:, 1:], 0.25), after[:, 1:].mean()
    leads = after[:, 1] > after[:, 2:-1].max(axis=1)
    return bool(rare <= _MOST_EVEN * wrong and leads.mean() >= 0.9)


def pair_roots(groups: np.ndarray, num_classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Solve the two equations of pair noise for e and u.

    Args:
        groups: Examples given as predicted, one class after, one class before, and otherwise, shape
            (..., 4).
        num_classes: k, at least 3.

    Returns:
        e in [0, 1/2] and the discriminant (u - e)^2, each of shape (...,). Where chance makes the
        discriminant negative, e and u can't be told apart, and e is their mean.
    """
    background = groups[..., 3] / max(num_classes - 3, 1)
    three = np.maximum(groups[..., :3] - background[..., None], 0)
    total = np.maximum(three.sum(axis=-1), np.finfo(float).tiny)
    after, before = three[..., 1] / total, three[..., 2] / total
    both = 1 + after - before
    discriminant = both**2 - 4 * after
    rate = (both - np.sqrt(np.maximum(discriminant, 0))) / 2
    return np.clip(rate, 0.0, 0.5), discriminant


def _distance(counts: np.ndarray, fitted: np.ndarray) -> float:
    sizes = counts.sum(axis=1, keepdims=True)
    return float(np.abs(counts - sizes * fitted).sum() / 2 / max(sizes.sum(), 1))


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
        """True where lower ranks, classes predicted and classes given have it in equal measure."""
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
    """Count given labels by their rank.

    Args:
        labels: Given labels, shape (n,), int64 in [0, k).
        probabilities: Out-of-sample probabilities, shape (n, k).
        seed: Classes of equal probability are ordered at random.
    """
    count, k = probabilities.shape
    own = np.take_along_axis(probabilities, labels[:, None], axis=1)
    before, equal = np.empty(count, np.int64), np.empty(count, np.int64)
    for part in pieces(*probabilities.shape):
        before[part] = (probabilities[part] > own[part]).sum(axis=1)
        equal[part] = (probabilities[part] == own[part]).sum(axis=1)
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
    """Number of ranks in the lower half: at least one, and never the first."""
    return max(1, (num_classes - 1) // 2)


def _on_lower_ranks(probabilities: np.ndarray) -> np.ndarray:
    """Return how often each class is on a lower rank; ties share their ranks."""
    lower = _lower_half(probabilities.shape[1])
    counts = np.zeros(probabilities.shape[1])
    for part in pieces(*probabilities.shape):
        rows = probabilities[part]
        edge = np.partition(rows, lower - 1, axis=1)[:, lower - 1 : lower]
        below, at = rows < edge, rows == edge
        left = lower - below.sum(axis=1, keepdims=True)
        shared = at * (left / at.sum(axis=1, keepdims=True))
        counts += below.sum(axis=0) + shared.sum(axis=0)
    return counts


def _spread(counts: np.ndarray, expected: np.ndarray) -> float:
    """Return the standard deviation of rates beyond chance, as a share of their mean."""
    total, known = counts.sum(), expected > 0
    if total == 0 or known.sum() < 2:
        return 0.0
    expected = expected[known] * (total / expected[known].sum())
    freedom = known.sum() - 1
    chi_square = ((counts[known] - expected) ** 2 / expected).sum()
    return float(np.sqrt(max(0.0, chi_square - freedom - _CHANCE * np.sqrt(2 * freedom)) / total))
