"""Evaluations, rows and timing of a training, shared by all kinds of studies."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np

from tfticket.data import ChunkedFit, Feed
from tfticket.internals import flat_layers
from tfticket.lottery.trial import Trial as SearchTrial
from tfticket.lottery.trial import TrialListener, TrialResult
from tfticket.metrics import Row
from tfticket.runs.plan import Trial
from tfticket.runs.progress import Progress
from tfticket.statistics import normalizes_by_batch

Hook = Callable[[int, Mapping[str, float]], None]
"""Takes the steps that a training has made, and what was measured then."""

_MOST_TIMED_STEPS = 20  # a chunk of a large network can take minutes


class Watch(keras.callbacks.Callback):
    """Keeps the evaluations of a training, reports them, and ends what has diverged.

    Args:
        chunk_steps: Steps between two evaluations.
        hook: Takes the steps made so far and what was measured.
        first_step: The step that training begins at.

    Attributes:
        measured: Step to the logs of Keras.
        diverged_step: Where the loss of training was found not to be finite.
    """

    def __init__(self, chunk_steps: int, hook: Hook, first_step: int = 0) -> None:
        super().__init__()
        self.measured: dict[int, dict[str, float]] = {}
        self.diverged_step: int | None = None
        self._chunk_steps = chunk_steps
        self._hook = hook
        self._first_step = first_step

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """An epoch of Keras is a chunk of steps."""
        made = (epoch + 1) * self._chunk_steps
        step = self._first_step + made
        found = {name: float(value) for name, value in (logs or {}).items()}
        self.measured[step] = found
        self._hook(made, {**found, **self.also_measured(step)})
        if not math.isfinite(found["loss"]):
            self.diverged_step = step
            self.model.stop_training = True

    def also_measured(self, step: int) -> Mapping[str, float]:
        """Measure at an evaluation; returns what is reported beside the logs."""
        return {}

    @property
    def divergence(self) -> dict[str, float]:
        """`diverged` and `diverged_step` of a training that diverged, else nothing."""
        if self.diverged_step is None:
            return {}
        return {"diverged": 1.0, "diverged_step": float(self.diverged_step)}


def by_split(
    logs: Mapping[str, float], train: Sequence[str] = ("loss", "accuracy")
) -> dict[str, dict[str, float]]:
    """Divide the logs of an evaluation: split to measurements by name, as far as they are there.

    Args:
        logs: Those of Keras.
        train: What counts of the training data.
    """
    held_out = {name: f"val_{name}" for name in ("loss", "accuracy")}
    return {
        "train": {name: logs[name] for name in train if name in logs},
        "validation": {name: logs[key] for name, key in held_out.items() if key in logs},
    }


def outcomes(
    along: Mapping[str, Sequence[float]], validation: Sequence[float], last: int
) -> dict[str, float]:
    """Summarize measures along a training without choosing by what they measure.

    Each is given as the mean of the last evaluations (`_last`), as the mean of all of them
    (`_mean`), at the end (`_at_end`), and where validation data would have stopped: at the first of
    its best evaluations (`_by_validation`). The best of a measure on test data isn't among them:
    the test data would have chosen it.

    Args:
        along: Name to its value at each evaluation, one or more.
        validation: Accuracy on the validation data at each evaluation.
        last: How many of the last evaluations to take the mean of.
    """
    stop, found = int(np.argmax(validation)), {}
    for name, values in along.items():
        found[f"{name}_last"] = float(np.mean(values[-last:]))
        found[f"{name}_mean"] = float(np.mean(values))
        found[f"{name}_by_validation"] = float(values[stop])
        found[f"{name}_at_end"] = float(values[-1])
    return found


def rows_of(
    seed: int, branch: str, step: int, epoch: float, split: str, found: Mapping[str, float]
) -> list[Row]:
    """Return a row for each finite number; others are no measurement, but of what diverged."""
    return [
        Row(seed, branch, 0, step, epoch, split, name, float(value))
        for name, value in found.items()
        if math.isfinite(value)
    ]


def statistics_batches(model: keras.Model, feed: Feed, examples: int) -> list[Any] | None:
    """Return the first batches of a feed, to take a network's batch statistics from.

    Args:
        model: The network; one that doesn't normalize by batches gets None.
        feed: Its training data.
        examples: How many must be in the batches at least.
    """
    if not any(normalizes_by_batch(layer) for layer in flat_layers(model)):
        return None
    count = -(-examples // feed.batch_size)
    return [x for x, _ in feed.dataset(endless=True).take(count)]


class SearchListener(TrialListener):
    """Passes the events of a search for tickets on to the listener of a run.

    Args:
        progress: The listener of the run.
        seed: The seed of the search.
        prefix: Begins the names of networks.
    """

    def __init__(self, progress: Progress, seed: int, prefix: str = "") -> None:
        self._progress = progress
        self._seed = seed
        self._prefix = prefix

    def begin(self, trial: SearchTrial, density: float) -> None:
        """See `TrialListener`."""
        own = Trial(self._seed, self.name(trial), trial.level)
        self._progress.begin(own, trial.steps, density)

    def name(self, trial: SearchTrial) -> str:
        """Return the name of a network."""
        return self._prefix + trial.branch

    def update(self, trial: SearchTrial, step: int, logs: Mapping[str, float]) -> None:
        """See `TrialListener`."""
        self._progress.update(step - trial.start_step, logs)

    def end(self, result: TrialResult) -> None:
        """See `TrialListener`."""
        summary = {
            "density": result.density,
            "early_stop_step": float(result.early_stop_step or 0),
            "seconds": result.seconds,
            **{f"{name}_at_early_stop": value for name, value in result.at_early_stop.items()},
            **{f"{name}_at_end": value for name, value in result.at_end.items()},
        }
        own = Trial(self._seed, self.name(result.trial), result.trial.level)
        self._progress.end(own, summary)


class _Stopwatch(keras.callbacks.Callback):
    """Times the last epoch: its one execution, and what else it takes, such as validation."""

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """See `Callback`."""
        self._began = time.perf_counter()

    def on_train_batch_begin(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        """See `Callback`."""
        self._execution_began = time.perf_counter()

    def on_train_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        """See `Callback`."""
        self.execution = time.perf_counter() - self._execution_began

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """See `Callback`."""
        self.rest = time.perf_counter() - self._began - self.execution


def seconds_per_step(model: keras.Model, feed: Feed, validation_data: Any = None) -> float:
    """Time the second of two short chunks, which has nothing left to compile.

    What comes once a chunk, such as validation, counts as often as it will come.

    Args:
        model: A compiled network, which must not be used afterwards.
        feed: Its training data, which must not be used afterwards.
        validation_data: As of `fit`.
    """
    chunk = feed.chunk_steps
    feed.chunk_steps = model.steps_per_execution = steps = min(chunk, _MOST_TIMED_STEPS)
    watch = _Stopwatch()
    model.fit(
        **feed.fit_arguments(),
        epochs=2,
        validation_data=validation_data,
        callbacks=[watch, ChunkedFit(feed)],
        verbose=0,
    )
    return watch.execution / steps + watch.rest / chunk
