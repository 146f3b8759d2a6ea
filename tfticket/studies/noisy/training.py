"""Trains one method of a recipe of the kind `noisy`, and measures it meanwhile."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfticket.audit.diagnosis import diagnose
from tfticket.data import ChunkedFit
from tfticket.metrics import Row
from tfticket.noisy import CleanSplit, Corruption, SelectionMonitor, theory
from tfticket.noisy.incv_store import fold_file
from tfticket.recipe.noise import Noise
from tfticket.runs.progress import Progress
from tfticket.runs.rundir import RunDir
from tfticket.runs.tasks import Task
from tfticket.studies.noisy.experiment import NoisyExperiment, make_pair, stages
from tfticket.studies.noisy.schema import NoisyCell

Tell = Callable[[int, Mapping[str, float]], None]

_TRAIN = (
    "loss",
    "accuracy",
    "disagreement",
    "forget_rate",
    "keep_rate",
    "label_precision",
    "label_recall",
)


@dataclass(frozen=True)
class Trained:
    """What the training of one cell with one seed leaves.

    Attributes:
        rows: Every measurement along training.
        test: Accuracy on the clean test data by what it is the accuracy of.
        summary: What else there is to say.
    """

    rows: tuple[Row, ...]
    test: Mapping[str, float]
    summary: Mapping[str, float]


@dataclass
class _Watch(keras.callbacks.Callback):
    """Measures on the clean test data; nothing in training depends on what it finds.

    Attributes:
        test: Clean test data.
        chunk_steps: Steps of an interval.
        tell: Is told the steps made so far and what was measured, but of the test.
        measured: Step to split to measurements by name.
        diverged_step: Where the loss of training was found not to be finite.
    """

    test: tf.data.Dataset
    chunk_steps: int
    tell: Tell
    measured: dict[int, dict[str, dict[str, float]]] = field(default_factory=dict)
    diverged_step: int | None = None

    def __post_init__(self) -> None:
        super().__init__()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """An epoch of Keras is an interval."""
        step = (epoch + 1) * self.chunk_steps
        found = {name: float(value) for name, value in (logs or {}).items()}
        clean = self.model.evaluate(self.test, verbose=0, return_dict=True)
        self.measured[step] = {
            "train": {name: found[name] for name in _TRAIN if name in found},
            "validation": {name: found[f"val_{name}"] for name in ("loss", "accuracy")},
            "clean": {
                "accuracy": (clean["first_accuracy"] + clean["second_accuracy"]) / 2,
                "ensemble_accuracy": clean["accuracy"],
            },
        }
        self.tell(step, found)
        if not math.isfinite(found["loss"]):
            self.diverged_step = step
            self.model.stop_training = True


def train(
    experiment: NoisyExperiment,
    cell: NoisyCell,
    seed: int,
    *,
    corruption: Corruption,
    split: CleanSplit | None,
    tell: Tell,
) -> Trained:
    """Trains a cell from its beginning to its end.

    Args:
        experiment: The recipe with its data.
        cell: Which training.
        seed: Of the initial weights, the order of the data and the noise.
        corruption: The labels.
        split: The selection, where the method needs one.
        tell: Is told the steps made so far and what was measured.
    """
    began = time.perf_counter()
    planned = stages(experiment, cell, corruption, split)
    largest = max(stage.forget_rate for stage in planned)
    pair = make_pair(
        experiment, cell, seed, forget_rate=largest, corruption=corruption, split=split
    )
    watch = _Watch(experiment.test(), experiment.recipe.train.evaluate_every, tell)
    monitor, events, done = SelectionMonitor(per_class=False), 0, 0
    for stage in planned:
        if largest:
            pair.relief.assign(stage.forget_rate / largest)
        feed = experiment.feed(seed, cell.noise, corruption, stage.ids)
        feed.seek(done * feed.chunk_steps)
        pair.fit(
            **feed.fit_arguments(),
            initial_epoch=done,
            epochs=done + stage.intervals,
            validation_data=experiment.validation(seed, cell.noise),
            callbacks=[monitor, watch, ChunkedFit(feed)],
            verbose=0,
        )
        done += stage.intervals
        events += len(monitor.events)
        if watch.diverged_step is not None:
            break
    summary = {"noise_rate": corruption.realized_rate, "forget_rate": planned[-1].forget_rate}
    summary |= {"events": float(events), "seconds": time.perf_counter() - began}
    summary |= _quality(watch, experiment.recipe.last)
    if watch.diverged_step is not None:
        summary |= {"diverged": 1.0, "diverged_step": float(watch.diverged_step)}
    per_epoch = len(experiment.data.train) / experiment.recipe.data.batch_size
    rows = tuple(_rows(watch, seed, cell.branch, per_epoch))
    return Trained(rows, _accuracies(watch, experiment.recipe.last), summary)


def _accuracies(watch: _Watch, last: int) -> dict[str, float]:
    """Of the end, of the last evaluations, and where the noisy validation data would have stopped.

    The best of the test accuracies isn't among them: that would be chosen by the test data.
    """
    steps = sorted(watch.measured)
    clean = {
        name: np.array([watch.measured[step]["clean"][name] for step in steps])
        for name in ("accuracy", "ensemble_accuracy")
    }
    validation = [watch.measured[step]["validation"]["accuracy"] for step in steps]
    stop = int(np.argmax(validation))
    return {
        "accuracy_last": float(clean["accuracy"][-last:].mean()),
        "accuracy_at_end": float(clean["accuracy"][-1]),
        "ensemble_accuracy_last": float(clean["ensemble_accuracy"][-last:].mean()),
        "accuracy_by_validation": float(clean["accuracy"][stop]),
    }


def _quality(watch: _Watch, last: int) -> dict[str, float]:
    """Label precision and recall of what was trained on, mean of the last intervals."""
    found = [watch.measured[step]["train"] for step in sorted(watch.measured)[-last:]]
    return {
        f"{name}_last": float(np.mean([each[name] for each in found]))
        for name in ("label_precision", "label_recall")
    }


def _rows(watch: _Watch, seed: int, branch: str, steps_per_epoch: float) -> Iterator[Row]:
    for step, splits in watch.measured.items():
        for split, found in splits.items():
            yield from rows_of(seed, branch, step, step / steps_per_epoch, split, found)


def rows_of(
    seed: int, branch: str, step: int, epoch: float, split: str, found: Mapping[str, float]
) -> list[Row]:
    """A row for each finite number."""
    return [
        Row(seed, branch, 0, step, epoch, split, name, float(value))
        for name, value in found.items()
        if math.isfinite(value)
    ]


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
        """Its file in a run."""
        return fold_file(folder(run, self.seed, self.noise), self.iteration, self.number)


def folder(run: RunDir, seed: int, noise: Noise) -> Path:
    """Where the folds of a selection are kept, so that what was stopped goes on."""
    return run.path / f"seeds/seed_{seed}/folds/{noise.label}"


class Selections:
    """The selections of a recipe: all methods of a seed and a noise share one.

    Args:
        experiment: A recipe with its data.
    """

    def __init__(self, experiment: NoisyExperiment) -> None:
        self._experiment = experiment
        self._found: dict[tuple[int, str], CleanSplit] = {}

    def folds(self, seed: int, noise: Noise) -> dict[Task, Fold]:
        """A task for each fold; those of an iteration wait for all of the one before."""
        incv = self._experiment.incv(seed)
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
        """Trains the network of a fold, unless the selection was stable before.

        Args:
            fold: Which one; those of the iterations before are finished.
            run: Where it is kept.
            progress: Is told of it, as of a training of its share of the selection's steps.

        Raises:
            TFTicketError: when nothing can be selected.
        """
        incv = self._experiment.incv(fold.seed)
        corruption = self._experiment.corruption(fold.seed, fold.noise)
        number, networks = fold.iteration * incv.folds + fold.number + 1, incv.cost(0).fits
        all_steps = incv.cost(len(corruption.given)).steps
        steps = all_steps // networks
        if number == networks:
            steps = all_steps - steps * (networks - 1)
        told = False

        def tell(number: int, of: int) -> None:
            nonlocal told
            told = True
            what = f"{fold.noise.label}, selecting by network {number} of {of}"
            progress.begin(fold.seed, what, 0, steps, 1.0)

        incv.train_fold(
            self._experiment.inputs(fold.seed, fold.noise),
            corruption.given,
            folder=folder(run, fold.seed, fold.noise),
            iteration=fold.iteration,
            fold=fold.number,
            tell=tell,
        )
        if not told:  # a selection that is stable sooner has done all of its steps
            progress.begin(fold.seed, f"{fold.noise.label}, selected", 0, steps, 1.0)
        progress.update(steps, {})

    def split(self, seed: int, noise: Noise, corruption: Corruption, run: RunDir) -> CleanSplit:
        """The selection of a seed and a noise.

        Args:
            seed: Of the run.
            noise: Which noise.
            corruption: Its labels.
            run: Where its folds are kept.

        Raises:
            TFTicketError: when nothing can be selected.
        """
        key = (seed, noise.label)
        if key not in self._found:
            found = self._experiment.incv(seed).select(
                self._experiment.inputs(seed, noise),
                corruption.given,
                folder=folder(run, seed, noise),
            )
            self._found = {key: found}  # one at a time
        return self._found[key]


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
