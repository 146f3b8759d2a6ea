"""Trains one network of a recipe of the kind `norms`, and measures it meanwhile."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np

from tfticket.data import ChunkedFit
from tfticket.metrics import Row
from tfticket.norms.landscape import ShiftRecord, SmoothnessRecord
from tfticket.recipe.cells import Cell
from tfticket.recipe.corrupting import receipt
from tfticket.recipe.kinds.norms_memorization import (
    MEMORIZATION,
    MemorizationProbe,
    memorization_probe,
    outcome,
)
from tfticket.recipe.kinds.norms_statistics import accuracies
from tfticket.recipe.kinds.norms_tickets import CellStart
from tfticket.recipe.norms_experiment import NormsExperiment
from tfticket.sparsity.binding import KeepMask
from tfticket.state import innermost_optimizer

Tell = Callable[[int, Mapping[str, float]], None]


@dataclass(frozen=True)
class TrainedCell:
    """What the training of one cell with one seed leaves.

    Attributes:
        rows: Every measurement.
        arrays: What was measured along training: `landscape/<field>`, `shift/<field>` and
            `memorization/<name>`.
        summary: The measurements of the splits `test` and `summary` by name.
        noise: What was done to the training labels; None if nothing was.
    """

    rows: tuple[Row, ...]
    arrays: Mapping[str, np.ndarray]
    summary: Mapping[str, float]
    noise: Mapping[str, Any] | None = None


@dataclass
class _Watch(keras.callbacks.Callback):
    """Notes the evaluations, tells of them, and ends what has diverged.

    Attributes:
        first_step: The step that training begins at.
        chunk_steps: Steps between two evaluations.
        tell: Is told the steps made so far and what was measured.
        measured: Step to the logs of Keras.
        latest: The last gauge and beta of the landscape.
        diverged_step: Where the loss of training was found not to be finite.
    """

    first_step: int
    chunk_steps: int
    tell: Tell
    measured: dict[int, dict[str, float]] = field(default_factory=dict)
    latest: dict[str, float] = field(default_factory=dict)
    diverged_step: int | None = None

    def __post_init__(self) -> None:
        super().__init__()

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """An epoch of Keras is a chunk of steps."""
        made = (epoch + 1) * self.chunk_steps
        logs = {name: float(value) for name, value in (logs or {}).items()}
        self.measured[self.first_step + made] = logs
        rate = float(innermost_optimizer(self.model).learning_rate)
        self.tell(made, {**logs, "learning_rate": rate, **self.latest})
        if not math.isfinite(logs["loss"]):
            self.diverged_step = self.first_step + made
            self.model.stop_training = True

    @property
    def validation_accuracy(self) -> dict[int, float]:
        """Step to accuracy on the validation data."""
        return {step: logs["val_accuracy"] for step, logs in self.measured.items()}

    def note(self, record: SmoothnessRecord) -> None:
        """A measurement of the landscape was made."""
        self.latest = {"gauge": float(record.gauge[-1]), "beta": float(record.effective_beta[-1])}


@dataclass(frozen=True)
class _Place:
    """Where in the table the measurements of one training stand."""

    seed: int
    branch: str
    steps_per_epoch: float

    def rows(self, step: int, split: str, found: Mapping[str, float]) -> list[Row]:
        """One row a number; what isn't finite is no measurement, but a network that diverged."""
        epoch = step / self.steps_per_epoch
        return [
            Row(self.seed, self.branch, 0, step, epoch, split, name, float(value))
            for name, value in found.items()
            if math.isfinite(value)
        ]


def train(
    experiment: NormsExperiment, cell: Cell, seed: int, *, start: CellStart | None, tell: Tell
) -> TrainedCell:
    """Trains a cell from its beginning to its end, or until it diverges.

    Args:
        experiment: The recipe with its data.
        cell: Which network.
        seed: Of its initial weights and of the order of the data.
        start: Where to begin, for one that is compared with a ticket; None for the initial state.
        tell: Is told the steps made so far and what was measured, at each evaluation.
    """
    began = time.perf_counter()
    model, feed = experiment.model(seed, cell), experiment.feed(seed, cell)
    first_step = 0 if start is None else start.snapshot.step
    if start is not None:
        start.snapshot.restore(model)
        feed.seek(first_step)
    mask = None if start is None else start.mask
    watch = _Watch(first_step, feed.chunk_steps, tell)
    candidates = {
        "landscape": experiment.landscape(seed, cell, watch.note),
        "shift": experiment.shift(cell),
    }
    trackers = {split: tracker for split, tracker in candidates.items() if tracker is not None}
    probe = memorization_probe(experiment, seed, first_step=first_step, feed=feed)
    trackers_and_probe = [*trackers.values(), *([] if probe is None else [probe])]
    model.fit(
        **feed.fit_arguments(),
        epochs=(cell.steps - first_step) // feed.chunk_steps,
        validation_data=experiment.validation(seed),
        callbacks=[
            *([] if mask is None else [KeepMask(mask)]),
            *trackers_and_probe,
            watch,
            ChunkedFit(feed),
        ],
        verbose=0,
    )
    test = _tested(experiment, model, cell, seed)
    summary = {"learning_rate": cell.learning_rate, "batch_size": float(cell.batch_size)}
    summary |= {} if mask is None else {"density": mask.density}
    summary |= {f"{split}_seconds": tracker.cost.seconds for split, tracker in trackers.items()}
    if probe is not None:
        summary |= {"noise_rate": probe.corruption.realized_rate}
        summary |= {f"{MEMORIZATION}_seconds": probe.seconds}
    if probe is not None and watch.diverged_step is None:
        found = outcome(probe.measured, watch.validation_accuracy, experiment.recipe.last)
        test, summary = {**found["test"], **test}, {**summary, **found["summary"]}
    if watch.diverged_step is not None:
        summary |= {"diverged": 1.0, "diverged_step": float(watch.diverged_step)}
    summary["seconds"] = time.perf_counter() - began
    records = {split: tracker.record for split, tracker in trackers.items()}
    place = _Place(seed, cell.branch, feed.batches_per_epoch)
    whole = {"test": test, "summary": summary}
    return _left(place, watch, records, whole, probe)


def _left(
    place: _Place,
    watch: _Watch,
    records: Mapping[str, SmoothnessRecord | ShiftRecord],
    whole: Mapping[str, Mapping[str, float]],
    probe: MemorizationProbe | None,
) -> TrainedCell:
    """What was measured as rows, and the curves as arrays too."""
    rows = list(_evaluations(watch, place))
    arrays: dict[str, np.ndarray] = {}
    for split, record in records.items():
        arrays |= {f"{split}/{name}": array for name, array in record.to_arrays().items()}
        rows += record.rows(
            seed=place.seed, branch=place.branch, steps_per_epoch=place.steps_per_epoch
        )
    if probe is not None:
        arrays |= {f"{MEMORIZATION}/{name}": array for name, array in probe.to_arrays().items()}
        for step, splits in probe.measured.items():
            for split, found in splits.items():
                rows += place.rows(step, split, found)
    for split, found in whole.items():
        rows += place.rows(max(watch.measured), split, found)
    noise = None if probe is None else receipt(probe.corruption)
    return TrainedCell(tuple(rows), arrays, {**whole["test"], **whole["summary"]}, noise)


def _tested(
    experiment: NormsExperiment, model: keras.Model, cell: Cell, seed: int
) -> dict[str, float]:
    at_end = model.evaluate(experiment.test(), verbose=0, return_dict=True)
    test = {f"{name}_at_end": float(value) for name, value in at_end.items()}
    return test | accuracies(experiment, model, cell, seed)


def _evaluations(watch: _Watch, place: _Place) -> Iterator[Row]:
    for step, logs in watch.measured.items():
        for split, prefix in (("train", ""), ("validation", "val_")):
            names = ("loss", "accuracy")
            found = {name: logs[prefix + name] for name in names if prefix + name in logs}
            yield from place.rows(step, split, found)
