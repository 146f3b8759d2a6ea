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
_AS_OFTEN = 0.8
_HALVING = 2  # windows
_LEVEL = 0.02
_STILL_FALLS = (
    "The disagreement still falls among the most confident predictions: the network's own mistakes "
    "can't be told from wrong labels. A better network would tell."
)
_TOO_FEW = "There are too few confident predictions to tell."


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
    occurring = np.flatnonzero(everything.sum(axis=0))
    if len(occurring) == 1:
        return (
            f"Only one label occurs, {occurring[0]}: networks that were taught one class can't "
            "tell who is of another.",
            0.0,
            1.0,
        )
    unseen = np.flatnonzero((everything.sum(axis=1) == 0) & (everything.sum(axis=0) > 0))
    if everything[:, unseen].sum() > _UNSEEN / k * everything.sum():
        return f"No held-out example was predicted as class {_listed(unseen)}.", low, 1.0
    if kind == PAIR:
        return _judge_pair(windows.by_shift()[window], low=low, high=high)
    if high >= (k - 1) / k - _NEAR_CHANCE:
        return (
            f"Near ({k} - 1)/{k} wrong labels, the labels carry next to nothing about the classes, "
            "or the network didn't learn them.",
            min(low, _memorized(counts)),
            1.0,
        )
    if _still_falls(windows, window):
        return _STILL_FALLS, 0.0, high
    if high - low > _WIDEST_INTERVAL:
        return _TOO_FEW, low, high
    rivaled = _rivaled(counts) if kind == GENERAL else np.array([], int)
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
            "network has memorized, or noise to both sides. Fewer epochs would tell.",
            low,
            max(high, 1 - low, 1 - float(shifts[0] / shifts.sum())),
        )
    if high >= 0.5 - _NEAR_HALF:
        return (
            "Near 1/2, pair noise of rate e can't be told from that of rate 1 - e to the other "
            "side.",
            low,
            1 - low,
        )
    return (_TOO_FEW if high - low > _WIDEST_INTERVAL else ""), low, high


def _still_falls(windows: Windows, window: int) -> bool:
    """Whether disagreement falls down to the narrowest windows, and doesn't level off."""
    wrong = 1 - np.trace(windows.counts, axis1=1, axis2=2) / windows.counts.sum(axis=(1, 2))
    narrowest = window >= len(wrong) - _HALVING
    return bool(narrowest and wrong[max(window - _HALVING, 0)] - wrong[window] > _LEVEL)


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
