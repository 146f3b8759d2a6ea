"""A recipe of the kind `norms` with its data: each network kept on disk when it has ended."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from tfticket.data import DataSet, Feed
from tfticket.noise import Corruption
from tfticket.norms.catalog import Norm
from tfticket.norms.landscape import SmoothnessRecord
from tfticket.norms.landscape.curvature_tracker import CurvatureTracker
from tfticket.norms.landscape.trackers import LandscapeTracker, ShiftTracker
from tfticket.recipe.rates import forget_graphs
from tfticket.runs.plan import Plan, PlannedCondition, Task, Trial
from tfticket.runs.progress import Progress
from tfticket.runs.rundir import RunDir
from tfticket.seeds import sub_seed
from tfticket.studies.labels import training_labels, with_labels
from tfticket.studies.norms.conditions import Condition, conditions
from tfticket.studies.norms.schema import Multipliers, NormsRecipe
from tfticket.studies.norms.tickets import Listener, Tickets
from tfticket.studies.norms.training import train
from tfticket.studies.store import write_conditions, write_trial
from tfticket.studies.study import Study
from tfticket.studies.training import seconds_per_step

_BYTES_A_TRIAL = 20_000
_BYTES_A_PROBE = 2_500  # rows, and the arrays of the points
_OTHER_BYTES = 3 * 2**20  # the report
_FORWARD = 1 / 3  # of a step: the way back takes twice as long
_TOLERANCE = 1e-2  # of residuals: eigenvalues are off by about its square
_PRODUCTS = 30  # of the Hessian to its largest eigenvalue, of two gradients each
_TRACING_SECONDS = 8.0  # of a network's step, its measurements and its evaluation


class NormsStudy(Study):
    """A recipe of the kind `norms` with its data in memory.

    A task is a network; those whose beginnings come from one search for a ticket are one task.

    Args:
        recipe: The recipe.
        data: Its data, with the labels that it came with.
        data_dir: The directory of data sets.
    """

    recipe: NormsRecipe

    def __init__(self, recipe: NormsRecipe, data: DataSet, data_dir: Path | None = None) -> None:
        super().__init__(recipe, data, data_dir)
        self._conditions = conditions(recipe)
        self._tickets = Tickets(self)
        self._tasks = dict(_tasks(recipe, self._conditions))

    def tasks(self) -> tuple[Task, ...]:
        """See `Study`."""
        return tuple(self._tasks)

    def network(self) -> keras.Model:
        """See `Study`."""
        return self.model(self.recipe.seeds[0], self._conditions[0])

    def opened(self, run: RunDir) -> AbstractContextManager[None]:
        """See `Study`."""
        noise = self.recipe.noise
        conditions = [condition.to_dict() for condition in self._conditions]
        write_conditions(run, conditions, [] if noise is None else [noise])
        return super().opened(run)

    def do(self, task: Task, run: RunDir, progress: Progress) -> None:
        """See `Study`."""
        for seed, condition in self._tasks[task]:
            trial = Trial(seed, condition.branch)
            if run.finished(*trial):
                continue
            start = self._tickets.start(
                seed, condition, Listener(progress, seed, condition.norm.name)
            )
            density = 1.0 if start is None or start.mask is None else start.mask.density
            first_step = 0 if start is None else start.snapshot.step
            progress.begin(trial, condition.steps - first_step, density)
            left = train(self, condition, seed, start=start, hook=progress.update)
            write_trial(
                run,
                "cell",
                seed,
                condition.to_dict(),
                left.rows,
                header=left.header,
                arrays=left.arrays,
            )
            progress.end(trial, left.summary)
            forget_graphs()

    def plan(self, run: RunDir, *, timed: bool) -> Plan:
        """See `Study`."""
        landscape = self.recipe.landscape
        probes = -(-self.recipe.train.steps // landscape.every) if landscape else 0
        networks = sum(len(condition.seeds) for condition in self._conditions)
        made = Plan.of(
            self.recipe,
            run,
            [
                PlannedCondition(
                    condition.branch,
                    condition.seeds,
                    condition.steps,
                    searched=self._searched(condition),
                )
                for condition in self._conditions
            ],
            seconds=self._seconds,
            timed=timed,
            probes=probes,
            size_bytes=networks * (_BYTES_A_TRIAL + probes * _BYTES_A_PROBE) + _OTHER_BYTES,
        )
        forget_graphs()
        return made

    def _searched(self, condition: Condition) -> int:
        """Steps of the search for a ticket; its cost is put down to the ticket itself."""
        lottery = self.recipe.tickets
        if lottery is None or condition.subnetwork != "ticket":
            return 0
        return condition.steps + lottery.levels * (condition.steps - lottery.rewind_step)

    def _seconds(self, left: Sequence[PlannedCondition]) -> float:
        """Times a step at the smallest and at the largest batch, a line in between."""
        by_branch = {condition.branch: condition for condition in self._conditions}
        trained = [by_branch[condition.branch] for condition in left]
        normalized = [
            condition for condition in trained if condition.norm.name != "none"
        ] or trained
        timed = {condition.batch_size: condition for condition in normalized}
        sizes = sorted({min(timed), max(timed)})
        times = [
            seconds_per_step(self.model(0, timed[size]), self.feed(0, timed[size]))
            for size in sizes
        ]
        total = 0.0
        for condition in trained:
            step = float(np.interp(condition.batch_size, sizes, times))
            measuring = self._measuring(condition) + self.predicting(condition)
            total += step * (condition.steps + self._searched(condition) + measuring)
        return total + _TRACING_SECONDS * len(trained)

    def _measuring(self, condition: Condition) -> float:
        """Return the cost of the trackers in one training, in steps."""
        landscape, shift = self.recipe.landscape, self.recipe.shift
        steps = 0.0
        if landscape is not None:
            points = landscape.multipliers.points + 1
            steps += condition.steps / condition.interval(landscape.every) * points
        if shift is not None:
            steps += (
                condition.steps / condition.interval(shift.every) * (2 + max(1, len(shift.layers)))
            )
        curvature = self.recipe.curvature
        if curvature is not None:
            moments = condition.steps / condition.interval(curvature.every)
            steps += moments * 2 * _PRODUCTS * curvature.examples / condition.batch_size
        return steps

    def predicting(self, condition: Condition) -> float:
        """Return what predicting training and test data for memorization takes, in steps."""
        if self.recipe.noise is None:
            return 0.0
        examples = len(self.data.train) + len(self.data.test)
        evaluations = condition.steps / condition.interval(self.recipe.train.evaluate_every)
        return evaluations * examples / condition.batch_size * _FORWARD

    def model(self, seed: int, condition: Condition) -> keras.Model:
        """Return a compiled network in the initial state that belongs to the seed.

        All networks of a seed begin with the same kernels, whatever their norm: each layer draws
        its own from the seed and the layer's name.

        Raises:
            ModelError: when it can't be built or doesn't fit the data.
        """
        table = self.recipe.model
        given = {"depth": table.depth, "initializer": table.initializer}
        return self.build(
            seed,
            drawn=sub_seed(seed, "init"),
            norm=Norm(condition.norm.name, condition.norm.options),
            options={name: value for name, value in given.items() if value is not None},
            rate=condition.rate,
            steps_per_execution=self.steps_per_execution(condition),
        )

    def steps_per_execution(self, condition: Condition) -> int:
        """Return the steps between measurements: trackers see the first one of an execution."""
        recipe = self.recipe
        tables = [each for each in (recipe.landscape, recipe.shift, recipe.curvature) if each]
        every = [self.recipe.train.evaluate_every, *(table.every for table in tables)]
        return math.gcd(*(condition.interval(steps) for steps in every))

    def corruption(self, seed: int) -> Corruption | None:
        """Return the training labels of a seed; None where the recipe has no noise."""
        noise = self.recipe.noise
        return None if noise is None else training_labels(self.data, noise, seed)

    def given(self, seed: int) -> DataSet:
        """Return the data as all see it that is trained with a seed, the search for tickets too.

        Training and validation labels are as wrong as the recipe says; the test data is as it was.
        """
        noise, corruption = self.recipe.noise, self.corruption(seed)
        if noise is None or corruption is None:
            return self.data
        return with_labels(self.data, noise, seed, corruption)

    def feed(self, seed: int, condition: Condition) -> Feed:
        """Return the training data, in an order that belongs to the seed alone."""
        return self.make_feed(
            self.given(seed).train,
            seed,
            condition.interval(self.recipe.train.evaluate_every),
            batch_size=condition.batch_size,
        )

    def validation(self, seed: int) -> tf.data.Dataset:
        """Return the validation data of a seed in large batches."""
        return self.batches(self.given(seed).validation)

    def landscape(
        self,
        seed: int,
        condition: Condition,
        on_record: Callable[[SmoothnessRecord], None] | None = None,
    ) -> LandscapeTracker | None:
        """Return what measures the landscape of a condition, if the recipe asks for it."""
        table = self.recipe.landscape
        if table is None:
            return None
        return LandscapeTracker(
            condition.interval(table.every),
            multipliers=tuple(multipliers(table.multipliers)),
            direction=table.direction,
            batch=next(iter(self.feed(seed, condition).dataset()))
            if table.batch == "fixed"
            else "train",
            on_record=on_record,
            verbose=0,
        )

    def shift(self, condition: Condition) -> ShiftTracker | None:
        """Return what measures covariate shift in a condition, if the recipe asks for it."""
        table = self.recipe.shift
        if table is None:
            return None
        return ShiftTracker(condition.interval(table.every), layers=table.layers or None, verbose=0)

    def curvature(self, seed: int, condition: Condition) -> CurvatureTracker | None:
        """Return what measures curvature in a condition, if the recipe asks for it."""
        table = self.recipe.curvature
        if table is None:
            return None
        train, count = self.given(seed).train, table.examples
        return CurvatureTracker(
            condition.interval(table.every),
            batch=(self.data.inputs(train, count), train.y[:count]),
            batch_size=condition.batch_size,
            batches=table.batches,
            tolerance=_TOLERANCE,
            seed=seed,
            verbose=0,
        )


def multipliers(grid: Multipliers) -> np.ndarray:
    """Return the points of a grid, rising, shape (points,)."""
    space = np.geomspace if grid.spacing == "log" else np.linspace
    return space(grid.low, grid.high, grid.points)


def in_order(
    seeds: tuple[int, ...], planned: tuple[Condition, ...]
) -> Iterator[tuple[int, Condition]]:
    """Yield all networks: seed by seed, and the subnetworks of one norm together.

    The whole picture of one seed is there first, and no ticket is searched twice.
    """
    for seed in seeds:
        mine = [condition for condition in planned if seed in condition.seeds]
        if any(condition.subnetwork != "dense" for condition in mine):
            searches = list(dict.fromkeys(condition.search for condition in mine))
            mine.sort(key=lambda condition: searches.index(condition.search))
        yield from ((seed, condition) for condition in mine)


def _tasks(
    recipe: NormsRecipe, planned: tuple[Condition, ...]
) -> Iterator[tuple[Task, list[tuple[int, Condition]]]]:
    """Each task with its networks."""
    together = (lambda x: (x[0], x[1].search)) if recipe.tickets else (lambda x: x)
    for _, group in itertools.groupby(in_order(recipe.seeds, planned), together):
        networks = list(group)
        seed, branches = networks[0][0], [condition.branch for _, condition in networks]
        trials = tuple(Trial(seed, branch) for branch in branches)
        yield Task(f"seed {seed}, {' and '.join(branches)}", trials), networks
