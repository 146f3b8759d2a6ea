"""Plan a search: how many weights survive at each level, how long it takes, how much it writes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import keras
import numpy as np

from tfticket.lottery.trial import TICKET, Trial
from tfticket.runs.plan import Plan, PlannedCondition, Survivors
from tfticket.runs.rundir import RunDir
from tfticket.schedules import PruningSchedule
from tfticket.sparsity.mask import Mask
from tfticket.sparsity.pruner import Pruner
from tfticket.sparsity.pruners import GlobalPruner
from tfticket.sparsity.structure import Structure
from tfticket.state import named_variables, prunable_variables
from tfticket.studies.lottery.search import pruner, schedule
from tfticket.studies.training import seconds_per_step

if TYPE_CHECKING:
    from tfticket.studies.lottery.study import LotteryStudy

_BYTES_A_WEIGHT = 4
_OTHER_BYTES = 3 * 2**20  # the report, the exported files of a small network


def plan(
    study: LotteryStudy, run: RunDir, trials: Sequence[Trial], model: keras.Model, *, timed: bool
) -> Plan:
    """Count levels and steps, and estimate time and disk space.

    Args:
        study: The study.
        run: The run directory; what is finished there is left out.
        trials: The networks of one seed.
        model: A compiled network of the recipe. Training it for a moment is how time is estimated,
            so it must not be used afterwards.
        timed: Whether to estimate time, where that takes less than the run.
    """
    recipe, lottery = study.recipe, study.recipe.lottery
    kernels = prunable_variables(model, lottery.skip)
    shapes = {key: tuple(kernel.shape) for key, kernel in kernels.items()}
    levels = planned_levels(schedule(lottery), pruner(lottery, model), shapes)

    def seconds(left: Sequence[PlannedCondition]) -> float:
        step = seconds_per_step(model, study.feed(0), study.validation())
        return step * sum(condition.steps for condition in left)

    return Plan.of(
        recipe,
        run,
        [
            PlannedCondition(
                trial.branch, recipe.seeds, trial.steps, trial.level, survivors=levels[trial.level]
            )
            for trial in trials
        ],
        seconds=seconds,
        timed=timed,
        size_bytes=_size_bytes(model, levels, trials) * len(recipe.seeds) + _OTHER_BYTES,
        rows="levels",
        structure=lottery.structure,
    )


def planned_levels(
    schedule: PruningSchedule, pruner: Pruner, shapes: Mapping[str, tuple[int, ...]]
) -> tuple[Survivors, ...]:
    """Return the number of survivors of each variable at each level, from 0.

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
        Survivors(count, dense.total, exact or level == 0) for level, count in enumerate(counts)
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


def _size_bytes(model: keras.Model, levels: Sequence[Survivors], trials: Sequence[Trial]) -> int:
    """Start and end of each ticket, the start of each control; only survivors take space."""
    others = sum(math.prod(v.shape) for v in named_variables(model).values())
    others -= levels[0].remaining
    total: int = 4 * (others + levels[0].remaining)  # initial and rewind point with optimizer slots
    for trial in trials:
        copies = 2 if trial.branch == TICKET else 1
        total += copies * (others + levels[trial.level].remaining) + levels[0].remaining // 32
    return total * _BYTES_A_WEIGHT
