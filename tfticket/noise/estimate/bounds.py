"""The bounds of a noise rate, from held-out predictions.

For noise of any type, at most the share of the labels that a network disagrees with, and at least
the even part of the noise (`kinds.Ranks`). The even part is doubted where the most confident
predictions of all classes hold fewer wrong labels than it says: either the noise depends on the
example, or a network's mistakes are even. Then, and for two classes, which have no lower ranks, the
lower end is read off confident predictions (`windows`, `interval`). With two classes nothing says
that the most confident are right, so that as many mistakes are taken to be left as confidence has
ruled out.

Pair noise has equations of its own (`kinds`), which separate it from what was memorized.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from tfticket.noise.estimate.kinds import (
    CLEAN,
    GENERAL,
    PAIR,
    SYMMETRIC,
    EvenPart,
    fits_pair,
    is_shared_pair,
    pair_roots,
    rank_labels,
)
from tfticket.noise.estimate.windows import Windows, share_most_alike, widest_unbiased
from tfticket.seeds import generator

_RESAMPLES = 400
_MANY = 2  # the window that holds half of the examples: many, and without the vaguest
_GROUPS = 4  # given as predicted, one class after, one before, otherwise
_MOST_ALIKE = 0.25  # share of predictions that may be equally confident
_HALVING = 2  # windows
_LEVEL = 0.02
_DOUBT = 0.95  # confidence that the most confident hold fewer wrong labels
_SMALL = 0.05  # what may be wrong of labels that are called clean, and be shown in a class


@dataclass(frozen=True, eq=False)
class Bounds:
    """A rate with its interval, and what it was read off.

    Attributes:
        rate: Share of wrong labels.
        low: Lower end of the interval.
        high: Upper end of the interval.
        kind: `clean`, `symmetric`, `pair` or `general`.
        windows: Windows of confident predictions.
        window: Index of the one that was used.
        even: The even part of the noise; None where it wasn't computed.
    """

    rate: float
    low: float
    high: float
    kind: str
    windows: Windows
    window: int
    even: EvenPart | None = None


def bounds(
    labels: np.ndarray,
    probabilities: np.ndarray,
    *,
    by_class: Windows,
    pooled: Windows,
    confidence: float,
    seed: int,
) -> Bounds:
    """Bound the rate of the noise, by its type.

    Args:
        labels: Given labels, shape (n,), int64.
        probabilities: Out-of-sample probabilities, shape (n, k).
        by_class: Windows of confident predictions of each class.
        pooled: Windows of confident predictions of all classes together.
        confidence: Of the interval, in (0, 1).
        seed: Seed of the bootstrap, and of the order of equal probabilities.
    """
    purest = int(widest_unbiased(by_class.disagreement(), by_class.sizes()))
    many = min(_MANY, len(by_class.counts) - 1)
    if fits_pair(by_class.counts[purest], seed=seed) or is_shared_pair(by_class.counts[many]):
        rate, low, high, window = _by_confidence(pooled, PAIR, confidence, seed)
        return Bounds(rate, low, high, PAIR, pooled, window)
    ranks = rank_labels(labels, probabilities, seed=seed)
    wrong = pooled.disagreement()
    _, high = wilson(wrong[0], len(labels), confidence)
    rate, low, _, window = _by_confidence(pooled, GENERAL, confidence, seed)
    even, k = None, probabilities.shape[1]
    if k == 2:
        low -= max(0.0, float(wrong[0] - wrong[window]))
    else:
        even = ranks.even_part(confidence)
        fewest = wilson(by_class.disagreement()[-1], by_class.sizes()[-1], _DOUBT)[1]
        if fewest < even.rate:  # the even part is doubted
            low = min(even.low, 0.0 if _still_falls(wrong, window) else low)
        else:
            rate, low, window = even.rate, even.low, 0
    if share_most_alike(probabilities) > _MOST_ALIKE:
        low = 0.0
    low = min(max(0.0, low), high)
    kind = SYMMETRIC if ranks.is_even() else GENERAL
    if low == 0:
        classes = _lowest_by_class(by_class.counts[purest], confidence)
        kind = CLEAN if max(high, *classes) <= _SMALL else GENERAL
    windows = pooled
    if kind == GENERAL:
        windows, window = by_class, purest
        rate = min(float(by_class.disagreement()[purest]), 1 - 1 / k)
    return Bounds(float(np.clip(rate, low, high)), low, high, kind, windows, window, even)


def _lowest_by_class(counts: np.ndarray, confidence: float) -> list[float]:
    """Lower ends of the shares of wrong labels among the predictions of each class."""
    sizes = counts.sum(axis=1)
    rates = 1 - np.diag(counts) / np.maximum(sizes, 1)
    return [
        wilson(rate, size, confidence)[0] for rate, size in zip(rates, sizes, strict=True) if size
    ]


def _by_confidence(
    windows: Windows, kind: str, confidence: float, seed: int
) -> tuple[float, float, float, int]:
    """Rate, ends of its interval and the window, by a bootstrap that chooses it anew each time."""
    groups = _grouped(windows.by_shift())
    rates, chosen = _rates(groups, kind, windows.num_classes)
    window = int(chosen)
    low, high = interval(
        rates,
        groups.sum(axis=1),
        window=window,
        resampled=_bootstrap(groups, kind, windows.num_classes, seed),
        confidence=confidence,
    )
    return float(rates[window]), low, high, window


def _still_falls(wrong: np.ndarray, window: int) -> bool:
    """True where disagreement falls down to the narrowest windows, and doesn't level off."""
    narrowest = window >= len(wrong) - _HALVING
    return bool(narrowest and wrong[max(window - _HALVING, 0)] - wrong[window] > _LEVEL)


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


def _bootstrap(groups: np.ndarray, kind: str, num_classes: int, seed: int) -> np.ndarray:
    """Rates of resampled examples, shape (resamples,)."""
    rings = groups - np.vstack([groups[1:], np.zeros((1, _GROUPS), groups.dtype)])
    total = rings.sum()
    rng = generator(seed, "noise", "bootstrap")
    drawn = rng.multinomial(total, rings.ravel() / total, size=_RESAMPLES)
    drawn = drawn.reshape(_RESAMPLES, *rings.shape)
    nested = np.cumsum(drawn[:, ::-1], axis=1)[:, ::-1]
    rates, chosen = _rates(nested, kind, num_classes)
    resampled: np.ndarray = rates[np.arange(_RESAMPLES), chosen]
    return resampled


IMPURITY = 0.01
"""Share of the most confident predictions that may be wrong."""

_BY_CHANCE = 3.0  # deviations that the choice of a window may hide


def interval(
    rates: np.ndarray, sizes: np.ndarray, *, window: int, resampled: np.ndarray, confidence: float
) -> tuple[float, float]:
    """Compute the interval of a rate that windows of confident predictions give, in [0, 1].

    Args:
        rates: The rate that each window gives, widest first, shape (w,).
        sizes: Examples in each window, shape (w,).
        window: Index of the window that was chosen.
        resampled: Rates of resampled examples, shape (resamples,).
        confidence: In (0, 1).
    """
    rate, size = float(rates[window]), int(sizes[window])
    tails = ((1 - confidence) / 2, (1 + confidence) / 2)
    low, high = np.quantile(resampled, tails)
    # Few disagreements, or none, resample to too little variety.
    wilson_low, wilson_high = wilson(rate, size, confidence)
    low = min(low, wilson_low, rate) - _still_falling(rates, window) - IMPURITY * (1 - rate)
    # Wider windows only overstate the rate.
    chance = _BY_CHANCE * np.sqrt(rate * (1 - rate) / size)
    twice = max(window - _HALVING, 0)
    _, wider = wilson(float(rates[twice]), int(sizes[twice]), confidence)
    high = max(float(high), wilson_high, rate, min(wider, rate + float(chance)))
    return max(0.0, float(low)), min(1.0, high + IMPURITY)


def wilson(rate: float, size: int, confidence: float) -> tuple[float, float]:
    """Compute Wilson's interval for a share `rate` of `size` draws."""
    z2 = NormalDist().inv_cdf((1 + confidence) / 2) ** 2 / size
    middle = (rate + z2 / 2) / (1 + z2)
    half = np.sqrt(z2 * (rate * (1 - rate) + z2 / 4)) / (1 + z2)
    return float(middle - half), float(middle + half)


def _still_falling(rates: np.ndarray, window: int) -> float:
    """Return how much lower the rate may be where no wrong prediction is left.

    Twice what halving the window changes, as if each further halving changed half as much as the
    one before; at the narrowest window, what halving to it did; with too few examples, all of it.
    """
    if len(rates) < _HALVING + 1:
        return float(rates[window])
    halved = min(window + _HALVING, len(rates) - 1)
    return 2 * max(0.0, float(rates[halved - _HALVING] - rates[halved]))
