"""Runs a recipe of the kind `noisy`: each training kept on disk when it has ended."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np

from tfticket.data import DataSet
from tfticket.files import write_arrays
from tfticket.metrics import Row
from tfticket.recipe.building import forget_graphs
from tfticket.recipe.corrupting import listed, receipt
from tfticket.recipe.foreign import foreign_data
from tfticket.recipe.kinds.noisy_planning import plan_cells
from tfticket.recipe.kinds.noisy_selection import Fold, Selections, compared, matrices, told
from tfticket.recipe.kinds.noisy_training import rows_of, train
from tfticket.recipe.noisy_cells import NoisyCell, noisy_cells
from tfticket.recipe.noisy_experiment import NoisyExperiment
from tfticket.recipe.noisy_schema import NoisyRecipe
from tfticket.recipe.progress import NormsPlan, Progress
from tfticket.recipe.rundir import RunDir
from tfticket.recipe.tasks import Task

CELL = "noisy_cell"
"""The kind of file that holds what one training left."""


@dataclass(frozen=True)
class _Outcome:
    rows: tuple[Row, ...]
    header: Mapping[str, Any]
    arrays: Mapping[str, np.ndarray]
    summary: Mapping[str, float] = field(default_factory=dict)


class NoisyWork:
    """What a recipe of the kind `noisy` does in a run directory.

    A task is a training, or a fold of the selection that trainings of a seed and a noise share.

    Args:
        recipe: The recipe.
        data: Its data.
        data_dir: Where data sets lie.
    """

    def __init__(self, recipe: NoisyRecipe, data: DataSet, data_dir: Path | None = None) -> None:
        foreign = foreign_data(recipe.noise, data, data_dir)
        self._experiment = NoisyExperiment(recipe, data, foreign)
        self._cells = noisy_cells(recipe)
        self._selections = Selections(self._experiment)

    def plan(self, run: RunDir, *, timed: bool) -> NormsPlan:
        """See `works.Work`."""
        made = plan_cells(self._experiment, run, self._cells, timed=timed)
        forget_graphs()
        return made

    def tasks(self) -> tuple[Task, ...]:
        """See `works.Work`."""
        return tuple(self._tasks)

    def network(self) -> keras.Model:
        """See `works.Work`."""
        return self._experiment.network(self._experiment.recipe.seeds[0], "any")

    @contextlib.contextmanager
    def opened(self, run: RunDir) -> Iterator[None]:
        """See `works.Work`."""
        listed(
            run,
            [cell.to_dict() for cell in self._cells],
            self._experiment.recipe.noise,
            foreign=self._experiment.foreign,
        )
        yield

    def finished(self, task: Task, run: RunDir) -> bool:
        """See `works.Work`; a fold that nothing waits for any more needs no training."""
        found = self._tasks[task]
        if isinstance(found, Fold):
            waiting = [each for each in self._tasks if task.name in each.after and each.places]
            unneeded = all(run.all_finished(each.places) for each in waiting)
            return unneeded or found.path(run).is_file()
        return run.all_finished(task.places)

    def do(self, task: Task, run: RunDir, progress: Progress) -> None:
        """See `works.Work`."""
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
        """See `works.Work`; nothing is left to do."""
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
