"""Looking at labels of rows of numbers, by learners that take seconds."""

from __future__ import annotations

import numpy as np

from tfticket.audit.subject import Subject
from tfticket.errors import DataError
from tfticket.noisy import CleanSplit
from tfticket.noisy.incv_inputs import check_counts
from tfticket.noisy.incv_progress import Progress
from tfticket.noisy.incv_rule import deal
from tfticket.noisy.rows import best_learner, predict_rows
from tfticket.seeds import generator

_FOLDS = 5
_STABLE = 0.01  # as `INCV`


class RowAudit:
    """Predicts each row by learners that were taught others, and compares with its label.

        audit = RowAudit(Subject.load("npz:features.npz"))
        split = audit.run()
        print(audit.learner, split.estimate.rate)

    Rows are scaled by column. Logistic regression, nearest neighbors and the mean of both predict
    every row in the first iteration; the one by which the given labels are most likely goes on.
    Else it is what `LabelAudit` does with networks.

    Args:
        subject: The labels in question, of examples that are rows of numbers.
        folds: The learners are taught all but one of so many parts, at least 2. None is 5, and
            fewer for less than 10 examples.
        iterations: How often this is done at most, at least 1; each time they are taught what was
            found clean before.
        seed: Seed of everything.

    Attributes:
        learner: The name of the one that was chosen; empty before `run`.

    Raises:
        DataError: when a number is out of range, or examples aren't rows of numbers.
    """

    def __init__(
        self, subject: Subject, *, folds: int | None = None, iterations: int = 1, seed: int = 0
    ) -> None:
        if folds is None:
            folds = min(_FOLDS, max(2, len(subject) // 2))
        if folds < 2 or iterations < 1:
            raise DataError(
                "`folds` must be at least 2 and `iterations` at least 1. Received: "
                f"folds={folds}, iterations={iterations}."
            )
        if not subject.has_rows:
            raise DataError(
                "Examples must be rows of floats to be looked at as features. Received: "
                f"{subject.data.name} of shape {subject.data.input_shape}, "
                f"{subject.data.train.x.dtype}. Use `LabelAudit`."
            )
        self.subject = subject
        self.folds = folds
        self.iterations = iterations
        self.seed = seed
        self.learner = ""

    def run(self) -> CleanSplit:
        """Teaches, predicts and selects.

        Raises:
            DataError: when there are too few examples, or only one label occurs.
            RunError: when no label was predicted.
        """
        x, labels = self.subject.data.train.x.astype(np.float64), self.subject.given
        check_counts(labels, folds=self.folds)
        progress = Progress(labels, self.subject.data.num_classes)
        for iteration in range(self.iterations):
            selected = len(progress.selected)
            candidates = progress.candidates
            dealt = deal(
                candidates,
                labels[candidates],
                folds=self.folds,
                seed=self.seed,
                iteration=iteration,
            )
            predicted = self._predict(iteration, x, progress, dealt)
            if iteration == 0:
                self.learner = best_learner(predicted, labels[candidates])
            grown = progress.take(predicted[self.learner], dealt, seed=self.seed)
            if grown <= _STABLE * selected or len(progress.candidates) < self.folds:
                break
        return progress.result()

    def _predict(
        self, iteration: int, x: np.ndarray, progress: Progress, dealt: np.ndarray
    ) -> dict[str, np.ndarray]:
        """Held-out probabilities of all candidates by learner, each of shape (m, k)."""
        found: dict[str, np.ndarray] = {}
        for fold in range(self.folds):
            others = progress.candidates[dealt != fold]
            part = predict_rows(
                x,
                progress.labels,
                num_classes=progress.num_classes,
                train=np.concatenate([progress.selected, others]),
                held_out=progress.candidates[dealt == fold],
                rng=generator(self.seed, "rows", iteration, fold),
            )
            for name, rows in part.items():
                everyone = found.setdefault(name, np.zeros((len(dealt), progress.num_classes)))
                everyone[dealt == fold] = rows
        return found
