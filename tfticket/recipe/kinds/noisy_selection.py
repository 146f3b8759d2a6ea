"""Held-out predictions of a run: made once for a seed and a noise, and kept on disk."""

from __future__ import annotations

import math

import numpy as np

from tfticket.audit.diagnosis import diagnose
from tfticket.noisy import CleanSplit, Corruption, theory
from tfticket.recipe.noise import Noise
from tfticket.recipe.noisy_experiment import NoisyExperiment
from tfticket.recipe.progress import Progress
from tfticket.recipe.rundir import RunDir


class Selections:
    """Selects examples when a method first asks for it; all methods of a seed share one selection.

    Args:
        experiment: A recipe with its data.
        run: Finished folds are kept there, so that what was stopped goes on.
    """

    def __init__(self, experiment: NoisyExperiment, run: RunDir) -> None:
        self._experiment = experiment
        self._run = run
        self._found: dict[tuple[int, str], CleanSplit] = {}

    def split(
        self, seed: int, noise: Noise, corruption: Corruption, progress: Progress
    ) -> CleanSplit:
        """The selection of a seed and a noise.

        Args:
            seed: Of the run.
            noise: Which noise.
            corruption: Its labels.
            progress: Is told of each network, as of a training of its share of the steps.

        Raises:
            TFTicketError: when nothing can be selected.
        """
        key = (seed, noise.label)
        if key not in self._found:
            incv = self._experiment.incv(seed)
            steps = incv.cost(len(corruption.given)).steps
            reporter = _FoldReporter(progress, seed, noise.label, steps)
            found = incv.select(
                self._experiment.inputs(seed, noise),
                corruption.given,
                folder=self._run.path / f"seeds/seed_{seed}/folds/{noise.label}",
                tell=reporter.begin,
            )
            reporter.end()
            self._found = {key: found}  # one at a time
        return self._found[key]


class _FoldReporter:
    """Passes on how a selection goes; one that is stable sooner has done all of its steps."""

    def __init__(self, progress: Progress, seed: int, label: str, steps: int) -> None:
        self._progress = progress
        self._seed = seed
        self._label = label
        self._steps = self._left = steps
        self._share = 0

    def begin(self, number: int, of: int) -> None:
        """Network `number` of `of` begins."""
        self._advance(self._share)
        self._share = self._steps // of
        self._announce(f"selecting by network {number} of {of}", self._share)

    def end(self) -> None:
        """The selection is made."""
        self._advance(self._share)
        if self._share and self._left:
            self._announce("selected", self._left)
            self._advance(self._left)

    def _announce(self, what: str, steps: int) -> None:
        self._progress.begin(self._seed, f"{self._label}, {what}", 0, steps, 1.0)

    def _advance(self, steps: int) -> None:
        self._left -= steps
        if steps:
            self._progress.update(steps, {})


def told(split: CleanSplit, corruption: Corruption) -> dict[str, float]:
    """What a selection came to: the estimate, and what was selected against the truth."""
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
    """Theory against what the networks did, as far as both are numbers."""
    found = diagnose(split, corruption)
    values = {
        f"{name}_{measure}": getattr(each, measure)
        for name, each in (("predicted", found.predicted), ("observed", found.observed))
        for measure in ("accuracy", "precision", "recall")
    }
    values |= {"suspect_precision": found.suspect_precision, "suspect_recall": found.suspect_recall}
    return {name: value for name, value in values.items() if math.isfinite(value)}


def matrices(split: CleanSplit, corruption: Corruption) -> dict[str, np.ndarray]:
    """Realized and estimated transition matrix, and the confusion of true class and prediction."""
    known = corruption.true >= 0  # the others are of no class
    predicted = split.probabilities.argmax(axis=1)
    counts = np.zeros((corruption.num_classes, corruption.num_classes), np.int64)
    np.add.at(counts, (corruption.true[known], predicted[known]), 1)
    return {
        "realized": corruption.realized,
        "estimated": split.estimate.matrix,
        "confusion": counts,
    }
