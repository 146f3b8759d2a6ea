"""A selection between two iterations: all of it follows from held-out probabilities."""

from __future__ import annotations

import numpy as np

from tfticket.errors import RunError
from tfticket.noisy.clean_split import CleanSplit, Round
from tfticket.noisy.estimate import NoiseEstimate, estimate_noise
from tfticket.noisy.incv_rule import decide, removal


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
