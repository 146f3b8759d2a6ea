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
from tfticket.noise.estimate.windows import check_class_count
from tfticket.noise.incv.clean_split import CleanSplit, Round
from tfticket.noise.incv.learners import best_learner
from tfticket.noise.labels.given import NO_CLASS
from tfticket.seeds import generator, sub_seed

STABLE = 0.01
"""Growth of a selection below which it is called stable, as a share of it."""

_LARGEST_RATIO = 2.0  # of removed to selected, in one iteration (the paper's code)
_TINY = 1e-12


_STEPS = 600  # of a small network, to learn ten classes and not yet to memorize a label
_STEPS_A_CLASS = 60
_FEWEST_EPOCHS, _MOST_EPOCHS = 2, 60
_BATCHES_AN_EPOCH = 10


def usual_batch_size(count: int, most: int) -> int:
    """Return the examples in a step: an epoch has ten steps at least, if there are as many."""
    return max(1, min(most, count // _BATCHES_AN_EPOCH))


def usual_epochs(count: int, num_classes: int, *, batch_size: int) -> int:
    """Return the passes over the data that a network needs to learn and not yet to memorize.

    Args:
        count: Number of examples.
        num_classes: k.
        batch_size: Examples in a step.
    """
    steps = max(1, count // batch_size)
    needed = max(_STEPS, _STEPS_A_CLASS * num_classes)
    return min(max(-(-needed // steps), _FEWEST_EPOCHS), _MOST_EPOCHS)


def deal(
    ids: np.ndarray, labels: np.ndarray, *, folds: int, seed: int, iteration: int
) -> np.ndarray:
    """Deal examples to folds at random, each class as evenly as can be.

        >>> deal(np.arange(6), np.array([0, 1, 0, 1, 0, 1]), folds=3, seed=0, iteration=0)
        array([2, 1, 1, 2, 0, 0])

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
    ids: np.ndarray, labels: np.ndarray, probabilities: np.ndarray, *, removable: int, ratio: float
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
        repeat: Which dealing of the iteration, from 0.
    """

    iteration: int
    number: int
    train: np.ndarray
    held_out: np.ndarray
    repeat: int = 0


Predict = Callable[[Fold], Mapping[str, np.ndarray]]
"""Gives held-out probabilities of a fold, shape (h, k), by the name of each learner."""


class CrossValidation:
    """The iterations of INCV, whatever the models are: all follows from held-out probabilities.

    Examples without a label are held out from all models: they are predicted, and nothing is
    learned from them or decided on them.

    Args:
        labels: Given labels, shape (n,), int64; -1 where there is none.
        num_classes: k.
        folds: At least 2.
        repeats: How often an iteration deals, at least 1; the mean of the predictions counts. More
            are for models that take no time.
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
        repeats: int = 1,
        stable: float = STABLE,
        seed: int = 0,
    ) -> None:
        check_class_count(num_classes)
        known = labels[labels != NO_CLASS]
        if len(known) < 2 * folds or len(np.unique(known)) < 2:
            raise DataError(
                f"There must be at least {2 * folds} examples for {folds} folds, of 2 labels or "
                f"more. Received: {len(known)} examples, labels {np.unique(known)[:5].tolist()}."
            )
        self.labels = labels
        self.num_classes = num_classes
        self.folds = folds
        self.repeats = repeats
        self.stable = stable
        self.seed = seed
        self.iteration = 0
        self.candidates = np.arange(len(labels))
        self.selected = np.array([], np.int64)
        self.removed = np.array([], np.int64)
        self.learner = ""
        self.estimate: NoiseEstimate | None = None
        self._sums = np.zeros((len(labels), num_classes), np.float32 if repeats > 1 else float)
        self._first = self._dealt(0)
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
        return self._fold(number, self._dealt(0), 0)

    def _fold(self, number: int, dealt: np.ndarray, repeat: int) -> Fold:
        own = dealt == number
        rest = self.candidates[~own]
        train = np.concatenate([self.selected, rest[self.labels[rest] != NO_CLASS]])
        return Fold(self.iteration, number, train, self.candidates[own], repeat)

    def iterate(
        self, predict: Predict, check: Callable[[np.ndarray, np.ndarray], None] | None = None
    ) -> bool:
        """Predict all candidates fold by fold, and decide on them.

        Args:
            predict: Trains the model of a fold.
            check: Is given the probabilities of the labeled examples in the first iteration, shape
                (n, k), and the fold of each, and raises where such models can't be selected by.

        Returns:
            Whether another iteration is to follow: the selection has grown, and candidates are
            left.
        """
        found: dict[str, np.ndarray] = {}
        for repeat in range(self.repeats):
            dealt = self._dealt(repeat)
            for number in range(self.folds):
                for name, rows in predict(self._fold(number, dealt, repeat)).items():
                    if name not in found:
                        found[name] = np.zeros((len(dealt), self.num_classes), rows.dtype)
                    found[name][dealt == number] += rows
        known = self.labels[self.candidates] != NO_CLASS
        if self.repeats > 1:
            for rows in found.values():
                rows /= self.repeats
        if self.iteration == 0:
            labels = self.labels[self.candidates[known]]
            self.learner = best_learner({name: rows[known] for name, rows in found.items()}, labels)
            if check is not None:
                check(found[self.learner][known], self._first[known])
        selected, grown = len(self.selected), self._decide(found[self.learner], known)
        self.iteration += 1
        left = int((self.labels[self.candidates] != NO_CLASS).sum())
        if self.iteration == 1 and left <= self.stable * grown:
            return False  # there is nothing left by which the selection could grow
        return grown > self.stable * selected and left >= self.folds

    def _dealt(self, repeat: int) -> np.ndarray:
        """The fold of each candidate."""
        return deal(
            self.candidates,
            self.labels[self.candidates],
            folds=self.folds,
            seed=self.seed if repeat == 0 else sub_seed(self.seed, "repeat", repeat),
            iteration=self.iteration,
        )

    def _decide(self, predicted: np.ndarray, known: np.ndarray) -> int:
        """Decide on all candidates with a label, and return how many were selected."""
        self._sums[self.candidates] += predicted
        self._votes[self.candidates, 0] += 1
        ids, predicted = self.candidates[known], predicted[known]
        labels = self.labels[ids]
        if self.estimate is None:
            # A mean over several dealings is as sure of itself in all folds.
            folds = self._first[known] if self.repeats == 1 else None
            self.estimate = estimate_noise(labels, predicted, folds=folds, seed=self.seed)
        ratio, most = removal(self.estimate, len(self.labels))
        selected, removed = decide(
            ids, labels, predicted, removable=most - len(self.removed), ratio=ratio
        )
        self._votes[selected, 1] += 1
        agreement = len(selected) / len(ids)
        self._rounds.append(Round(len(ids), agreement, len(selected), len(removed)))
        self.selected = np.union1d(self.selected, selected)
        self.removed = np.union1d(self.removed, removed)
        self.candidates = np.setdiff1d(self.candidates, np.union1d(selected, removed))
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
            folds=self._first,
            learner=self.learner,
            estimate=self.estimate,
            rounds=tuple(self._rounds),
        )
