"""Runs a recipe of the kind `norms`: each network kept on disk when it has ended."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import keras

from tfticket.data import DataSet
from tfticket.files import write_arrays
from tfticket.lottery.trial import Trial, TrialListener, TrialResult
from tfticket.recipe.building import forget_graphs
from tfticket.recipe.cells import Cell, cells
from tfticket.recipe.corrupting import listed
from tfticket.recipe.kinds.norms_planning import plan_cells
from tfticket.recipe.kinds.norms_tickets import Tickets
from tfticket.recipe.kinds.norms_training import TrainedCell, train
from tfticket.recipe.norms_experiment import NormsExperiment
from tfticket.recipe.norms_schema import NormsRecipe
from tfticket.recipe.progress import NormsPlan, Progress
from tfticket.recipe.rundir import RunDir
from tfticket.recipe.tasks import Task

CELL = "cell"
"""The kind of file that holds what one network left."""


class NormsWork:
    """What a recipe of the kind `norms` does in a run directory.

    A task is a network; those whose beginnings come from one search for a ticket are one task.

    Args:
        recipe: The recipe.
        data: Its data.
        data_dir: Where data sets lie.
    """

    def __init__(self, recipe: NormsRecipe, data: DataSet, data_dir: Path | None = None) -> None:
        self._experiment = NormsExperiment(recipe, data)
        self._cells = cells(recipe)
        self._tickets = Tickets(self._experiment)
        self._tasks = dict(_tasks(recipe, self._cells))

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
        return self._experiment.model(self._experiment.recipe.seeds[0], self._cells[0])

    @contextlib.contextmanager
    def opened(self, run: RunDir) -> Iterator[None]:
        """See `works.Work`."""
        noise = self._experiment.recipe.noise
        listed(run, [cell.to_dict() for cell in self._cells], [] if noise is None else [noise])
        yield

    def finished(self, task: Task, run: RunDir) -> bool:
        """See `works.Work`."""
        return run.all_finished(task.places)

    def do(self, task: Task, run: RunDir, progress: Progress) -> None:
        """See `works.Work`."""
        for seed, cell in self._tasks[task]:
            if run.finished(seed, cell.branch, 0):
                continue
            trained = self._train(seed, cell, self._tickets, progress)
            _save(run, seed, cell, trained)
            progress.end(seed, cell.branch, 0, trained.summary)
            forget_graphs()

    def finish(self, run: RunDir, progress: Progress) -> dict[str, Any]:
        """See `works.Work`; nothing is left to do."""
        return {}

    def _train(self, seed: int, cell: Cell, tickets: Tickets, progress: Progress) -> TrainedCell:
        start = tickets.start(seed, cell, _SearchReporter(progress, seed, cell))
        density = 1.0 if start is None or start.mask is None else start.mask.density
        first_step = 0 if start is None else start.snapshot.step
        progress.begin(seed, cell.branch, 0, cell.steps - first_step, density)
        return train(self._experiment, cell, seed, start=start, tell=progress.update)


class _SearchReporter(TrialListener):
    """Passes on how the search for a ticket goes."""

    def __init__(self, progress: Progress, seed: int, cell: Cell) -> None:
        self._progress = progress
        self._seed = seed
        self._cell = cell

    def begin(self, trial: Trial, density: float) -> None:
        """See `TrialListener`."""
        name = f"{self._cell.norm.name}, searching at level {trial.level}"
        self._progress.begin(self._seed, name, trial.level, trial.steps, density)

    def update(self, trial: Trial, step: int, logs: Mapping[str, float]) -> None:
        """See `TrialListener`."""
        self._progress.update(step - trial.start_step, logs)

    def end(self, result: TrialResult) -> None:
        """See `TrialListener`."""


def in_order(seeds: tuple[int, ...], planned: tuple[Cell, ...]) -> Iterator[tuple[int, Cell]]:
    """All networks: seed by seed, and the subnetworks of one norm together.

    The whole picture of one seed is there first, and no ticket is searched twice.
    """
    for seed in seeds:
        mine = [cell for cell in planned if seed in cell.seeds]
        if any(cell.subnetwork != "dense" for cell in mine):
            searches = list(dict.fromkeys(cell.search for cell in mine))
            mine.sort(key=lambda cell: searches.index(cell.search))
        yield from ((seed, cell) for cell in mine)


def _tasks(
    recipe: NormsRecipe, planned: tuple[Cell, ...]
) -> Iterator[tuple[Task, list[tuple[int, Cell]]]]:
    """Each task with its networks."""
    together = (lambda x: (x[0], x[1].search)) if recipe.tickets else (lambda x: x)
    for _, group in itertools.groupby(in_order(recipe.seeds, planned), together):
        networks = list(group)
        seed, branches = networks[0][0], [cell.branch for _, cell in networks]
        places = tuple((seed, branch, 0) for branch in branches)
        yield Task(f"seed {seed}, {' and '.join(branches)}", places), networks


def _save(run: RunDir, seed: int, cell: Cell, trained: TrainedCell) -> None:
    """The rows, then the file whose name makes the network finished."""
    run.append_rows(trained.rows)
    header = {**cell.to_dict(), "seed": seed, "diverged": "diverged" in trained.summary}
    header |= {} if trained.noise is None else {"noise": dict(trained.noise)}
    path = run.ticket(seed, cell.branch, 0)
    write_arrays(path, kind=CELL, header=header, arrays=trained.arrays)
