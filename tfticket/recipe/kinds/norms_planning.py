"""What a recipe of the kind `norms` will do, told before it starts."""

from __future__ import annotations

import time

import keras
import numpy as np

from tfticket.data import ChunkedFit
from tfticket.recipe.cells import Cell
from tfticket.recipe.norms_experiment import NormsExperiment
from tfticket.recipe.progress import NormsPlan, PlannedCell, worth_timing
from tfticket.recipe.rundir import RunDir

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
