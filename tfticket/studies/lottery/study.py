"""A recipe of the kind `lottery` with its data: one search per seed, each network kept on disk."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from tfticket import models
from tfticket.data import DataSet, Feed
from tfticket.files import write_json
from tfticket.lottery import Control, TicketSearch
from tfticket.lottery.trial import TICKET, MemoryStore, TrialListener, TrialStore
from tfticket.lottery.trial import Trial as SearchTrial
from tfticket.recipe.rates import forget_graphs, metrics_of
from tfticket.runs.plan import Plan, Task, Trial
from tfticket.runs.progress import Progress
from tfticket.runs.rundir import RunDir
from tfticket.seeds import sub_seed
from tfticket.studies.lottery.exporting import Exporter
from tfticket.studies.lottery.plan import plan
from tfticket.studies.lottery.schema import LotteryRecipe, control_levels
from tfticket.studies.lottery.search import controls, schedule, search_options
from tfticket.studies.lottery.training import scan_connectivity, search_tickets
from tfticket.studies.study import Study

_CONNECTIVITY = "connectivity"


class LotteryStudy(Study):
    """A recipe of the kind `lottery` with its data in memory.

    A task is a seed: its levels follow from one another. Its parts are the tickets, and each of
    their controls, which begins where the tickets are known. Linear mode connectivity at the rewind
    step is one more task.

    Args:
        recipe: The recipe.
        data: Its data.
        data_dir: The directory of data sets.
        more_controls: Controls beside those that the recipe names.
    """

    recipe: LotteryRecipe

    def __init__(
        self,
        recipe: LotteryRecipe,
        data: DataSet,
        data_dir: Path | None = None,
        *,
        more_controls: Sequence[Control] = (),
    ) -> None:
        super().__init__(recipe, data, data_dir)
        self._more_controls = more_controls

    def model(self, seed: int) -> keras.Model:
        """Return a compiled network in the initial state that belongs to the seed.

        A `.keras` file begins with the weights that are in it, whatever the seed; then seeds differ
        in the order of the data and in the controls.

        Raises:
            ModelError: when it can't be built or doesn't fit the data.
        """
        train, loss = self.recipe.train, None
        if self.data.regression:
            loss = models.REGRESSION_LOSSES[train.loss or "mean_squared_error"]()
        return self.build(
            seed,
            drawn=sub_seed(seed, "init"),
            norm=self.recipe.model.norm,
            rate=train.learning_rate,
            steps_per_execution=train.evaluate_every,
            loss=loss,
            metrics=metrics_of(self.data),
        )

    def feed(self, seed: int) -> Feed:
        """Return the training data, whose order and augmentation belong to the seed."""
        return self.make_feed(self.data.train, seed, self.recipe.train.evaluate_every)

    def validation(self) -> tf.data.Dataset:
        """Return the validation data in large batches."""
        return self.batches(self.data.validation)

    def search(
        self,
        seed: int,
        model: keras.Model,
        *,
        feed: Feed,
        store: TrialStore,
        listener: TrialListener,
        provenance: Mapping[str, Any],
    ) -> TicketSearch:
        """Return the search of one seed; see `TicketSearch`."""
        lottery = self.recipe.lottery
        return TicketSearch(
            schedule(lottery),
            self.recipe.train.steps,
            controls=[*controls(self.recipe.controls), *self._more_controls],
            control_levels=control_levels(self.recipe.controls.levels, lottery.levels),
            seed=seed,
            test_data=self.test(),
            validation_data=self.validation(),
            feed=feed,
            store=store,
            listener=listener,
            provenance=provenance,
            compact=self.recipe.train.distribute == "none",
            **search_options(lottery, model, self.data),
        )

    def trials(self, model: keras.Model) -> list[SearchTrial]:
        """Return the networks of one seed, in the order of training."""
        search = self.search(
            self.recipe.seeds[0],
            model,
            feed=self.feed(0),
            store=MemoryStore(),
            listener=TrialListener.SILENT,
            provenance={},
        )
        return search.procedure.trials()

    def network(self) -> keras.Model:
        """See `Study`."""
        return self.model(self.recipe.seeds[0])

    def plan(self, run: RunDir, *, timed: bool) -> Plan:
        """See `Study`."""
        model = self.network()
        made = plan(self, run, self.trials(model), model, timed=timed)
        forget_graphs()
        return made

    def tasks(self) -> tuple[Task, ...]:
        """See `Study`."""
        return self._tasks

    @functools.cached_property
    def _tasks(self) -> tuple[Task, ...]:
        trials = self.trials(self.network())
        forget_graphs()
        searches = tuple(search_task(seed, trials) for seed in self.recipe.seeds)
        return (*searches, Task(_CONNECTIVITY)) if self.recipe.connectivity else searches

    def finished(self, task: Task, run: RunDir) -> bool:
        """See `Study`."""
        if task.name == _CONNECTIVITY:
            return run.connectivity.exists()
        return super().finished(task, run)

    def do(self, task: Task, run: RunDir, progress: Progress) -> None:
        """See `Study`."""
        if task.name == _CONNECTIVITY:
            write_json(run.connectivity, scan_connectivity(self, progress).to_dict())
        else:
            (seed,) = {trial.seed for trial in task.trials}
            branches = {trial.branch for trial in task.trials}
            search_tickets(self, run, progress, seed, branches)

    def finish(self, run: RunDir, progress: Progress) -> dict[str, Any]:
        """Export what the recipe asks for; see `Study`.

        A file that can't be exported is reported; it doesn't make the networks worth less.
        """
        exporter = Exporter(self, run, progress)
        reports = exporter.export()
        return {
            "exported": [report.path.name for report in reports],
            "failed_exports": [str(failure) for failure in exporter.failures],
        }


def search_task(seed: int, planned: Sequence[SearchTrial], prefix: str = "") -> Task:
    """Return the task of a seed, whose parts are the tickets and each of their controls.

    Args:
        seed: The seed.
        planned: Its networks, in the order of training.
        prefix: Begins the names of the task and of its branches.
    """
    name = f"{prefix}seed {seed}"
    trials = tuple(Trial(seed, prefix + trial.branch, trial.level) for trial in planned)
    branches = dict.fromkeys(trial.branch for trial in trials)
    parts = tuple(
        Task(
            name if branch == prefix + TICKET else f"{name}, {branch}",
            tuple(trial for trial in trials if trial.branch == branch),
            after=() if branch == prefix + TICKET else (name,),
        )
        for branch in branches
    )
    return Task(name, trials, parts=parts if len(parts) > 1 else ())
