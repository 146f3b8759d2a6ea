"""Runs a recipe of the kind `noisy`: each training kept on disk when it has ended."""

from __future__ import annotations

import contextlib
import functools
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np

from tfticket.data import ChunkedFit, DataSet
from tfticket.files import write_arrays
from tfticket.metrics import Row
from tfticket.recipe.rates import forget_graphs
from tfticket.runs.progress import NormsPlan, PlannedCell, Progress, worth_timing
from tfticket.runs.rundir import RunDir
from tfticket.runs.tasks import Task
from tfticket.studies.labels import foreign_data, listed, receipt
from tfticket.studies.noisy.experiment import NoisyExperiment, make_pair
from tfticket.studies.noisy.schema import Method, NoisyCell, NoisyRecipe, noisy_cells
from tfticket.studies.noisy.training import (
    Fold,
    Selections,
    compared,
    matrices,
    rows_of,
    told,
    train,
)
from tfticket.studies.study import Study

CELL = "noisy_cell"
"""The kind of file that holds what one training left."""


@dataclass(frozen=True)
class _Outcome:
    rows: tuple[Row, ...]
    header: Mapping[str, Any]
    arrays: Mapping[str, np.ndarray]
    summary: Mapping[str, float] = field(default_factory=dict)


class NoisyStudy(Study):
    """What a recipe of the kind `noisy` does in a run directory.

    A task is a training, or a fold of the selection that trainings of a seed and a noise share.

    Args:
        recipe: The recipe.
        data: Its data.
        data_dir: Where data sets lie.
    """

    def __init__(self, recipe: NoisyRecipe, data: DataSet, data_dir: Path | None = None) -> None:
        super().__init__(recipe, data, data_dir)
        foreign = foreign_data(recipe.noise, data, data_dir)
        self._experiment = NoisyExperiment(recipe, data, foreign)
        self._cells = noisy_cells(recipe)
        self._selections = Selections(self._experiment)

    def plan(self, run: RunDir, *, timed: bool) -> NormsPlan:
        """See `Study`."""
        made = plan_cells(self._experiment, run, self._cells, timed=timed)
        forget_graphs()
        return made

    def tasks(self) -> tuple[Task, ...]:
        """See `Study`."""
        return tuple(self._tasks)

    def network(self) -> keras.Model:
        """See `Study`."""
        return self._experiment.network(self._experiment.recipe.seeds[0], "any")

    @contextlib.contextmanager
    def opened(self, run: RunDir) -> Iterator[None]:
        """See `Study`."""
        listed(
            run,
            [cell.to_dict() for cell in self._cells],
            self._experiment.recipe.noise,
            foreign=self._experiment.foreign,
        )
        yield

    def finished(self, task: Task, run: RunDir) -> bool:
        """See `Study`; a fold that nothing waits for any more needs no training."""
        found = self._tasks[task]
        if isinstance(found, Fold):
            waiting = [each for each in self._tasks if task.name in each.after and each.places]
            unneeded = all(run.all_finished(each.places) for each in waiting)
            return unneeded or found.path(run).is_file()
        return run.all_finished(task.places)

    def do(self, task: Task, run: RunDir, progress: Progress) -> None:
        """See `Study`."""
        found = self._tasks[task]
        if isinstance(found, Fold):
            self._selections.train_fold(found, run, progress)
            forget_graphs()
            return
        seed, cell = found
        outcome = self._train(seed, cell, run, progress)
        run.append_rows(outcome.rows)
        write_arrays(
            run.ticket(seed, cell.branch, 0),
            kind=CELL,
            header={**cell.to_dict(), "seed": seed, **outcome.header},
            arrays=outcome.arrays,
        )
        progress.end(seed, cell.branch, 0, outcome.summary)
        forget_graphs()

    def finish(self, run: RunDir, progress: Progress) -> dict[str, Any]:
        """See `Study`; nothing is left to do."""
        return {}

    @functools.cached_property
    def _tasks(self) -> dict[Task, tuple[int, NoisyCell] | Fold]:
        """Each task with what it trains: all folds of a selection before what is chosen by it."""
        tasks: dict[Task, tuple[int, NoisyCell] | Fold] = {}
        for seed in self._experiment.recipe.seeds:
            folds: dict[str, tuple[str, ...]] = {}
            for cell in self._cells:
                label = cell.noise.label
                if cell.method.needs_selection and label not in folds:
                    made = self._selections.folds(seed, cell.noise)
                    tasks |= made
                    folds[label] = tuple(task.name for task in made)
                after = folds[label] if cell.method.needs_selection else ()
                task = Task(f"seed {seed}, {cell.branch}", ((seed, cell.branch, 0),), after)
                tasks[task] = (seed, cell)
        return tasks

    def _train(self, seed: int, cell: NoisyCell, run: RunDir, progress: Progress) -> _Outcome:
        corruption = self._experiment.corruption(seed, cell.noise)
        summary: dict[str, float] = {"noise_rate": corruption.realized_rate}
        test: Mapping[str, float] = {}
        rows: list[Row] = []
        header: dict[str, Any] = {"receipt": receipt(corruption)}
        arrays: dict[str, np.ndarray] = {}
        split = None
        if cell.method.needs_selection:
            split = self._selections.split(seed, cell.noise, corruption, run)
            summary |= told(split, corruption)
            header["selection"] = split.to_dict()
            arrays = matrices(split, corruption)
        progress.begin(seed, cell.branch, 0, cell.steps, 1.0)
        if split is not None and cell.method.name == "held_out":
            summary |= compared(split, corruption)
        else:
            trained = train(
                self._experiment,
                cell,
                seed,
                corruption=corruption,
                split=split,
                tell=progress.update,
            )
            rows += trained.rows
            test = trained.test
            summary |= trained.summary
        epoch = (
            cell.steps * self._experiment.recipe.data.batch_size / len(self._experiment.data.train)
        )
        for name, found in (("test", test), ("summary", summary)):
            rows += rows_of(seed, cell.branch, cell.steps, epoch, name, found)
        return _Outcome(tuple(rows), header, arrays, {**test, **summary})


_BYTES_A_CELL = 60_000
_OTHER_BYTES = 2**20
_MOST_TIMED_STEPS = 10
_TRACING_SECONDS = 10.0


def plan_cells(
    experiment: NoisyExperiment, run: RunDir, planned: tuple[NoisyCell, ...], *, timed: bool
) -> NormsPlan:
    """Counts trainings and steps, and estimates time and disk.

    The steps of a selection, of half a pair each, are put down to the first method that needs it.

    Args:
        experiment: The recipe with its data.
        run: Where it runs; what is finished there isn't to be done.
        planned: The cells of the recipe.
        timed: Whether to estimate time, where that takes less than doing it.
    """
    recipe = experiment.recipe
    searched = _searched(experiment, planned)
    left = [
        cell for seed in recipe.seeds for cell in planned if not run.finished(seed, cell.branch, 0)
    ]
    total = sum(cell.steps + searched[cell.branch] for cell in planned) * len(recipe.seeds)
    steps_left = sum(cell.steps + searched[cell.branch] for cell in left)
    return NormsPlan(
        title=recipe.title,
        seeds=recipe.seeds,
        cells=tuple(
            PlannedCell(cell.branch, len(recipe.seeds), cell.steps, searched[cell.branch])
            for cell in planned
        ),
        probes=0,
        steps_total=total,
        steps_left=steps_left,
        seconds=_seconds(experiment, planned[0], left, searched)
        if timed and worth_timing(steps_left)
        else None,
        size_bytes=len(planned) * len(recipe.seeds) * _BYTES_A_CELL + _OTHER_BYTES,
    )


def _searched(experiment: NoisyExperiment, planned: tuple[NoisyCell, ...]) -> dict[str, int]:
    searched, seen = {}, set()
    for cell in planned:
        first = cell.method.needs_selection and cell.noise.label not in seen
        searched[cell.branch] = (
            experiment.incv(0).cost(len(experiment.data.train)).steps if first else 0
        )
        if first:
            seen.add(cell.noise.label)
    return searched


def _seconds(
    experiment: NoisyExperiment, cell: NoisyCell, left: list[NoisyCell], searched: dict[str, int]
) -> float:
    step = _seconds_a_step(experiment, cell)
    pairs = sum(each.steps + searched[each.branch] / 2 for each in left)
    return step * pairs + _TRACING_SECONDS * len(left)


def _seconds_a_step(experiment: NoisyExperiment, cell: NoisyCell) -> float:
    """Trains a plain pair for two chunks and times the second, which has nothing to compile."""
    corruption = experiment.corruption(0, cell.noise)
    plain = NoisyCell(cell.branch, cell.noise, Method(name="cross_entropy"), cell.steps)
    pair = make_pair(experiment, plain, 0, forget_rate=0.0, corruption=corruption, split=None)
    steps = min(_MOST_TIMED_STEPS, experiment.recipe.train.steps)
    pair.steps_per_execution = steps
    feed = experiment.feed(0, cell.noise, corruption)
    feed.chunk_steps = steps
    ends: list[float] = []
    clock = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: ends.append(time.perf_counter())
    )
    pair.fit(**feed.fit_arguments(), epochs=2, callbacks=[clock, ChunkedFit(feed)], verbose=0)
    return (ends[1] - ends[0]) / steps
