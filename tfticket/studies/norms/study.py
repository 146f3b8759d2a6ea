"""Runs a recipe of the kind `norms`: each network kept on disk when it has ended."""

from __future__ import annotations

import contextlib
import itertools
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np

from tfticket.data import ChunkedFit, DataSet
from tfticket.files import write_arrays
from tfticket.lottery.trial import Trial, TrialListener, TrialResult
from tfticket.recipe.rates import forget_graphs
from tfticket.runs.progress import NormsPlan, PlannedCell, Progress, worth_timing
from tfticket.runs.rundir import RunDir
from tfticket.runs.tasks import Task
from tfticket.studies.labels import listed
from tfticket.studies.norms.conditions import Cell, cells
from tfticket.studies.norms.experiment import NormsExperiment
from tfticket.studies.norms.schema import NormsRecipe
from tfticket.studies.norms.tickets import Tickets
from tfticket.studies.norms.training import TrainedCell, train
from tfticket.studies.study import Study

CELL = "cell"
"""The kind of file that holds what one network left."""


class NormsStudy(Study):
    """What a recipe of the kind `norms` does in a run directory.

    A task is a network; those whose beginnings come from one search for a ticket are one task.

    Args:
        recipe: The recipe.
        data: Its data.
        data_dir: Where data sets lie.
    """

    def __init__(self, recipe: NormsRecipe, data: DataSet, data_dir: Path | None = None) -> None:
        super().__init__(recipe, data, data_dir)
        self._experiment = NormsExperiment(recipe, data)
        self._cells = cells(recipe)
        self._tickets = Tickets(self._experiment)
        self._tasks = dict(_tasks(recipe, self._cells))

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
        return self._experiment.model(self._experiment.recipe.seeds[0], self._cells[0])

    @contextlib.contextmanager
    def opened(self, run: RunDir) -> Iterator[None]:
        """See `Study`."""
        noise = self._experiment.recipe.noise
        listed(run, [cell.to_dict() for cell in self._cells], [] if noise is None else [noise])
        yield

    def finished(self, task: Task, run: RunDir) -> bool:
        """See `Study`."""
        return run.all_finished(task.places)

    def do(self, task: Task, run: RunDir, progress: Progress) -> None:
        """See `Study`."""
        for seed, cell in self._tasks[task]:
            if run.finished(seed, cell.branch, 0):
                continue
            trained = self._train(seed, cell, self._tickets, progress)
            _save(run, seed, cell, trained)
            progress.end(seed, cell.branch, 0, trained.summary)
            forget_graphs()

    def finish(self, run: RunDir, progress: Progress) -> dict[str, Any]:
        """See `Study`; nothing is left to do."""
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


_BYTES_A_CELL = 20_000
_BYTES_A_PROBE = 2_500  # rows, and the arrays of the points
_OTHER_BYTES = 3 * 2**20  # the report
_MOST_TIMED_STEPS = 20
_FORWARD = 1 / 3  # of a step: the way back takes twice as long
_TRACING_SECONDS = 8.0  # of a network's step, its measurements and its evaluation


def plan_cells(
    experiment: NormsExperiment, run: RunDir, planned: tuple[Cell, ...], *, timed: bool
) -> NormsPlan:
    """Counts networks and steps, and estimates time and disk.

    Args:
        experiment: The recipe with its data.
        run: Where it runs; what is finished there isn't to be done.
        planned: The cells of the recipe.
        timed: Whether to estimate time, where that takes less than doing it.
    """
    recipe = experiment.recipe
    left = [
        (seed, cell)
        for cell in planned
        for seed in cell.seeds
        if not run.finished(seed, cell.branch, 0)
    ]
    searched = {cell: _searched(experiment, cell) for cell in planned}
    steps_left = sum(cell.steps + searched[cell] for _, cell in left)
    landscape = recipe.landscape
    probes = -(-recipe.train.steps // landscape.every) if landscape else 0
    networks = sum(len(cell.seeds) for cell in planned)
    return NormsPlan(
        title=recipe.title,
        seeds=recipe.seeds,
        cells=tuple(
            PlannedCell(cell.branch, len(cell.seeds), cell.steps, searched[cell])
            for cell in planned
        ),
        probes=probes,
        steps_total=sum((cell.steps + searched[cell]) * len(cell.seeds) for cell in planned),
        steps_left=steps_left,
        seconds=_seconds(experiment, [cell for _, cell in left], searched)
        if timed and worth_timing(steps_left)
        else None,
        size_bytes=networks * (_BYTES_A_CELL + probes * _BYTES_A_PROBE) + _OTHER_BYTES,
    )


def _searched(experiment: NormsExperiment, cell: Cell) -> int:
    """Steps of the search for a ticket; its cost is put down to the ticket itself."""
    lottery = experiment.recipe.tickets
    if lottery is None or cell.subnetwork != "ticket":
        return 0
    return cell.steps + lottery.levels * (cell.steps - lottery.rewind_step)


def _seconds(experiment: NormsExperiment, left: list[Cell], searched: dict[Cell, int]) -> float:
    """Times a step at the smallest and at the largest batch, a line in between."""
    normalized = [cell for cell in left if cell.norm.name != "none"] or left
    timed = {cell.batch_size: cell for cell in normalized}
    sizes = sorted({min(timed), max(timed)})
    times = [_seconds_a_step(experiment, timed[size]) for size in sizes]
    total = 0.0
    for cell in left:
        step = float(np.interp(cell.batch_size, sizes, times))
        measuring = _measuring(experiment, cell) + predicting(experiment, cell)
        total += step * (cell.steps + searched[cell] + measuring)
    return total + _TRACING_SECONDS * len(left)


def _measuring(experiment: NormsExperiment, cell: Cell) -> float:
    """What the trackers take of one training, in steps."""
    landscape, shift = experiment.recipe.landscape, experiment.recipe.shift
    steps = 0.0
    if landscape is not None:
        points = landscape.multipliers.points + 1
        steps += cell.steps / cell.interval(landscape.every) * points
    if shift is not None:
        steps += cell.steps / cell.interval(shift.every) * (2 + max(1, len(shift.layers)))
    return steps


def predicting(experiment: NormsExperiment, cell: Cell) -> float:
    """What it takes to predict training and test data for memorization, in steps."""
    if experiment.recipe.noise is None:
        return 0.0
    examples = len(experiment.data.train) + len(experiment.data.test)
    evaluations = cell.steps / cell.interval(experiment.recipe.train.evaluate_every)
    return evaluations * examples / cell.batch_size * _FORWARD


def _seconds_a_step(experiment: NormsExperiment, cell: Cell) -> float:
    """Trains two chunks and times the second, which has nothing left to compile."""
    model = experiment.model(0, cell)
    steps = min(_MOST_TIMED_STEPS, cell.steps)
    model.steps_per_execution = steps
    feed = experiment.feed(0, cell)
    feed.chunk_steps = steps
    ends: list[float] = []
    clock = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: ends.append(time.perf_counter())
    )
    callbacks = [clock, ChunkedFit(feed)]
    model.fit(**feed.fit_arguments(), epochs=2, callbacks=callbacks, verbose=0)
    return (ends[1] - ends[0]) / steps
