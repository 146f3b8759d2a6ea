"""The selections of a run, made fold by fold on disk: methods of a seed and a noise share one."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tfticket.noise import CleanSplit, Corruption, theory
from tfticket.noise.comparison import diagnose
from tfticket.noise.incv.selection import fold_file
from tfticket.recipe.noise import Noise
from tfticket.runs.plan import Task, Trial
from tfticket.runs.progress import Progress
from tfticket.runs.rundir import RunDir

if TYPE_CHECKING:
    from tfticket.studies.noisy.study import NoisyStudy


@dataclass(frozen=True)
class Fold:
    """One network of a selection: it predicts the examples that it wasn't trained on.

    Attributes:
        seed: Of the run.
        noise: Which noise.
        iteration: From 0.
        number: Of the fold, from 0.
    """

    seed: int
    noise: Noise
    iteration: int
    number: int

    def path(self, run: RunDir) -> Path:
        """Return its file in a run."""
        return fold_file(folder(run, self.seed, self.noise), self.iteration, self.number)


def folder(run: RunDir, seed: int, noise: Noise) -> Path:
    """Return the folder of the folds of a selection, which a resumed run goes on with."""
    return run.path / f"seeds/seed_{seed}/folds/{noise.label}"


class Selections:
    """The selections of a recipe: all methods of a seed and a noise share one.

    Args:
        study: The study.
    """

    def __init__(self, study: NoisyStudy) -> None:
        self._study = study
        self._found: dict[tuple[int, str], CleanSplit] = {}

    def folds(self, seed: int, noise: Noise) -> dict[Task, Fold]:
        """Return a task for each fold; those of an iteration wait for all of the one before."""
        incv = self._study.incv(seed)
        tasks: dict[Task, Fold] = {}
        before: tuple[str, ...] = ()
        for iteration in range(incv.iterations):
            start = f"seed {seed}, {noise.label}, network"
            names = [
                f"{start} {iteration * incv.folds + fold + 1} that selects"
                for fold in range(incv.folds)
            ]
            for fold, name in enumerate(names):
                tasks[Task(name, after=before)] = Fold(seed, noise, iteration, fold)
            before = tuple(names)
        return tasks

    def train_fold(self, fold: Fold, run: RunDir, progress: Progress) -> None:
        """Train the network of a fold, unless the selection was stable before.

        Args:
            fold: The fold; those of the iterations before are finished.
            run: The run directory.
            progress: Hears of a training of its share of the selection's steps.

        Raises:
            TFTicketError: when nothing can be selected.
        """
        incv = self._study.incv(fold.seed)
        corruption = self._study.corruption(fold.seed, fold.noise)
        number, networks = fold.iteration * incv.folds + fold.number + 1, incv.cost(0).fits
        all_steps = incv.cost(len(corruption.given)).steps
        steps = all_steps // networks
        if number == networks:
            steps = all_steps - steps * (networks - 1)
        trained = False

        def tell(number: int, of: int) -> None:
            nonlocal trained
            trained = True
            what = f"{fold.noise.label}, selecting by network {number} of {of}"
            progress.begin(Trial(fold.seed, what), steps, 1.0)

        incv.train_fold(
            self._study.inputs(fold.seed, fold.noise),
            corruption.given,
            folder=folder(run, fold.seed, fold.noise),
            iteration=fold.iteration,
            fold=fold.number,
            tell=tell,
        )
        if not trained:  # a selection that is stable sooner has done all of its steps
            progress.begin(Trial(fold.seed, f"{fold.noise.label}, selected"), steps, 1.0)
        progress.update(steps, {})

    def split(self, seed: int, noise: Noise, corruption: Corruption, run: RunDir) -> CleanSplit:
        """Return the selection of a seed and a noise.

        Args:
            seed: Of the run.
            noise: Which noise.
            corruption: Its labels.
            run: The run directory.

        Raises:
            TFTicketError: when nothing can be selected.
        """
        key = (seed, noise.label)
        if key not in self._found:
            found = self._study.incv(seed).select(
                self._study.inputs(seed, noise), corruption.given, folder=folder(run, seed, noise)
            )
            self._found = {key: found}  # one at a time
        return self._found[key]


def estimates(split: CleanSplit, corruption: Corruption) -> dict[str, float]:
    """Return the estimate of a selection, and what was selected against the truth."""
    estimate = split.estimate
    precision, recall = theory.label_quality(
        corruption.true, corruption.given, selected=split.clean
    )
    return {
        "estimated_rate": estimate.rate,
        "estimated_low": estimate.low,
        "estimated_high": estimate.high,
        "identifiable": float(estimate.identifiable),
        "selected": len(split.clean) / len(split),
        "candidates": len(split.candidate) / len(split),
        "removed": len(split.removed) / len(split),
        "selected_precision": precision,
        "selected_recall": recall,
    }


def compared(split: CleanSplit, corruption: Corruption) -> dict[str, float]:
    """Compare theory with what the networks did, as far as both are numbers."""
    found = diagnose(split, corruption)
    values = {
        f"{name}_{measure}": getattr(each, measure)
        for name, each in (("predicted", found.predicted), ("observed", found.observed))
        for measure in ("accuracy", "precision", "recall")
    }
    values |= {"suspect_precision": found.suspect_precision, "suspect_recall": found.suspect_recall}
    return {name: value for name, value in values.items() if math.isfinite(value)}


def matrices(split: CleanSplit, corruption: Corruption) -> dict[str, np.ndarray]:
    """Return realized and estimated transition matrix, and counts by true and predicted class."""
    known = corruption.true >= 0  # the others are of no class
    predicted = split.probabilities.argmax(axis=1)
    counts = np.zeros((corruption.num_classes, corruption.num_classes), np.int64)
    np.add.at(counts, (corruption.true[known], predicted[known]), 1)
    return {
        "realized": corruption.realized,
        "estimated": split.estimate.matrix,
        "confusion": counts,
    }
