"""What an iteration of INCV decides, from held-out probabilities: pure functions of arrays.

Chen et al. (ICML 2019, arXiv:1905.05040), algorithm 2. Of the candidates that were held out,

    selected    those whose prediction is their given label (their union over the folds joins S)
    removed     of the others, those with the largest cross-entropy: e / (1 - e) as many as were
                selected, which is how many wrong labels there are for each right one

The paper's code removes nothing under pair noise, and is told which noise it is; here the estimate
tells. It also counts what to remove by a negative slice, so that a count of 0 removes everything,
and may remove what it just selected. Here only examples that disagree are removed, and over all
iterations at most as many as there are wrong labels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tfticket.errors import RunError
from tfticket.noise.estimate.kinds import CLEAN, PAIR
from tfticket.noise.estimate.noise_estimate import NoiseEstimate, estimate_noise
from tfticket.noise.incv.clean_split import CleanSplit, Round
from tfticket.seeds import generator

_LARGEST_RATIO = 2.0  # of removed to selected, in one iteration (the paper's code)
_TINY = 1e-12


@dataclass(frozen=True, eq=False)
class Decision:
    """Ids that an iteration takes out of the candidates: selected and removed, rising, disjoint."""

    selected: np.ndarray
    removed: np.ndarray


def deal(
    ids: np.ndarray, labels: np.ndarray, *, folds: int, seed: int, iteration: int
) -> np.ndarray:
    """Deals examples to folds at random, each class as evenly as can be.

    Args:
        ids: Examples, shape (m,).
        labels: Their given labels, shape (m,).
        folds: How many folds, at least 2.
        seed: Seed of the run.
        iteration: Each one deals anew.

    Returns:
        The fold of each example, shape (m,), in [0, folds). Sizes differ by at most 1.
    """
    order = generator(seed, "incv", "folds", iteration).permutation(len(ids))
    order = order[np.argsort(labels[order], kind="stable")]
    dealt = np.empty(len(ids), np.int64)
    dealt[order] = np.arange(len(ids)) % folds
    return dealt


def decide(
    ids: np.ndarray,
    labels: np.ndarray,
    probabilities: np.ndarray,
    *,
    removable: int,
    ratio: float,
) -> Decision:
    """Selects what agrees, and removes what agrees least.

    Args:
        ids: The candidates, shape (m,).
        labels: Their given labels, shape (m,).
        probabilities: Their held-out probabilities, shape (m, k).
        removable: How many may be removed at most.
        ratio: How many to remove for each that is selected, at least 0.
    """
    agrees = probabilities.argmax(axis=1) == labels
    losses = -np.log(np.maximum(probabilities[np.arange(len(ids)), labels], _TINY))
    others = np.flatnonzero(~agrees)
    worst = others[np.lexsort((ids[others], -losses[others]))]
    count = min(round(ratio * int(agrees.sum())), removable, len(worst))
    return Decision(np.sort(ids[agrees]), np.sort(ids[worst[:count]]))


def removal(estimate: NoiseEstimate, count: int) -> tuple[float, int]:
    """How many to remove for each selected example, and how many in all.

    Args:
        estimate: From the first iteration.
        count: Examples in all.

    Returns:
        The ratio e / (1 - e), at most 2, and the count e n. Both are 0 where the labels of the
        largest losses aren't shown to be wrong: without noise, where the rate isn't identifiable,
        and under pair noise, where a network's mistakes are those of the labels.
    """
    if estimate.kind in (CLEAN, PAIR) or not estimate.identifiable:
        return 0.0, 0
    odds = estimate.rate / (1 - estimate.rate)
    return min(odds, _LARGEST_RATIO), int(estimate.rate * count)


class Progress:
    """S, C and what was removed, while a selection goes on.

    Attributes:
        labels: Given labels, shape (n,), int64.
        num_classes: How many classes there are.
        candidates: C, ids that nothing was decided on, rising.
        selected: S, ids found clean, rising.
        removed: Ids of labels that are least likely, rising.
        estimate: Of the noise, from the first iteration; None before it.
    """

    def __init__(self, labels: np.ndarray, num_classes: int) -> None:
        self.labels = labels
        self.num_classes = num_classes
        self.candidates = np.arange(len(labels))
        self.selected = np.array([], np.int64)
        self.removed = np.array([], np.int64)
        self.estimate: NoiseEstimate | None = None
        self._sums = np.zeros((len(labels), num_classes))
        self._votes = np.zeros((len(labels), 2), np.int64)
        self._rounds: list[Round] = []

    def take(self, predicted: np.ndarray, folds: np.ndarray, *, seed: int) -> int:
        """Decides on all candidates, from their held-out probabilities of one iteration.

        Returns:
            How many were selected.
        """
        ids = self.candidates
        labels = self.labels[ids]
        if self.estimate is None:
            self.estimate = estimate_noise(labels, predicted, folds=folds, seed=seed)
        ratio, most = removal(self.estimate, len(self.labels))
        decision = decide(ids, labels, predicted, removable=most - len(self.removed), ratio=ratio)
        self._sums[ids] += predicted
        self._votes[ids, 0] += 1
        self._votes[decision.selected, 1] += 1
        self._rounds.append(
            Round(
                held_out=len(ids),
                agreement=len(decision.selected) / len(ids),
                selected=len(decision.selected),
                removed=len(decision.removed),
            )
        )
        self.selected = np.union1d(self.selected, decision.selected)
        self.removed = np.union1d(self.removed, decision.removed)
        self.candidates = np.setdiff1d(ids, np.union1d(decision.selected, decision.removed))
        return len(decision.selected)

    def result(self) -> CleanSplit:
        """The split; raises `RunError` when nothing was selected."""
        if self.estimate is None or not len(self.selected):
            raise RunError(
                "A selection must not be empty, but no network predicted the given label of any "
                "held-out example. Train more epochs, or check that labels belong to inputs."
            )
        means = self._sums / self._votes[:, :1]
        return CleanSplit(
            clean=self.selected,
            candidate=self.candidates,
            removed=self.removed,
            labels=self.labels,
            probabilities=means.astype(np.float32),
            votes=self._votes,
            estimate=self.estimate,
            rounds=tuple(self._rounds),
        )
