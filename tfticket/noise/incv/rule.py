"""The iterations of INCV and what each decides, from held-out probabilities, without TensorFlow.

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

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from tfticket.errors import DataError, RunError
from tfticket.noise.estimate.kinds import CLEAN, PAIR
from tfticket.noise.estimate.noise_estimate import NoiseEstimate, estimate_noise
from tfticket.noise.incv.clean_split import CleanSplit, Round
from tfticket.noise.incv.learners import best_learner
from tfticket.seeds import generator

STABLE = 0.01
"""Growth of a selection below which it is called stable, as a share of it."""

_LARGEST_RATIO = 2.0  # of removed to selected, in one iteration (the paper's code)
_TINY = 1e-12


def deal(
    ids: np.ndarray, labels: np.ndarray, *, folds: int, seed: int, iteration: int
) -> np.ndarray:
    """Deal examples to folds at random, each class as evenly as can be.

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
) -> tuple[np.ndarray, np.ndarray]:
    """Select what agrees, and remove what agrees least.

    Args:
        ids: The candidates, shape (m,).
        labels: Their given labels, shape (m,).
        probabilities: Their held-out probabilities, shape (m, k).
        removable: How many may be removed at most.
        ratio: How many to remove for each that is selected, at least 0.

    Returns:
        Selected and removed ids, each rising; they have none in common.
    """
    agrees = probabilities.argmax(axis=1) == labels
    losses = -np.log(np.maximum(probabilities[np.arange(len(ids)), labels], _TINY))
    others = np.flatnonzero(~agrees)
    worst = others[np.lexsort((ids[others], -losses[others]))]
    count = min(round(ratio * int(agrees.sum())), removable, len(worst))
    return np.sort(ids[agrees]), np.sort(ids[worst[:count]])


def removal(estimate: NoiseEstimate, count: int) -> tuple[float, int]:
    """Compute how many to remove for each selected example, and how many in all.

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


@dataclass(frozen=True, eq=False)
class Fold:
    """A model of a cross-validation.

    Attributes:
        iteration: From 0.
        number: Within the iteration, from 0.
        train: Ids that the model is trained on: all selected ones, and the candidates of the other
            folds.
        held_out: Ids that it predicts, rising.
    """

    iteration: int
    number: int
    train: np.ndarray
    held_out: np.ndarray


Predict = Callable[[Fold], Mapping[str, np.ndarray]]
"""Gives held-out probabilities of a fold, shape (h, k), by the name of each learner."""


class CrossValidation:
    """The iterations of INCV, whatever the models are: all follows from held-out probabilities.

    Args:
        labels: Given labels, shape (n,), int64.
        num_classes: k.
        folds: At least 2.
        stable: The selection is stable when an iteration adds less than this share to it.
        seed: Seed of the run.

    Raises:
        DataError: when there are fewer than two examples a fold, or fewer than two labels.

    Attributes:
        iteration: The one that comes next, from 0.
        candidates: C, ids that nothing was decided on, rising.
        selected: S, ids found clean, rising.
        removed: Ids of labels that are least likely, rising.
        learner: The learner that predicts best, from the first iteration; empty before it.
        estimate: Of the noise, from the first iteration; None before it.
    """

    def __init__(
        self,
        labels: np.ndarray,
        num_classes: int,
        *,
        folds: int,
        stable: float = STABLE,
        seed: int = 0,
    ) -> None:
        if len(labels) < 2 * folds or len(np.unique(labels)) < 2:
            raise DataError(
                f"There must be at least {2 * folds} examples for {folds} folds, of 2 labels or "
                f"more. Received: {len(labels)} examples, labels {np.unique(labels)[:5].tolist()}."
            )
        self.labels = labels
        self.num_classes = num_classes
        self.folds = folds
        self.stable = stable
        self.seed = seed
        self.iteration = 0
        self.candidates = np.arange(len(labels))
        self.selected = np.array([], np.int64)
        self.removed = np.array([], np.int64)
        self.learner = ""
        self.estimate: NoiseEstimate | None = None
        self._sums = np.zeros((len(labels), num_classes))
        self._votes = np.zeros((len(labels), 2), np.int64)
        self._rounds: list[Round] = []

    def run(
        self,
        predict: Predict,
        iterations: int,
        check: Callable[[np.ndarray, np.ndarray], None] | None = None,
    ) -> CleanSplit:
        """Iterate until the selection is stable, or at most so often; see `iterate`."""
        for _ in range(iterations):
            if not self.iterate(predict, check):
                break
        return self.result()

    def fold(self, number: int) -> Fold:
        """The fold of that number in the coming iteration."""
        own = self._dealt() == number
        train = np.concatenate([self.selected, self.candidates[~own]])
        return Fold(self.iteration, number, train, self.candidates[own])

    def iterate(
        self, predict: Predict, check: Callable[[np.ndarray, np.ndarray], None] | None = None
    ) -> bool:
        """Predict all candidates fold by fold, and decide on them.

        Args:
            predict: Trains the model of a fold.
            check: Is given the probabilities of the first iteration, shape (n, k), and the fold of
                each example, and raises where such models can't be selected by.

        Returns:
            Whether another iteration is to follow: the selection has grown, and candidates are
            left.
        """
        dealt, found = self._dealt(), {}
        for number in range(self.folds):
            for name, rows in predict(self.fold(number)).items():
                if name not in found:
                    found[name] = np.empty((len(dealt), self.num_classes), rows.dtype)
                found[name][dealt == number] = rows
        if self.iteration == 0:
            self.learner = best_learner(found, self.labels)
            if check is not None:
                check(found[self.learner], dealt)
        selected, grown = len(self.selected), self._decide(found[self.learner], dealt)
        self.iteration += 1
        return grown > self.stable * selected and len(self.candidates) >= self.folds

    def _dealt(self) -> np.ndarray:
        """The fold of each candidate."""
        labels = self.labels[self.candidates]
        return deal(
            self.candidates, labels, folds=self.folds, seed=self.seed, iteration=self.iteration
        )

    def _decide(self, predicted: np.ndarray, dealt: np.ndarray) -> int:
        """Decide on all candidates, and return the number of those that were selected."""
        ids = self.candidates
        labels = self.labels[ids]
        if self.estimate is None:
            self.estimate = estimate_noise(labels, predicted, folds=dealt, seed=self.seed)
        ratio, most = removal(self.estimate, len(self.labels))
        selected, removed = decide(
            ids, labels, predicted, removable=most - len(self.removed), ratio=ratio
        )
        self._sums[ids] += predicted
        self._votes[ids, 0] += 1
        self._votes[selected, 1] += 1
        agreement = len(selected) / len(ids)
        self._rounds.append(Round(len(ids), agreement, len(selected), len(removed)))
        self.selected = np.union1d(self.selected, selected)
        self.removed = np.union1d(self.removed, removed)
        self.candidates = np.setdiff1d(ids, np.union1d(selected, removed))
        return len(selected)

    def result(self) -> CleanSplit:
        """Return the split.

        Raises:
            RunError: when nothing was selected.
        """
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
