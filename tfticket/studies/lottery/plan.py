"""What a search will do, how long it takes and how much it writes."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from tfticket.data import ChunkedFit
from tfticket.lottery.trial import (
    TICKET,
    Trial,
)
from tfticket.runs.progress import Plan, PlannedLevel, worth_timing
from tfticket.runs.rundir import RunDir
from tfticket.schedules import PruningSchedule
from tfticket.sparsity.mask import Mask
from tfticket.sparsity.pruner import Pruner
from tfticket.sparsity.pruners import GlobalPruner
from tfticket.sparsity.structure import Structure
from tfticket.state import named_variables, prunable_variables
from tfticket.studies.lottery.experiment import (
    Experiment,
    pruner,
    schedule,
)

_BYTES_A_WEIGHT = 4
_OTHER_BYTES = 3 * 2**20  # the report, the exported files of a small network
_MOST_TIMED_STEPS = 20  # a chunk of a large network can take minutes


def plan(
    experiment: Experiment, run: RunDir, trials: list[Trial], model: keras.Model, *, timed: bool
) -> Plan:
    """Counts levels and steps, and estimates time and disk.

    Args:
        experiment: The recipe with its data.
        run: Where it runs; what is finished there isn't to be done.
        trials: The networks of one seed.
        model: A compiled network of the recipe. Training it for a moment is how time is estimated,
            so it must not be used afterwards.
        timed: Whether to estimate time, where that takes less than doing it.
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
        seconds=_seconds_a_step(experiment, model) * steps_left
        if timed and worth_timing(steps_left)
        else None,
        size_bytes=_size_bytes(model, levels, trials) * len(recipe.seeds) + _OTHER_BYTES,
        structure=lottery.structure,
    )


def planned_levels(
    schedule: PruningSchedule, pruner: Pruner, shapes: Mapping[str, tuple[int, ...]]
) -> tuple[PlannedLevel, ...]:
    """The number of survivors of each variable at each level, from 0.

    Raises:
        MaskError: when the structure can't get as sparse as the schedule says.
    """
    dense = Mask.ones(shapes)
    if isinstance(pruner, GlobalPruner):
        pruner.quotas(dense, schedule.sparsity(schedule.levels))
        shares = [1.0 - schedule.sparsity(level) for level in range(schedule.levels + 1)]
        counts = [_expected(pruner.structure, dense, share) for share in shares]
        exact = False
    else:
        rng = np.random.default_rng(0)
        scores = {key: rng.random(shape) for key, shape in shapes.items()}
        counts = _simulated(schedule, pruner, scores)
        # How many go doesn't depend on the scores, only which; but these may differ in size.
        opposite = {key: -array for key, array in scores.items()}
        single = pruner.structure.units(dense).shapes == dense.shapes
        exact = single or _simulated(schedule, pruner, opposite) == counts
    return tuple(
        PlannedLevel(level, count, dense.total, exact or level == 0)
        for level, count in enumerate(counts)
    )


def _simulated(
    schedule: PruningSchedule, pruner: Pruner, scores: Mapping[str, np.ndarray]
) -> list[dict[str, int]]:
    """The counts of a search where all networks end with these scores."""
    masks = [Mask.ones({key: array.shape for key, array in scores.items()})]
    for level in range(1, schedule.levels + 1):
        masks.append(pruner.prune(scores, masks[-1], schedule.rate(level)))
    return [mask.counts() for mask in masks]


def _expected(structure: Structure, dense: Mask, share: float) -> dict[str, int]:
    """The counts where each variable keeps the same share of its units, at least one."""
    kept = {
        key: (np.arange(array.size) < max(1, round(array.size * share))).reshape(array.shape)
        for key, array in structure.units(dense).items()
    }
    return structure.expand(Mask(kept), dense).counts()


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


def _seconds_a_step(experiment: Experiment, model: keras.Model) -> float:
    """Times the second of two short chunks, which has nothing left to compile.

    What comes once a chunk, such as validation, counts as often as it will come.
    """
    feed = experiment.feed(seed=0)
    chunk = feed.chunk_steps
    feed.chunk_steps = model.steps_per_execution = steps = min(chunk, _MOST_TIMED_STEPS)
    arguments = {**feed.fit_arguments(), "validation_data": experiment.validation(), "verbose": 0}
    watch = _Stopwatch()
    model.fit(**arguments, epochs=2, callbacks=[watch, ChunkedFit(feed)])
    return watch.execution / steps + watch.rest / chunk


def _size_bytes(model: keras.Model, levels: tuple[PlannedLevel, ...], trials: list[Trial]) -> int:
    """Start and end of each ticket, the start of each control; only survivors take space."""
    others = sum(math.prod(v.shape) for v in named_variables(model).values())
    others -= levels[0].remaining
    total = 4 * (others + levels[0].remaining)  # initial and rewind point with optimizer slots
    for trial in trials:
        copies = 2 if trial.branch == TICKET else 1
        total += copies * (others + levels[trial.level].remaining) + levels[0].remaining // 32
    return total * _BYTES_A_WEIGHT
