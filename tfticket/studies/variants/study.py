"""A search for tickets per variant of the data and seed."""

from __future__ import annotations

import abc
import functools
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras

from tfticket.data import DataSet
from tfticket.lottery.over_seeds.store import Measure
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
from tfticket.studies.variants.schema import VariantsRecipe, prefix


class VariantsStudy(Study):
    """A recipe of such a kind with its data in memory. Abstract.

    For each variant of the data and each seed there is one search, the same as in a study of the
    kind `lottery` of that variant. A task is a search; its parts are its tickets and each of its
    controls.

    Args:
        recipe: The recipe.
        data: Its data, before any variant is made.
        data_dir: The directory of data sets.
    """

    recipe: VariantsRecipe

    def __init__(self, recipe: VariantsRecipe, data: DataSet, data_dir: Path | None = None) -> None:
        super().__init__(recipe, data, data_dir)
        self._plain = self.search_of(data)

    def search_of(self, data: DataSet) -> LotteryStudy:
        """Return the search in some data."""
        return LotteryStudy(self.recipe.search(), data)

    @abc.abstractmethod
    def measured_search(
        self, variant: str, seed: int, run: RunDir
    ) -> tuple[LotteryStudy, Measure | None]:
        """Return the search of a variant and seed, and what measures its finished networks."""

    def facts(self, variant: str) -> Mapping[str, Any]:
        """Return what `cells.json` says of a variant beside its name."""
        return {}

    @property
    def noises(self) -> Iterable[Noise]:
        """Noises that the variants are made by."""
        return ()

    def network(self) -> keras.Model:
        """See `Study`."""
        return self._plain.network()

    def plan(self, run: RunDir, *, timed: bool) -> Plan:
        """See `Study`."""
        planned, variants = self.planned, self.recipe.variants
        made = plan_search(self._plain, run, planned, self.network(), timed=timed)
        forget_graphs()
        left = sum(
            trial.steps
            for variant in variants
            for seed in self.recipe.seeds
            for trial in planned
            if not run.finished(seed, prefix(variant) + trial.branch, trial.level)
        )
        steps = sum(trial.steps for trial in planned)
        return replace(
            made,
            conditions=tuple(
                PlannedCondition(variant, self.recipe.seeds, steps, networks=len(planned))
                for variant in variants
            ),
            steps_left=left,
            seconds=None if made.seconds is None else made.seconds / made.steps_left * left,
            size_bytes=made.size_bytes * len(variants),
            rows="searches",
        )

    def tasks(self) -> tuple[Task, ...]:
        """See `Study`."""
        return tuple(
            search_task(seed, self.planned, prefix(variant))
            for variant in self.recipe.variants
            for seed in self.recipe.seeds
        )

    @functools.cached_property
    def planned(self) -> Sequence[SearchTrial]:
        """The networks of one search, in the order of training."""
        planned = self._plain.trials(self.network())
        forget_graphs()
        return planned

    def opened(self, run: RunDir) -> AbstractContextManager[None]:
        """See `Study`: `cells.json` says what each branch is."""
        write_conditions(run, self.cells(), self.noises)
        return nullcontext()

    def cells(self) -> list[dict[str, Any]]:
        """Return the entries of `cells.json`, one a branch."""
        networks = dict.fromkeys(trial.branch for trial in self.planned)
        return [self.cell(v, network) for v in self.recipe.variants for network in networks]

    def cell(self, variant: str, network: str) -> dict[str, Any]:
        """Return the entry of a branch in `cells.json`."""
        return {
            "branch": prefix(variant) + network,
            self.recipe.VARIANT: variant,
            **self.facts(variant),
            "network": network,
            "steps": self.recipe.train.steps,
        }

    def do(self, task: Task, run: RunDir, progress: Progress) -> None:
        """See `Study`."""
        (seed,) = {trial.seed for trial in task.trials}
        begun = {trial.branch for trial in task.trials}
        variant, branches = self._whose(begun)
        search, measure = self.measured_search(variant, seed, run)
        search_tickets(
            search, run, progress, seed, branches, prefix=prefix(variant), measure=measure
        )

    def _whose(self, begun: set[str]) -> tuple[str, set[str]]:
        """The variant of branches on disk, and what its search calls them."""
        networks = {trial.branch for trial in self.planned}
        for variant in self.recipe.variants:
            own = {name for name in networks if prefix(variant) + name in begun}
            if own:
                return variant, own
        raise AssertionError(f"no variant has the branches {begun}")
