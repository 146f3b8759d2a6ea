"""The interval of a noise rate: what resampling shows, and what it can't show.

What windows of confident predictions tell is widened downward by what halving the window still
changes and by 1 % of impure anchors: on a clean set a network's mistakes look like wrong labels,
and no statistics of its predictions can tell them apart better than that. Upward it gets the 1 %
too, since mistakes that are no pair noise are never quite even, and what a window twice as wide
allows, since a narrow one may have been chosen because chance made its rate low.
"""

from __future__ import annotations

from statistics import NormalDist

import numpy as np

IMPURITY = 0.01
"""Share of the most confident predictions that may be wrong."""

_HALVING = 2  # windows
_BY_CHANCE = 3.0  # deviations that the choice of a window may hide


def interval(
    rates: np.ndarray,
    sizes: np.ndarray,
    *,
    window: int,
    resampled: np.ndarray,
    confidence: float,
) -> tuple[float, float]:
    """The ends of the interval that windows of confident predictions give, in [0, 1].

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
    """Wilson's interval of a share, for a share `rate` of `size` draws."""
    z2 = NormalDist().inv_cdf((1 + confidence) / 2) ** 2 / size
    middle = (rate + z2 / 2) / (1 + z2)
    half = np.sqrt(z2 * (rate * (1 - rate) + z2 / 4)) / (1 + z2)
    return float(middle - half), float(middle + half)


def _still_falling(rates: np.ndarray, window: int) -> float:
    """How much lower the rate may be where no wrong prediction is left.

    Twice what halving the window changes, as if each further halving changed half as much as the
    one before; at the narrowest window, what halving to it did; with too few examples, all of it.
    """
    if len(rates) < _HALVING + 1:
        return float(rates[window])
    halved = min(window + _HALVING, len(rates) - 1)
    return 2 * max(0.0, float(rates[halved - _HALVING] - rates[halved]))
