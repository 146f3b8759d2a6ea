"""A recipe that searches for tickets in several variants: one search for each variant and seed."""

from __future__ import annotations

import functools
import math
from collections.abc import Collection, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Any

import keras

from tfticket.lottery.trial import Trial as SearchTrial
from tfticket.recipe.noise import Noise
from tfticket.recipe.rates import forget_graphs
from tfticket.runs.plan import Plan, PlannedCondition, Task
from tfticket.runs.progress import Progress
from tfticket.runs.rundir import RunDir
from tfticket.studies.lottery.plan import plan as plan_search
from tfticket.studies.lottery.study import LotteryStudy, search_task
from tfticket.studies.lottery.training import search_tickets
from tfticket.studies.store import write_conditions
from tfticket.studies.study import Study
from tfticket.studies.variants.schema import VariantsRecipe


class VariantsStudy(Study):
    """A recipe that searches for tickets in several variants, with its data in memory.

    A task is a search; its parts are its tickets and each of its controls. Branches on disk begin
    with the name of the variant.

    Args:
        recipe: The recipe.
        data: Its data, with the labels that they came with.
        data_dir: The directory of data sets.
    """

    recipe: VariantsRecipe
    noises: Iterable[Noise] = ()

    @functools.cached_property
    def searches(self) -> Mapping[str, LotteryStudy]:
        """Variant to its search, of the data as they came; the same where only data differ."""
        return {
            variant: LotteryStudy(self.recipe.search(variant), self.data)
            for variant in self.recipe.variants
        }

    def search(
        self, variant: str, seed: int, run: RunDir, progress: Progress, branches: Collection[str]
    ) -> None:
        """Train what isn't finished of branches of one search; see `search_tickets`."""
        search_tickets(
            self.searches[variant], run, progress, seed, branches, prefix=prefix(variant)
        )

    def network(self) -> keras.Model:
        """See `Study`."""
        return next(iter(self.searches.values())).network()

    def plan(self, run: RunDir, *, timed: bool) -> Plan:
        """See `Study`."""
        plans: dict[LotteryStudy, Plan] = {}
        conditions: list[PlannedCondition] = []
        steps_left, seconds, size_bytes = 0, 0.0, 0
        for variant, search in self.searches.items():
            planned = self._planned[search]
            if search not in plans:
                plans[search] = plan_search(search, run, planned, search.network(), timed=timed)
                forget_graphs()
            steps = sum(trial.steps for trial in planned)
            conditions.append(
                PlannedCondition(variant, self.recipe.seeds, steps, networks=len(planned))
            )
            left = sum(
                trial.steps
                for seed in self.recipe.seeds
                for trial in planned
                if not run.finished(seed, prefix(variant) + trial.branch, trial.level)
            )
            own = plans[search]  # of a run in which nothing is finished
            seconds += math.nan if own.seconds is None else own.seconds / own.steps_left * left
            steps_left += left
            size_bytes += own.size_bytes
        return replace(
            next(iter(plans.values())),
            conditions=tuple(conditions),
            steps_left=steps_left,
            seconds=None if math.isnan(seconds) else seconds,
            size_bytes=size_bytes,
            rows="searches",
        )

    def tasks(self) -> tuple[Task, ...]:
        """See `Study`."""
        return tuple(
            search_task(seed, self._planned[search], prefix(variant))
            for variant, search in self.searches.items()
            for seed in self.recipe.seeds
        )

    @functools.cached_property
    def _planned(self) -> dict[LotteryStudy, list[SearchTrial]]:
        """The networks of one seed of each search, in the order of training."""
        planned = {each: each.trials(each.network()) for each in self.searches.values()}
        forget_graphs()
        return planned

    def opened(self, run: RunDir) -> AbstractContextManager[None]:
        """See `Study`: `cells.json` says what each branch is."""
        write_conditions(run, self.cells(), self.noises)
        return nullcontext()

    def cells(self) -> list[dict[str, Any]]:
        """Return the entries of `cells.json`, one a branch."""
        return [
            self.cell(variant, network)
            for variant, search in self.searches.items()
            for network in dict.fromkeys(trial.branch for trial in self._planned[search])
        ]

    def cell(self, variant: str, network: str) -> dict[str, Any]:
        """Return the entry of one branch: a ticket's, a control's or another's."""
        return {
            "branch": prefix(variant) + network,
            **self.recipe.variants[variant],
            "network": network,
            "steps": self.recipe.train.steps,
        }

    def do(self, task: Task, run: RunDir, progress: Progress) -> None:
        """See `Study`."""
        (seed,) = {trial.seed for trial in task.trials}
        begun = {trial.branch for trial in task.trials}
        for variant, search in self.searches.items():
            own = {trial.branch for trial in self._planned[search]}
            branches = {name for name in own if prefix(variant) + name in begun}
            if branches:
                self.search(variant, seed, run, progress, branches)


def prefix(variant: str) -> str:
    """Return what the branches of a variant begin with."""
    return f"{variant}-"
