"""When a noise rate can't be known, and why."""

from __future__ import annotations

import numpy as np

from tfticket.noisy.bounds import Bounds
from tfticket.noisy.kinds import GENERAL, PAIR
from tfticket.noisy.theory import rates_from_accuracy

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
    """Whether predictions are the given label more often than chance makes them.

    Args:
        everything: Examples by prediction and given label, shape (k, k).
    """
    agreement, chance, size = _agreement(everything)
    return bool(agreement > chance + _BEYOND_CHANCE * np.sqrt(chance * (1 - chance) / size))


def judge(found: Bounds, everything: np.ndarray, *, sure: float) -> tuple[str, float, float]:
    """Says why a rate can't be relied on, and which rates can't be ruled out.

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
            f"Only one label occurs, {int(given.argmax())}: networks that were taught one class "
            "can't tell who is of another.",
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
            f"{agreement:.2f} of the labels: it hasn't been trained to the end. More epochs would "
            "tell.",
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
            "network's own mistakes can't be told from wrong labels. A better network would tell.",
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
    if high - low > _WIDEST_INTERVAL:
        return "There are too few confident predictions to tell.", low, high
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
