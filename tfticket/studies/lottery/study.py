"""Runs a recipe of the kind `lottery`: one search per seed, each network kept on disk."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras

from tfticket.data import ChunkedFit, DataSet
from tfticket.files import write_json
from tfticket.internals import flat_layers
from tfticket.lottery.connectivity import ConnectivityScan, scan
from tfticket.lottery.ticket import Ticket
from tfticket.lottery.trial import (
    TICKET,
    FinishedTrial,
    MemoryStore,
    Trial,
    TrialListener,
    TrialResult,
    TrialStore,
)
from tfticket.recipe.rates import forget_graphs
from tfticket.runs.progress import Plan, Progress
from tfticket.runs.rundir import RunDir
from tfticket.runs.tasks import Place, Task
from tfticket.seeds import sub_seed
from tfticket.state import Snapshot
from tfticket.statistics import normalizes_by_batch
from tfticket.studies.lottery.experiment import (
    Experiment,
    placed_data,
    placed_model,
)
from tfticket.studies.lottery.exporting import Exporter
from tfticket.studies.lottery.plan import plan
from tfticket.studies.lottery.schema import LotteryRecipe
from tfticket.studies.study import Study

_SNAPSHOTS = {"initial": RunDir.initial, "rewind": RunDir.rewind}
_CONNECTIVITY = "connectivity"


class RunStore(TrialStore):
    """Keeps the trials of one seed in a run directory.

    A trial's end state and rows are written before its ticket, whose name in the directory is what
    makes the trial finished.

    Args:
        run: Open for writing.
        experiment: Says what has to be kept.
        seed: Whose trials.
        branches: Which of them; those of other branches count as finished, since somebody else
            trains them. All if None.
    """

    def __init__(
        self,
        run: RunDir,
        experiment: Experiment,
        seed: int,
        branches: Collection[str] | None = None,
    ) -> None:
        self._run = run
        self._lottery = experiment.recipe.lottery
        self._seed = seed
        self._branches = branches

    def save_snapshot(self, name: str, snapshot: Snapshot) -> None:
        """See `TrialStore`."""
        snapshot.save(_SNAPSHOTS[name](self._run, self._seed))

    def load_snapshot(self, name: str) -> Snapshot | None:
        """See `TrialStore`."""
        path = _SNAPSHOTS[name](self._run, self._seed)
        return Snapshot.load(path) if path.exists() else None

    def save(self, finished: FinishedTrial) -> None:
        """See `TrialStore`."""
        trial = finished.result.trial
        if trial.branch == TICKET:
            final = finished.final
            if self._lottery.rewind != "none":  # only fine-tuning goes on with the slots
                final = replace(final, optimizer=None)
            final.save(self._run.final(self._seed, trial.branch, trial.level))
            if finished.scored is not finished.final:
                finished.scored.save(self._scored(trial.level))
        self._run.append_rows(finished.rows)
        finished.ticket.save(self._run.ticket(self._seed, trial.branch, trial.level))

    def is_finished(self, trial: Trial) -> bool:
        """See `TrialStore`."""
        if self._branches is not None and trial.branch not in (TICKET, *self._branches):
            return True
        return self._run.finished(self._seed, trial.branch, trial.level)

    def ticket(self, branch: str, level: int) -> Ticket:
        """See `TrialStore`."""
        return Ticket.load(self._run.ticket(self._seed, branch, level))

    def scored(self, level: int) -> Snapshot:
        """See `TrialStore`."""
        path = self._scored(level)
        return Snapshot.load(path) if path.exists() else self.final(level)

    def final(self, level: int) -> Snapshot:
        """See `TrialStore`."""
        return Snapshot.load(self._run.final(self._seed, TICKET, level))

    def _scored(self, level: int) -> Any:
        final = self._run.final(self._seed, TICKET, level)
        return final.with_name(final.name.replace(".final.", ".early_stop."))


class _Reporter(TrialListener):
    """Passes on what a search tells, in the words of a run."""

    def __init__(self, progress: Progress, seed: int) -> None:
        self._progress = progress
        self._seed = seed

    def begin(self, trial: Trial, density: float) -> None:
        """See `TrialListener`."""
        self._progress.begin(self._seed, trial.branch, trial.level, trial.steps, density)

    def update(self, trial: Trial, step: int, logs: Mapping[str, float]) -> None:
        """See `TrialListener`."""
        self._progress.update(step - trial.start_step, logs)

    def end(self, result: TrialResult) -> None:
        """See `TrialListener`."""
        summary = {
            "density": result.density,
            "early_stop_step": float(result.early_stop_step or 0),
            "seconds": result.seconds,
            **{f"{name}_at_early_stop": value for name, value in result.at_early_stop.items()},
            **{f"{name}_at_end": value for name, value in result.at_end.items()},
        }
        self._progress.end(self._seed, result.trial.branch, result.trial.level, summary)


class LotteryStudy(Study):
    """What a recipe of the kind `lottery` does in a run directory.

    A task is a seed: its levels follow from one another. Its parts are the tickets, and each of
    their controls, which begins where the tickets are known. How the rewind step is connected is
    one more task.

    Args:
        recipe: The recipe.
        data: Its data.
        data_dir: Where data sets lie.
    """

    def __init__(self, recipe: LotteryRecipe, data: DataSet, data_dir: Path | None = None) -> None:
        super().__init__(recipe, data, data_dir)
        self._experiment = Experiment(recipe, data)

    def plan(self, run: RunDir, *, timed: bool) -> Plan:
        """See `Study`."""
        experiment = self._experiment
        model = self.network()
        made = plan(experiment, run, planned_trials(experiment, model), model, timed=timed)
        forget_graphs()
        return made

    def tasks(self) -> tuple[Task, ...]:
        """See `Study`."""
        return self._tasks

    def network(self) -> keras.Model:
        """See `Study`."""
        return self._experiment.model(self._experiment.recipe.seeds[0])

    def opened(self, run: RunDir) -> contextlib.AbstractContextManager[None]:
        """See `Study`."""
        return contextlib.nullcontext()

    def finished(self, task: Task, run: RunDir) -> bool:
        """See `Study`."""
        if task.name == _CONNECTIVITY:
            return run.connectivity.exists()
        return run.all_finished(task.places)

    def do(self, task: Task, run: RunDir, progress: Progress) -> None:
        """See `Study`."""
        if task.name == _CONNECTIVITY:
            write_json(run.connectivity, scan_connectivity(self._experiment, progress).to_dict())
        else:
            (seed,) = {seed for seed, _, _ in task.places}
            branches = {branch for _, branch, _ in task.places}
            search_tickets(self._experiment, run, progress, seed, branches)

    def finish(self, run: RunDir, progress: Progress) -> dict[str, Any]:
        """Exports what the recipe asks for; see `Study`.

        A file that can't be exported is told of; it doesn't make the networks worth less.
        """
        exporter = Exporter(self._experiment, run, progress)
        reports = exporter.export()
        return {
            "exported": [report.path.name for report in reports],
            "failed_exports": [str(failure) for failure in exporter.failures],
        }

    @functools.cached_property
    def _tasks(self) -> tuple[Task, ...]:
        experiment = self._experiment
        trials = planned_trials(experiment, self.network())
        forget_graphs()
        searches = tuple(_search(seed, trials) for seed in experiment.recipe.seeds)
        connected = experiment.recipe.connectivity is not None
        return (*searches, Task(_CONNECTIVITY)) if connected else searches


def _search(seed: int, trials: Sequence[Trial]) -> Task:
    """The task of a seed."""
    name = f"seed {seed}"
    places: dict[str, list[Place]] = {}
    for trial in trials:
        places.setdefault(trial.branch, []).append((seed, trial.branch, trial.level))
    parts = (
        Task(name, tuple(own))
        if branch == TICKET
        else Task(f"{name}, {branch}", tuple(own), after=(name,))
        for branch, own in places.items()
    )
    every = tuple((seed, trial.branch, trial.level) for trial in trials)
    return Task(name, every, parts=tuple(parts) if len(places) > 1 else ())


def planned_trials(experiment: Experiment, model: keras.Model) -> list[Trial]:
    """The networks of one seed of a search, in the order of training."""
    search = experiment.search(
        experiment.recipe.seeds[0],
        model,
        feed=experiment.feed(0),
        store=MemoryStore(),
        listener=TrialListener.SILENT,
        provenance={},
    )
    return search.procedure.trials()


def search_tickets(
    experiment: Experiment,
    run: RunDir,
    progress: Progress,
    seed: int,
    branches: Collection[str] | None = None,
) -> None:
    """Trains what isn't finished yet of one seed.

    Args:
        experiment: The recipe with its data.
        run: Open for writing.
        progress: Hears of each network.
        seed: The seed.
        branches: Tickets, or the controls to train; those need finished tickets. All if None.
    """
    model = placed_model(experiment, seed)
    feed = experiment.feed(seed)
    search = experiment.search(
        seed,
        model,
        feed=feed,
        store=RunStore(run, experiment, seed, branches),
        listener=_Reporter(progress, seed),
        provenance={
            "recipe": experiment.recipe.name,
            "data": experiment.data.description,
            "data_fingerprint": experiment.data.fingerprint,
        },
    )
    if search.pending():
        model.fit(
            **placed_data(model, feed),
            epochs=search.epochs(steps_per_epoch=feed.chunk_steps),
            validation_data=experiment.validation(),
            callbacks=[search, ChunkedFit(feed)],
            verbose=0,
        )
    forget_graphs()


_RECALIBRATION_BATCHES = 20


def scan_connectivity(experiment: Experiment, progress: Progress) -> ConnectivityScan:
    """Trains pairs of copies of the first seed's network from each step that the recipe names.

    The copies share everything but the order of the data. Errors are those of the validation data,
    so that the recommended step owes nothing to the test data. The statistics of batch
    normalization are measured anew at each point of a line.

    Args:
        experiment: A recipe with a `connectivity` table.
        progress: Hears which step is at work.
    """
    table = experiment.recipe.connectivity
    assert table is not None  # the caller asks only when there is one
    seed = experiment.recipe.seeds[0]
    model = experiment.model(seed)
    validation = experiment.validation()

    def train(snapshot: Snapshot, order_seed: int) -> Snapshot:
        progress.message(f"Connectivity: from step {snapshot.step:,}, data order {order_seed}.")
        snapshot.restore(model)
        own_order = sub_seed(seed, "connectivity", str(order_seed))
        return _train_to(experiment, model, own_order, snapshot.step, experiment.recipe.train.steps)

    def error(model: keras.Model) -> float:
        return 1.0 - model.evaluate(validation, verbose=0, return_dict=True)["accuracy"]

    return scan(
        model,
        _states_at(experiment, model, seed, sorted(set(table.steps))),
        train=train,
        evaluate=error,
        pairs=table.pairs,
        points=table.points,
        recalibrate=_recalibration_batches(experiment, model, seed),
    )


def _states_at(
    experiment: Experiment, model: keras.Model, seed: int, steps: Sequence[int]
) -> list[Snapshot]:
    """The network at each of the steps of one training run."""
    state = Snapshot.capture(model, step=0)
    states = []
    for step in steps:
        state = _train_to(experiment, model, seed, state.step, step)
        states.append(state)
    return states


def _train_to(
    experiment: Experiment, model: keras.Model, order_seed: int, begin: int, end: int
) -> Snapshot:
    feed = experiment.feed(order_seed)
    feed.seek(begin)
    chunks = (end - begin) // feed.chunk_steps
    if chunks:
        model.fit(**feed.fit_arguments(), epochs=chunks, callbacks=[ChunkedFit(feed)], verbose=0)
    return Snapshot.capture(model, step=end)


def _recalibration_batches(
    experiment: Experiment, model: keras.Model, seed: int
) -> list[Any] | None:
    if not any(normalizes_by_batch(layer) for layer in flat_layers(model)):
        return None
    batches = experiment.feed(seed).dataset(endless=True).take(_RECALIBRATION_BATCHES)
    return [x for x, _ in batches]
