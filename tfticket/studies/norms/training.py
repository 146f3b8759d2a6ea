"""Train one network of a recipe of the kind `norms`, and measure it meanwhile."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import tensorflow as tf

from tfticket.data import ChunkedFit
from tfticket.internals import flat_layers
from tfticket.metrics import Row
from tfticket.noise import Corruption
from tfticket.noise.theory import Memorization, memorization
from tfticket.norms.landscape import SmoothnessRecord
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
from tfticket.studies.norms.conditions import Condition
from tfticket.studies.norms.tickets import Beginning
from tfticket.studies.training import Hook, Watch, by_split, outcomes, rows_of

if TYPE_CHECKING:
    from tfticket.studies.norms.study import NormsStudy


@dataclass(frozen=True)
class Trained:
    """The results of a finished training.

    Attributes:
        rows: Every measurement.
        arrays: What was measured along training: `landscape/<field>`, `shift/<field>`,
            `curvature/<field>` and `memorization/<name>`.
        summary: The measurements of the splits `test` and `summary` by name.
        header: Whether it diverged, and what was done to the training labels, if anything was.
    """

    rows: tuple[Row, ...]
    arrays: Mapping[str, np.ndarray]
    summary: Mapping[str, float]
    header: Mapping[str, Any]


class _Watch(Watch):
    """Reports the learning rate, and the last gauge and beta of the landscape, with evaluations."""

    latest: Mapping[str, float] = MappingProxyType({})

    def also_measured(self, step: int) -> dict[str, float]:
        """See `Watch`."""
        rate = float(innermost_optimizer(self.model).learning_rate)
        return {"learning_rate": rate, **self.latest}

    def note(self, record: SmoothnessRecord) -> None:
        """Notes a measurement of the landscape."""
        self.latest = {"gauge": float(record.gauge[-1]), "beta": float(record.effective_beta[-1])}


def train(
    study: NormsStudy, condition: Condition, seed: int, *, start: Beginning | None, hook: Hook
) -> Trained:
    """Train a network from its beginning to its end, or until it diverges.

    Args:
        study: The study.
        condition: The condition.
        seed: Of its initial weights and of the order of the data.
        start: Where to begin, for one that is compared with a ticket; None for the initial state.
        hook: Takes the steps made so far and what was measured, at each evaluation.
    """
    began = time.perf_counter()
    model, feed = study.model(seed, condition), study.feed(seed, condition)
    first_step, mask = 0, None
    if start is not None:
        first_step, mask = start.snapshot.step, start.mask
        start.snapshot.restore(model)
        feed.seek(first_step)
    watch = _Watch(feed.chunk_steps, hook, first_step)
    candidates = {
        "landscape": study.landscape(seed, condition, watch.note),
        "shift": study.shift(condition),
        "curvature": study.curvature(seed, condition),
    }
    trackers = {split: tracker for split, tracker in candidates.items() if tracker is not None}
    probe, corruption = None, study.corruption(seed)
    if corruption is not None:
        chunk = feed.chunk_steps
        probe = MemorizationProbe(study, corruption, first_step=first_step, chunk_steps=chunk)
    model.fit(
        **feed.fit_arguments(),
        epochs=(condition.steps - first_step) // feed.chunk_steps,
        validation_data=study.validation(seed),
        callbacks=[
            *([] if mask is None else [KeepMask(mask)]),
            *trackers.values(),
            *([] if probe is None else [probe]),
            watch,
            ChunkedFit(feed),
        ],
        verbose=0,
    )
    at_end = model.evaluate(study.test(), verbose=0, return_dict=True)
    test = {f"{name}_at_end": float(value) for name, value in at_end.items()}
    test |= accuracies(study, model, condition, seed)
    summary = {"learning_rate": condition.learning_rate, "batch_size": float(condition.batch_size)}
    summary |= {} if mask is None else {"density": mask.density}
    summary |= {f"{split}_seconds": tracker.cost.seconds for split, tracker in trackers.items()}
    header: dict[str, Any] = {"diverged": watch.diverged_step is not None}
    if probe is not None:
        header["noise"] = receipt(probe.corruption)
        summary |= {"noise_rate": probe.corruption.realized_rate}
        summary |= {f"{MEMORIZATION}_seconds": probe.seconds}
        if watch.diverged_step is None:
            validation = {step: logs["val_accuracy"] for step, logs in watch.measured.items()}
            found = outcome(probe.measured, validation, study.recipe.last)
            test, summary = {**found["test"], **test}, {**summary, **found["summary"]}
    summary |= watch.divergence
    summary["seconds"] = time.perf_counter() - began

    rows: list[Row] = []
    arrays: dict[str, np.ndarray] = {}

    def add(step: int, splits: Measured) -> None:
        for split, found in splits.items():
            epoch = step / feed.batches_per_epoch
            rows.extend(rows_of(seed, condition.branch, step, epoch, split, found))

    for step, logs in watch.measured.items():
        add(step, by_split(logs))
    for split, tracker in trackers.items():
        record = tracker.record
        arrays |= {f"{split}/{name}": array for name, array in record.to_arrays().items()}
        rows += record.rows(
            seed=seed, branch=condition.branch, steps_per_epoch=feed.batches_per_epoch
        )
    if probe is not None:
        arrays |= {f"{MEMORIZATION}/{name}": array for name, array in probe.to_arrays().items()}
        for step, splits in probe.measured.items():
            add(step, splits)
    add(max(watch.measured), {"test": test, "summary": summary})
    return Trained(tuple(rows), arrays, {**test, **summary}, header)


_LARGE_BATCH = 500


def accuracies(
    study: NormsStudy, model: keras.Model, condition: Condition, seed: int
) -> dict[str, float]:
    """Return `accuracy_precise`, `accuracy_evalnorm` and `accuracy_batch`, as far as asked for.

    A network that doesn't normalize by batches has one accuracy, and gives none of them. The model
    is as before when this returns.

    Args:
        study: The study.
        model: A trained network.
        condition: Its batch size is that of the batch statistics.
        seed: Decides the training examples that statistics are taken from: the first of the feed.
    """
    table = study.recipe.statistics
    if table is None or not any(normalizes_by_batch(layer) for layer in flat_layers(model)):
        return {}
    test, found = study.data.test, {}
    for kind in table.kinds:
        before = Snapshot.capture(model, step=0, optimizer=False)
        size = _LARGE_BATCH
        statistics: AbstractContextManager[None] = contextlib.nullcontext()
        if kind == "precise":
            batches = study.feed(seed, condition).dataset(endless=True)
            count = -(-table.examples // condition.batch_size)
            recalibrate(model, (x for x, _ in batches.take(count)))
        elif kind == "evalnorm":
            statistics = eval_norm(model, condition.batch_size)
        else:
            size, statistics = condition.batch_size, batch_statistics(model)
        with statistics:
            outputs = predict(model, study.data.inputs(test), batch_size=size)
        found[f"accuracy_{kind}"] = float(np.mean(outputs.argmax(axis=-1) == test.y))
        before.restore(model)
    return found


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
        study: The study.
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
        self, study: NormsStudy, corruption: Corruption, *, first_step: int, chunk_steps: int
    ) -> None:
        super().__init__()
        self.corruption = corruption
        self._train = study.batches(study.data.train)
        self._test = study.batches(study.data.test)
        self._test_labels = study.data.test.y
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
        classes: np.ndarray = self.model.predict(examples, verbose=0).argmax(axis=-1)
        return classes


def outcome(
    measured: Mapping[int, Measured], validation: Mapping[int, float], last: int
) -> Measured:
    """Summarize the measurements of one training, by the split that they stand in.

    Measures are given as `outcomes` says: the mean of all evaluations tells who memorizes sooner
    where all memorize in the end, and labels of the validation data are as wrong.

    Args:
        measured: Step to split to measurements by name.
        validation: Step to accuracy on the given labels of the validation data.
        last: How many of the last evaluations to take the mean of.
    """
    steps = sorted(measured)
    if not steps:
        return {"test": {}, "summary": {}}
    held_out = [validation[step] for step in steps]
    found = {}
    for split, into in ((CLEAN, "test"), (MEMORIZATION, "summary")):
        names = measured[steps[-1]][split]
        along = {name: [measured[step][split][name] for step in steps] for name in names}
        found[into] = outcomes(along, held_out, last)
    return found
