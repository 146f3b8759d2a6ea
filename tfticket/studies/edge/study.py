"""Runs a recipe of the kind `edge`: a search a structure, then all of their tickets as files."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

import keras

from tfticket.data import DataSet
from tfticket.errors import ExportError
from tfticket.export.choice import Choice, choose
from tfticket.export.comparison import Attempt, Comparison, Conditions, Network, compare
from tfticket.export.finetune import FineTuning
from tfticket.export.result import Format, Preprocessing
from tfticket.export.rows import chosen, to_rows
from tfticket.files import write_atomic, write_json
from tfticket.lottery.ticket import Ticket
from tfticket.lottery.trial import TICKET
from tfticket.metrics import read_metrics
from tfticket.recipe.rates import forget_graphs
from tfticket.runs.progress import NormsPlan, PlannedCell, Progress
from tfticket.runs.rundir import RunDir
from tfticket.runs.session import locked, prepare
from tfticket.runs.tasks import Task
from tfticket.state import Snapshot
from tfticket.studies.edge.schema import EdgeRecipe
from tfticket.studies.lottery.experiment import Experiment
from tfticket.studies.lottery.exporting import CALIBRATION_EXAMPLES, failure
from tfticket.studies.lottery.plan import plan as plan_search
from tfticket.studies.lottery.schema import LotteryRecipe
from tfticket.studies.lottery.study import planned_trials, search_tickets
from tfticket.studies.study import Study

_DENSE = 0


class EdgeStudy(Study):
    """What a recipe of the kind `edge` does in a run directory.

    Each search is a run of the kind `lottery` inside, with tickets, verdict and page as always. The
    dense network is the same in all of them, so it is trained in the first alone: a task is a seed
    of a structure, and those of the others wait for that of the first.

    Args:
        recipe: The recipe.
        data: Its data.
        data_dir: Where data sets lie.
    """

    def __init__(self, recipe: EdgeRecipe, data: DataSet, data_dir: Path | None = None) -> None:
        super().__init__(recipe, data, data_dir)
        self._recipe = recipe
        self._searches = {
            structure: Experiment(search, data) for structure, search in recipe.searches().items()
        }

    def plan(self, run: RunDir, *, timed: bool) -> NormsPlan:
        """See `Study`."""
        seeds, cells, size = self._recipe.seeds, [], 0
        total = left = 0
        rate: float | None = None  # seconds a step, measured once
        for number, (structure, experiment) in enumerate(self._searches.items()):
            model = experiment.model(seeds[0])
            planned = planned_trials(experiment, model)
            trials = [trial for trial in planned if trial.level > _DENSE or number == 0]
            search = run.search(structure)
            wanted = timed and rate is None
            made = plan_search(experiment, search, trials, model, timed=wanted)
            if made.seconds is not None and made.steps_left:
                rate = made.seconds / made.steps_left
            steps = sum(trial.steps for trial in trials)
            cells.append(
                PlannedCell(f"search {structure}", len(seeds), steps, networks=len(trials))
            )
            total, left, size = (
                total + made.steps_total,
                left + made.steps_left,
                size + made.size_bytes,
            )
            forget_graphs()
        return NormsPlan(
            title=self._recipe.title,
            seeds=seeds,
            cells=tuple(cells),
            probes=0,
            steps_total=total,
            steps_left=left,
            seconds=None if rate is None else rate * left,
            size_bytes=size,
            searches=True,
        )

    def tasks(self) -> tuple[Task, ...]:
        """See `Study`."""
        return tuple(self._tasks)

    def network(self) -> keras.Model:
        """See `Study`."""
        return next(iter(self._searches.values())).model(self._recipe.seeds[0])

    @contextlib.contextmanager
    def opened(self, run: RunDir) -> Iterator[None]:
        """See `Study`; the searches are locked meanwhile."""
        with contextlib.ExitStack() as stack:
            for structure, experiment in self._searches.items():
                search = run.search(structure)
                stack.enter_context(locked(search))
                _begin(run, search, experiment.recipe)
            yield

    def finished(self, task: Task, run: RunDir) -> bool:
        """See `Study`."""
        return RunDir(run.path / task.folder).all_finished(task.places)

    def do(self, task: Task, run: RunDir, progress: Progress) -> None:
        """See `Study`."""
        structure, seed = self._tasks[task]
        search, first = run.search(structure), run.search(next(iter(self._searches)))
        if search.path != first.path:
            _share_dense(first, search, seed)
        search_tickets(self._searches[structure], search, progress.part(task.name), seed)

    def finish(self, run: RunDir, progress: Progress) -> dict[str, Any]:
        """Makes the files; see `Study`.

        What no file can be made of is told of; the searches and their tickets aren't worth less.
        """
        for structure in self._searches:
            search = run.search(structure)
            if not search.complete:
                search.mark_complete({"seeds": list(self._recipe.seeds)})
        try:
            failed = make_files(self._recipe, self._searches, run, progress)
        except Exception as error:
            failed = [str(failure(error, "The table of files"))]
            progress.message(failed[0])
        return {"failed_exports": failed}

    @functools.cached_property
    def _tasks(self) -> dict[Task, tuple[str, int]]:
        """Each task with its structure and its seed."""
        first, *_ = self._searches
        tasks = {}
        for structure, experiment in self._searches.items():
            trials = planned_trials(experiment, experiment.model(self._recipe.seeds[0]))
            forget_graphs()
            for seed in self._recipe.seeds:
                places = tuple((seed, trial.branch, trial.level) for trial in trials)
                after = () if structure == first else (_name(first, seed),)
                folder = str(RunDir("").search(structure).path)
                tasks[Task(_name(structure, seed), places, after, folder)] = (structure, seed)
        return tasks


def _name(structure: str, seed: int) -> str:
    return f"structure {structure}, seed {seed}"


def _begin(run: RunDir, search: RunDir, recipe: LotteryRecipe) -> None:
    """Makes the directory of a search a run of its own, that knows what made it."""
    told = f"# A search of the run {run.path.name}; its recipe is ../../recipe.toml.\n"
    prepare(search, recipe, told.encode())
    search.update_environment(run.environment_facts())


def _share_dense(first: RunDir, search: RunDir, seed: int) -> None:
    """Copies the dense network of another search: the ticket last, which makes it finished."""
    if search.finished(seed, TICKET, _DENSE):
        return
    rows = [
        row
        for row in read_metrics(first.metrics)
        if (row.seed, row.branch, row.level) == (seed, TICKET, _DENSE)
    ]
    for path in (RunDir.initial, RunDir.rewind):
        if path(first, seed).exists():
            _copy(path(first, seed), path(search, seed))
    final = first.final(seed, TICKET, _DENSE)
    for file in final.parent.glob(f"{final.name.partition('.')[0]}.*.npz"):
        _copy(file, search.final(seed, TICKET, _DENSE).with_name(file.name))
    search.append_rows(rows)
    _copy(first.ticket(seed, TICKET, _DENSE), search.ticket(seed, TICKET, _DENSE))


def _copy(source: Path, target: Path) -> None:
    def write(file: BinaryIO) -> None:
        file.write(source.read_bytes())

    write_atomic(target, write)


_TUNING_EXAMPLES = 20_000
_LEAST_AGREEMENT = 0.5  # the table shows what rounding costs; the choice goes by accuracy


def make_files(
    recipe: EdgeRecipe, searches: Mapping[str, Experiment], run: RunDir, progress: Progress
) -> list[str]:
    """Exports every level of every search in every format, and writes the table.

    All files of the first seed take part; the files of the Pareto fronts, of the dense network and
    the chosen one are kept. What was chosen is made for the other seeds too, since one network can
    be lucky. Choices go by validation data; test data is measured for the table.

    Args:
        recipe: The recipe.
        searches: The finished searches, by structure.
        run: Where to.
        progress: Hears of each file.

    Returns:
        Why there is no file to ship; empty when there is one.

    Raises:
        ExportError: when the dense network can't be converted, so that nothing can be compared.
    """
    data = next(iter(searches.values())).data
    conditions = _conditions(recipe, data)
    first, *others = recipe.seeds
    comparison = _compare(recipe, searches, run, first, None, conditions, progress)
    try:
        choice = choose(comparison, objective=recipe.edge.objective, margin=recipe.edge.margin)
    except ExportError as error:
        progress.message(f"No file to ship. {error}")
        told: dict[str, Any] = {"name": None, "reason": str(error), "explanations": []}
        _write(recipe, comparison, run, told, [], _save(comparison, None, run))
        return [str(error)]
    progress.message(f"Ship {choice.attempt.name}. {choice.reason}")
    replicates = [_replicate(comparison, choice)]
    for seed in others:
        again = _compare(recipe, searches, run, seed, choice.attempt, conditions, progress)
        replicates.append(_replicate(again, Choice(again.attempts[-1], "")))
    kept = _save(comparison, choice, run)
    _write(recipe, comparison, run, chosen(choice, comparison), replicates, kept)
    return []


def _write(
    recipe: EdgeRecipe,
    comparison: Comparison,
    run: RunDir,
    choice: Mapping[str, Any],
    replicates: list[dict[str, Any]],
    kept: list[str],
) -> None:
    """Writes the table of files."""
    write_json(
        run.edge,
        {
            "host": comparison.host,
            "seed": recipe.seeds[0],
            "margin": recipe.edge.margin,
            "objective": recipe.edge.objective,
            "rows": to_rows(comparison),
            "choice": choice,
            "replicates": [
                {"seed": seed, **found}
                for seed, found in zip(recipe.seeds, replicates, strict=bool(replicates))
            ],
            "files": kept,
        },
    )


def networks(
    searches: Mapping[str, Experiment], run: RunDir, seed: int
) -> tuple[Network, list[Network]]:
    """The dense network, and the tickets of all searches, trained; by structure and level."""
    structure, experiment = next(iter(searches.items()))
    dense = _network(experiment, run, structure, seed, _DENSE)
    tickets = [
        _network(other, run, name, seed, level)
        for name, other in searches.items()
        for level in range(1, other.recipe.lottery.levels + 1)
    ]
    return dense, tickets


def _network(experiment: Experiment, run: RunDir, structure: str, seed: int, level: int) -> Network:
    search = run.search(structure)
    ticket = Ticket.load(search.ticket(seed, TICKET, level))
    model = experiment.model(seed)
    snapshot = Snapshot.load(search.final(seed, TICKET, level))
    replace(snapshot, optimizer=None).restore(model)
    return Network(
        name="dense" if level == _DENSE else f"{structure}_{level:02d}",
        model=model,
        mask=ticket.mask,
        structure="dense" if level == _DENSE else structure,
        level=level,
        provenance={
            **ticket.provenance,
            "run": run.path.resolve().name,
            "seed": seed,
            "level": level,
            "ticket_sha256": ticket.sha256,
            "classes": list(experiment.data.class_names),
        },
    )


def _compare(
    recipe: EdgeRecipe,
    searches: Mapping[str, Experiment],
    run: RunDir,
    seed: int,
    only: Attempt | None,
    conditions: Conditions,
    progress: Progress,
) -> Comparison:
    dense, tickets = networks(searches, run, seed)
    formats: list[Format] = list(recipe.edge.formats)
    if only is not None:
        taken = [n for n in (dense, *tickets) if n.name == only.network.name]
        formats = [only.format]
    else:
        taken = [dense, *tickets]
    return compare(
        taken,
        formats,
        baseline=dense,
        folder=run.shipped("file").parent,
        conditions=conditions,
        tell=progress.message,
    )


def _conditions(recipe: EdgeRecipe, data: DataSet) -> Conditions:
    tuning = None
    if recipe.edge.fine_tune_steps:
        tuning = FineTuning(
            data.inputs(data.train, _TUNING_EXAMPLES),
            data.train.y[:_TUNING_EXAMPLES],
            steps=recipe.edge.fine_tune_steps,
            batch_size=recipe.data.batch_size,
            learning_rate=recipe.edge.fine_tune_rate,
        )
    return Conditions(
        calibration=data.inputs(data.train, CALIBRATION_EXAMPLES),
        check_on=(data.inputs(data.validation), data.validation.y),
        test=(data.inputs(data.test), data.test.y),
        preprocessing=Preprocessing.of(data.scale, data.offset),
        tuning=tuning,
        min_agreement=_LEAST_AGREEMENT,
    )


def _replicate(comparison: Comparison, choice: Choice) -> dict[str, Any]:
    """What the chosen network and format come to with one seed, beside its dense network."""
    attempt, baseline = choice.attempt, comparison.baseline
    if attempt.draft is None or attempt.latency is None:
        return {"failure": attempt.failure}
    assert baseline.draft is not None
    return {
        "failure": None,
        "bytes": attempt.draft.report.size_bytes,
        "smaller": baseline.draft.report.size_bytes / attempt.draft.report.size_bytes,
        "speedup": attempt.latency.speedup,
        "test_accuracy": attempt.test_accuracy,
        "dense_test_accuracy": baseline.test_accuracy,
    }


def _save(comparison: Comparison, choice: Choice | None, run: RunDir) -> list[str]:
    """Writes the files worth keeping; returns their names."""
    rows = {row["name"]: row for row in to_rows(comparison)}
    names = []
    for attempt in comparison.passed:
        wanted = attempt.network.structure == "dense" or (
            choice is not None and attempt is choice.attempt
        )
        if attempt.draft is not None and (wanted or rows[attempt.name]["fronts"]):
            report = replace(attempt.draft.report, path=run.shipped(attempt.name))
            replace(attempt.draft, report=report).save()
            names.append(attempt.name)
    return names
