"""A recipe of the kind `memorization` with its data: a search for tickets per noise and seed."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, replace
from pathlib import Path

import keras
import numpy as np
from scipy import special

from tfticket import models
from tfticket.data import DataSet
from tfticket.lottery.trial import FinishedTrial
from tfticket.lottery.trial import Trial as SearchTrial
from tfticket.metrics import Row
from tfticket.noise import Corruption
from tfticket.noise.theory import memorization
from tfticket.recipe.noise import Noise
from tfticket.recipe.rates import forget_graphs
from tfticket.runs.plan import Plan, PlannedCondition, Task
from tfticket.runs.progress import Progress
from tfticket.runs.rundir import RunDir
from tfticket.statistics import expected_calibration_error, predict
from tfticket.studies.labels import relabeled, training_labels, validation_labels
from tfticket.studies.lottery.plan import plan as plan_search
from tfticket.studies.lottery.study import LotteryStudy, search_task
from tfticket.studies.lottery.training import search_tickets
from tfticket.studies.memorization.schema import MemorizationRecipe, prefix
from tfticket.studies.store import write_conditions
from tfticket.studies.study import Study

_BATCH = 500


class MemorizationStudy(Study):
    """A recipe of the kind `memorization` with its data in memory.

    Under each noise and for each seed there is one search, the same as in a study of the kind
    `lottery` of data with these labels. A task is a search; its parts are its tickets and each of
    its controls.

    Args:
        recipe: The recipe.
        data: Its data, with the labels that it came with.
        data_dir: The directory of data sets.
    """

    recipe: MemorizationRecipe

    def __init__(
        self, recipe: MemorizationRecipe, data: DataSet, data_dir: Path | None = None
    ) -> None:
        super().__init__(recipe, data, data_dir)
        self._clean = LotteryStudy(recipe.search(), data)

    def network(self) -> keras.Model:
        """See `Study`."""
        return self._clean.network()

    def plan(self, run: RunDir, *, timed: bool) -> Plan:
        """See `Study`."""
        planned, noises = self._planned, self.recipe.noise
        made = plan_search(self._clean, run, planned, self.network(), timed=timed)
        forget_graphs()
        left = sum(
            trial.steps
            for noise in noises
            for seed in self.recipe.seeds
            for trial in planned
            if not run.finished(seed, prefix(noise) + trial.branch, trial.level)
        )
        steps = sum(trial.steps for trial in planned)
        return replace(
            made,
            conditions=tuple(
                PlannedCondition(noise.label, self.recipe.seeds, steps, networks=len(planned))
                for noise in noises
            ),
            steps_left=left,
            seconds=None if made.seconds is None else made.seconds / made.steps_left * left,
            size_bytes=made.size_bytes * len(noises),
            rows="searches",
        )

    def tasks(self) -> tuple[Task, ...]:
        """See `Study`."""
        return tuple(
            search_task(seed, self._planned, prefix(noise))
            for noise in self.recipe.noise
            for seed in self.recipe.seeds
        )

    @functools.cached_property
    def _planned(self) -> Sequence[SearchTrial]:
        """The networks of one search, in the order of training."""
        planned = self._clean.trials(self.network())
        forget_graphs()
        return planned

    def opened(self, run: RunDir) -> AbstractContextManager[None]:
        """See `Study`: `cells.json` says what each branch is."""
        networks = dict.fromkeys(trial.branch for trial in self._planned)
        cells = [
            {
                "branch": prefix(noise) + network,
                "noise": noise.label,
                "noise_kind": noise.kind,
                "nominal_rate": noise.rate,
                "network": network,
                "steps": self.recipe.train.steps,
            }
            for noise in self.recipe.noise
            for network in networks
        ]
        write_conditions(run, cells, self.recipe.noise)
        return nullcontext()

    def do(self, task: Task, run: RunDir, progress: Progress) -> None:
        """See `Study`."""
        (seed,) = {trial.seed for trial in task.trials}
        begun = {trial.branch for trial in task.trials}
        noise, branches = self._whose(begun)
        corruption = training_labels(self.data, noise, seed)
        search = LotteryStudy(self.recipe.search(), self.relabeled(corruption, noise, seed))
        measure = Measure(search, self.data, corruption)
        search_tickets(
            search, run, progress, seed, branches, prefix=prefix(noise), measure=measure.rows
        )

    def _whose(self, begun: set[str]) -> tuple[Noise, set[str]]:
        """The noise of branches on disk, and what its search calls them."""
        networks = {trial.branch for trial in self._planned}
        for noise in self.recipe.noise:
            own = {name for name in networks if prefix(noise) + name in begun}
            if own:
                return noise, own
        raise AssertionError(f"no noise has the branches {begun}")

    def relabeled(self, corruption: Corruption, noise: Noise, seed: int) -> DataSet:
        """Return the data with wrong labels for training and validation.

        Args:
            corruption: The training labels.
            noise: How they were made wrong.
            seed: Of the run.
        """
        held_out = validation_labels(self.data, noise, seed)
        return replace(
            self.data,
            train=relabeled(self.data.train, corruption.given),
            validation=relabeled(self.data.validation, held_out.given),
        )


class Measure:
    """Measures finished networks of one search, on a network of its own.

    Args:
        search: The search.
        data: The data with the labels that it came with.
        corruption: The training labels.
    """

    def __init__(self, search: LotteryStudy, data: DataSet, corruption: Corruption) -> None:
        self._network = search.network()
        self._train = data.inputs(data.train)
        self._test = data.inputs(data.test)
        self._labels = data.test.y
        self._corruption = corruption

    def rows(self, finished: FinishedTrial) -> Iterable[Row]:
        """Yield what a network memorized and how well it is calibrated, after its last step."""
        finished.final.restore(self._network)
        trained = predict(self._network, self._train, batch_size=_BATCH).argmax(axis=-1)
        tested = predict(self._network, self._test, batch_size=_BATCH)
        if not models.gives_probabilities(self._network):
            tested = special.softmax(tested.astype(np.float64), axis=-1)
        error = expected_calibration_error(tested, self._labels)
        summary = asdict(memorization(trained, self._corruption))
        summary["noise_rate"] = self._corruption.realized_rate
        last = finished.rows[-1]
        yield replace(last, split="test", name="calibration_error_at_end", value=error)
        for name, value in summary.items():
            if np.isfinite(value):  # without wrong labels none is memorized
                yield replace(last, split="summary", name=name, value=float(value))
