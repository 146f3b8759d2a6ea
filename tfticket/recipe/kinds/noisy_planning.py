"""What a recipe of the kind `noisy` will do, told before it starts."""

from __future__ import annotations

import time

import keras

from tfticket.data import ChunkedFit
from tfticket.recipe.kinds.noisy_pairs import make_pair
from tfticket.recipe.noisy_cells import NoisyCell
from tfticket.recipe.noisy_experiment import NoisyExperiment
from tfticket.recipe.noisy_schema import Method
from tfticket.recipe.progress import NormsPlan, PlannedCell, worth_timing
from tfticket.recipe.rundir import RunDir

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
