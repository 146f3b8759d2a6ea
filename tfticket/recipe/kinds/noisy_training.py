"""Trains one method of a recipe of the kind `noisy`, and measures it meanwhile."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfticket.data import ChunkedFit
from tfticket.metrics import Row
from tfticket.noise import CleanSplit, CollapseEvent, Corruption, SelectionMonitor
from tfticket.noise.coteaching.stages import Stage, fit_stages
from tfticket.recipe.kinds.noisy_pairs import make_pair, stages
from tfticket.recipe.noisy_cells import NoisyCell
from tfticket.recipe.noisy_experiment import NoisyExperiment

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
    events: list[CollapseEvent] = []
    monitor = SelectionMonitor(per_class=False, on_event=events.append)

    def arguments(stage: Stage, done: int) -> dict[str, Any]:
        feed = experiment.feed(seed, cell.noise, corruption, stage.ids)
        feed.seek(done * feed.chunk_steps)
        return {
            **feed.fit_arguments(),
            "validation_data": experiment.validation(seed, cell.noise),
            "callbacks": [monitor, watch, ChunkedFit(feed)],
            "verbose": 0,
        }

    fit_stages(pair, planned, arguments)
    summary = {"noise_rate": corruption.realized_rate, "forget_rate": planned[-1].forget_rate}
    summary |= {"events": float(len(events)), "seconds": time.perf_counter() - began}
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
