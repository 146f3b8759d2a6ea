"""Trains one network of a recipe of the kind `norms`, and measures it meanwhile."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfticket.data import ChunkedFit, Feed
from tfticket.internals import flat_layers
from tfticket.metrics import Row
from tfticket.noisy import Corruption
from tfticket.noisy.memorization import Memorization, memorization
from tfticket.norms.landscape import SmoothnessRecord
from tfticket.norms.shift import ShiftRecord
from tfticket.sparsity.binding import KeepMask
from tfticket.state import Snapshot, innermost_optimizer
from tfticket.statistics import (
    batch_statistics,
    eval_norm,
    normalizes_by_batch,
    predict,
    recalibrate,
)
from tfticket.studies.labels import receipt
from tfticket.studies.norms.conditions import Cell
from tfticket.studies.norms.experiment import NormsExperiment
from tfticket.studies.norms.tickets import CellStart

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


_LARGE_BATCH = 500


def accuracies(
    experiment: NormsExperiment, model: keras.Model, cell: Cell, seed: int
) -> dict[str, float]:
    """`accuracy_precise`, `accuracy_evalnorm` and `accuracy_batch`, as far as they are asked for.

    A network that doesn't normalize by batches has one accuracy, and gives none of them. The model
    is as before when this returns.

    Args:
        experiment: The recipe with its data.
        model: A trained network.
        cell: Which one; its batch size is that of the batch statistics.
        seed: Decides the training examples that statistics are taken from: the first of the feed.
    """
    table = experiment.recipe.statistics
    if table is None or not any(normalizes_by_batch(layer) for layer in flat_layers(model)):
        return {}
    found = {}
    for kind in table.kinds:
        before = Snapshot.capture(model, step=0, optimizer=False)
        found[f"accuracy_{kind}"] = _KINDS[kind](experiment, model, cell, seed)
        before.restore(model)
    return found


def _precise(experiment: NormsExperiment, model: keras.Model, cell: Cell, seed: int) -> float:
    examples = experiment.recipe.statistics.examples if experiment.recipe.statistics else 0
    feed = experiment.feed(seed, cell)
    batches = feed.dataset(endless=True).take(-(-examples // cell.batch_size))
    recalibrate(model, (x for x, _ in batches))
    return _accuracy(experiment, model, _LARGE_BATCH)


def _evalnorm(experiment: NormsExperiment, model: keras.Model, cell: Cell, seed: int) -> float:
    with eval_norm(model, cell.batch_size):
        return _accuracy(experiment, model, _LARGE_BATCH)


def _batch(experiment: NormsExperiment, model: keras.Model, cell: Cell, seed: int) -> float:
    with batch_statistics(model):
        return _accuracy(experiment, model, cell.batch_size)


def _accuracy(experiment: NormsExperiment, model: keras.Model, batch_size: int) -> float:
    data = experiment.data
    outputs = predict(model, data.inputs(data.test), batch_size=batch_size)
    return float(np.mean(outputs.argmax(axis=-1) == data.test.y))


_KINDS: dict[str, Callable[[NormsExperiment, keras.Model, Cell, int], float]] = {
    "precise": _precise,
    "evalnorm": _evalnorm,
    "batch": _batch,
}


MEMORIZATION = "memorization"
"""The split of what is measured of the training labels."""
CLEAN = "clean"
"""The split of what is measured on test data with its true labels."""

Measured = Mapping[str, Mapping[str, float]]
"""Split to measurements by name."""


class MemorizationProbe(keras.callbacks.Callback):
    """Predicts the training and the test data at each evaluation; leaves no trace in training.

    Nothing that is trained or chosen depends on what it finds.

    Args:
        experiment: A recipe with its data.
        corruption: The training labels of the seed.
        first_step: The step that training begins at.
        chunk_steps: Steps between two evaluations.

    Attributes:
        corruption: The training labels of the seed.
        measured: Step to split to measurements by name, of evaluations at which the loss was
            finite.
        seconds: What measuring took, in all.
    """

    def __init__(
        self,
        experiment: NormsExperiment,
        corruption: Corruption,
        *,
        first_step: int,
        chunk_steps: int,
    ) -> None:
        super().__init__()
        self.corruption = corruption
        self._train = experiment.batches(experiment.data.train)
        self._test = experiment.batches(experiment.data.test)
        self._test_labels = experiment.data.test.y
        self._first_step = first_step
        self._chunk_steps = chunk_steps
        self.measured: dict[int, Measured] = {}
        self.seconds = 0.0

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """An epoch of Keras is a chunk of steps."""
        if not math.isfinite((logs or {}).get("loss", math.nan)):
            return
        began = time.perf_counter()
        found = memorization(self._classes(self._train), self.corruption)
        accuracy = np.mean(self._classes(self._test) == self._test_labels)
        step = self._first_step + (epoch + 1) * self._chunk_steps
        self.measured[step] = {
            MEMORIZATION: dataclasses.asdict(found),
            CLEAN: {"accuracy": float(accuracy)},
        }
        self.seconds += time.perf_counter() - began

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Along training, each of shape (evaluations,): `step`, and the measurements by name."""
        names = [f.name for f in dataclasses.fields(Memorization)]
        found = list(self.measured.values())
        return {
            "step": np.array(list(self.measured), dtype=np.int64),
            **{name: np.array([each[MEMORIZATION][name] for each in found]) for name in names},
            "clean_accuracy": np.array([each[CLEAN]["accuracy"] for each in found]),
        }

    def _classes(self, examples: tf.data.Dataset) -> np.ndarray:
        return self.model.predict(examples, verbose=0).argmax(axis=-1)


def memorization_probe(
    experiment: NormsExperiment, seed: int, *, first_step: int, feed: Feed
) -> MemorizationProbe | None:
    """The probe of one training; None where the recipe has no noise.

    Args:
        experiment: A recipe with its data.
        seed: Of the run.
        first_step: The step that training begins at.
        feed: What it is trained on.
    """
    corruption = experiment.corruption(seed)
    if corruption is None:
        return None
    return MemorizationProbe(
        experiment, corruption, first_step=first_step, chunk_steps=feed.chunk_steps
    )


def outcome(
    measured: Mapping[int, Measured], validation: Mapping[int, float], last: int
) -> Measured:
    """What the measurements of one training come to, by the split that it stands in.

    Each is given at the end, as the mean of the last evaluations, as the mean of all of them, which
    tells who memorizes sooner where all memorize in the end, and where the accuracy on validation
    data, whose labels are as wrong, would have stopped: names end in `_at_end`, `_last`, `_mean`
    and `_by_validation`. The best clean accuracy isn't among them: that would be chosen by the test
    data.

    Args:
        measured: Step to split to measurements by name.
        validation: Step to accuracy on the given labels of the validation data.
        last: How many of the last evaluations to take the mean of.
    """
    steps = sorted(measured)
    if not steps:
        return {"test": {}, "summary": {}}
    stop = max(steps, key=lambda step: (validation[step], -step))
    found: dict[str, dict[str, float]] = {}
    for split, into in ((CLEAN, "test"), (MEMORIZATION, "summary")):
        for name in measured[steps[-1]][split]:
            along = {step: measured[step][split][name] for step in steps}
            found.setdefault(into, {}).update(
                {
                    f"{name}_last": float(np.mean([along[step] for step in steps[-last:]])),
                    f"{name}_mean": float(np.mean([along[step] for step in steps])),
                    f"{name}_by_validation": along[stop],
                    f"{name}_at_end": along[steps[-1]],
                }
            )
    return found
