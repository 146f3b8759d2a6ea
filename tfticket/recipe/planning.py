"""What a run will do, told before it starts."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping

import keras
import numpy as np

from tfticket.lottery.trial import TICKET, Trial
from tfticket.recipe.experiment import Experiment, pruner, schedule
from tfticket.recipe.progress import Plan, PlannedLevel
from tfticket.recipe.rundir import RunDir
from tfticket.schedules import PruningSchedule
from tfticket.sparsity.mask import Mask
from tfticket.sparsity.pruners import GlobalPruner, Pruner
from tfticket.state import named_variables, prunable_variables

_BYTES_A_WEIGHT = 4
_OTHER_BYTES = 3 * 2**20  # the report, the exported files of a small network


def plan(
    experiment: Experiment, run: RunDir, trials: list[Trial], model: keras.Model, *, measure: bool
) -> Plan:
    """Counts levels and steps, and estimates time and disk.

    Args:
        experiment: The recipe with its data.
        run: Where it runs; what is finished there isn't to be done.
        trials: The networks of one seed.
        model: A compiled network of the recipe. Training it for a moment is how time is estimated,
            so it must not be used afterwards.
        measure: Whether to estimate time.
    """
    recipe = experiment.recipe
    lottery = recipe.lottery
    kernels = prunable_variables(model, lottery.skip)
    shapes = {key: tuple(kernel.shape) for key, kernel in kernels.items()}
    levels = planned_levels(schedule(lottery), pruner(lottery, model), shapes)
    branches: dict[str, list[int]] = {}
    for trial in trials:
        branches.setdefault(trial.branch, []).append(trial.level)
    left = [
        trial
        for seed in recipe.seeds
        for trial in trials
        if not run.finished(seed, trial.branch, trial.level)
    ]
    steps_left = sum(trial.steps for trial in left)
    return Plan(
        title=recipe.title,
        seeds=recipe.seeds,
        levels=levels,
        branches={branch: tuple(numbers) for branch, numbers in branches.items()},
        steps_per_level=recipe.train.steps,
        steps_total=sum(trial.steps for trial in trials) * len(recipe.seeds),
        steps_left=steps_left,
        seconds=_seconds_a_step(experiment, model) * steps_left if measure and left else None,
        size_bytes=_size_bytes(model, levels, trials) * len(recipe.seeds) + _OTHER_BYTES,
    )


def planned_levels(
    schedule: PruningSchedule, pruner: Pruner, shapes: Mapping[str, tuple[int, ...]]
) -> tuple[PlannedLevel, ...]:
    """The number of survivors of each variable at each level, from 0."""
    mask = Mask.ones(shapes)
    levels = [PlannedLevel(0, mask.counts(), mask.total)]
    for level in range(1, schedule.levels + 1):
        rate = schedule.rate(level)
        if isinstance(pruner, GlobalPruner):
            share = 1.0 - schedule.sparsity(level)
            counts = {key: round(count * share) for key, count in levels[0].counts.items()}
        else:
            # How many go doesn't depend on the scores, only which.
            mask = pruner.prune({key: np.zeros(mask[key].shape) for key in mask}, mask, rate)
            counts = mask.counts()
        levels.append(PlannedLevel(level, counts, mask.total))
    return tuple(levels)


def _seconds_a_step(experiment: Experiment, model: keras.Model) -> float:
    """Trains two chunks and times the second, which has nothing left to compile."""
    feed = experiment.feed(seed=0)
    arguments = {**feed.fit_arguments(), "validation_data": experiment.validation(), "verbose": 0}
    ends: list[float] = []
    clock = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: ends.append(time.perf_counter())
    )
    model.fit(**arguments, epochs=2, callbacks=[clock])
    return (ends[1] - ends[0]) / feed.chunk_steps


def _size_bytes(model: keras.Model, levels: tuple[PlannedLevel, ...], trials: list[Trial]) -> int:
    """Start and end of each ticket, the start of each control; only survivors take space."""
    others = sum(math.prod(v.shape) for v in named_variables(model).values())
    others -= levels[0].remaining
    total = 4 * (others + levels[0].remaining)  # initial and rewind point with optimizer slots
    for trial in trials:
        copies = 2 if trial.branch == TICKET else 1
        total += copies * (others + levels[trial.level].remaining) + levels[0].remaining // 32
    return total * _BYTES_A_WEIGHT
