"""Types of noise: what each would give in a window of confident predictions, and which one fits.

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
reaches (`ranks`).
"""

from __future__ import annotations

import numpy as np

from tfticket.noisy.anchors import Windows
from tfticket.seeds import generator

CLEAN, SYMMETRIC, PAIR, GENERAL = "clean", "symmetric", "pair", "general"

_SIMULATIONS = 60
_DEVIATIONS = 2.0
_TOLERANCE = 0.2  # share of the wrong labels that may be distributed otherwise
_LARGEST_BACKGROUND = 0.35
_MOST_EVEN = 0.25  # lower quartile to mean of the wrong labels' shares
_FEWEST_CLASSES = 5  # below, chance makes all classes alike


def fits_pair(counts: np.ndarray, *, seed: int) -> bool:
    """Whether the counts of a window are those of pair noise, and not of symmetric noise.

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
    """Whether all classes share pair noise, beside whatever mistakes a network makes.

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
    """Solves the two equations of pair noise for e and u.

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
