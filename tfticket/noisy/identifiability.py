"""When a noise rate can't be known, and why."""

from __future__ import annotations

import numpy as np

from tfticket.noisy.anchors import Windows
from tfticket.noisy.kinds import GENERAL, PAIR
from tfticket.noisy.theory import rates_from_accuracy

_NEAR_CHANCE = 0.06
_NEAR_HALF = 0.01
_WIDEST_INTERVAL = 0.3
_DEVIATIONS = 1.645
_UNSEEN = 0.5


def judge(
    kind: str, windows: Windows, *, window: int, low: float, high: float
) -> tuple[str, float, float]:
    """Says why a rate can't be relied on, and which rates can't be ruled out.

    Args:
        kind: The type of noise.
        windows: Examples by prediction and given label.
        window: Index of the window that was used.
        low: Lower end of the interval.
        high: Upper end of the interval.

    Returns:
        A sentence, empty when the rate can be relied on; and the ends of the interval, wider where
        it can't.
    """
    everything, counts = windows.counts[0], windows.counts[window]
    k = windows.num_classes
    limit = (k - 1) / k
    unseen = np.flatnonzero((everything.sum(axis=1) == 0) & (everything.sum(axis=0) > 0))
    if everything[:, unseen].sum() > _UNSEEN / k * everything.sum():
        return f"No held-out example was predicted as class {_listed(unseen)}.", low, 1.0
    if kind == PAIR and high >= 0.5 - _NEAR_HALF:
        return (
            "Near 1/2, pair noise of rate e can't be told from that of rate 1 - e to the other "
            "side.",
            low,
            1 - low,
        )
    if kind != PAIR and high >= limit - _NEAR_CHANCE:
        return (
            f"Near ({k} - 1)/{k} wrong labels, the labels carry next to nothing about the classes, "
            "or the network didn't learn them.",
            min(low, _memorized(counts)),
            1.0,
        )
    if high - low > _WIDEST_INTERVAL:
        return "There are too few confident predictions to tell.", low, high
    rivaled = _rivaled(counts) if kind == GENERAL else np.array([], int)
    if len(rivaled):
        return (
            f"Among confident predictions of class {_listed(rivaled)}, another label is given as "
            "often as that one.",
            low,
            1.0,
        )
    return "", low, high


def _memorized(counts: np.ndarray) -> float:
    """The rate if the network had memorized all of it: mistakes are then as likely as can be."""
    agreement = float(np.trace(counts) / counts.sum())
    return min(rates_from_accuracy(agreement, len(counts), kind="symmetric"), default=1.0)


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
