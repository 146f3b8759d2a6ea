"""Search the settings of a recipe that do best on validation data, with Optuna.

A trial is a run of its own beside the others of the recipe, of which only the networks that are
measured, and what they wait for, are trained. The journal holds what was asked and what came of it;
processes that share it share the trials. One that is killed leaves a run that the next process goes
on with.
"""

from __future__ import annotations

import contextlib
import importlib.util
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from filelock import FileLock

from tfticket.errors import RecipeError, RunError, TFTicketError
from tfticket.lottery.metric import Metric
from tfticket.metrics import read_metrics
from tfticket.recipe import parsing
from tfticket.recipe.overrides import Override
from tfticket.recipe.ranges import Range
from tfticket.recipe.rates import be_deterministic
from tfticket.recipe.schema import Recipe
from tfticket.runner.workers import parts_of, unfinished
from tfticket.runs.plan import Task, Trial
from tfticket.runs.progress import Progress, Silence
from tfticket.runs.rundir import RunDir
from tfticket.runs.session import DESCRIPTIVE, is_written, writing
from tfticket.seeds import sub_seed
from tfticket.studies.study import Study, load_study

if TYPE_CHECKING:
    import optuna

_ASKED, _RUN = "asked", "run"  # attributes in the journal


@dataclass(frozen=True)
class Search:
    """The settings to search, and what tells which are best.

    Attributes:
        path: File of the recipe.
        ranges: What is tuned.
        overrides: Changes of the recipe for all trials.
        seeds: Seeds that a trial is trained with; None for the recipe's.
        smoke: Whether to take the small version of the recipe.
        metric: Metric on validation data, at the end of a training, in the mean of the seeds.
        network: `branch` or `branch:level` of the network that is measured; None for the last
            ticket of a search, or the first network of another study.
    """

    path: Path
    ranges: tuple[Range, ...]
    overrides: tuple[Override, ...] = ()
    seeds: tuple[int, ...] | None = None
    smoke: bool = False
    metric: Metric = Metric("accuracy", "max")  # noqa: RUF009 - it is immutable
    network: str | None = None

    def recipe(self, values: Sequence[Any]) -> Recipe:
        """Return the recipe with a value for each range.

        Raises:
            RecipeError: for a key or a value that it can't have.
        """
        pairs = zip(self.ranges, values, strict=True)
        changes = [*self.overrides, *(each.override(value) for each, value in pairs)]
        return parsing.load(self.path, overrides=changes, smoke=self.smoke, seeds=self.seeds)

    def check(self) -> Recipe:
        """Check that the recipe can have the ends of all ranges, and return the one of the first.

        Raises:
            RecipeError: when it can't, or two ranges are of one key.
        """
        keys = [each.key for each in self.ranges]
        if len(set(keys)) < len(keys):
            raise RecipeError(f"Each parameter can be given once. Received: {', '.join(keys)}.")
        self.recipe([each.values[-1] for each in self.ranges])
        return self.recipe([each.values[0] for each in self.ranges])

    def to_dict(self) -> dict[str, Any]:
        """Return all that decides what comes of a trial, for the journal."""
        resolved = parsing.resolve(self.check())
        return {
            "recipe": {key: value for key, value in resolved.items() if key not in DESCRIPTIVE},
            "parameters": {each.key: [each.scale, *each.values] for each in self.ranges},
            "measure": self.metric.name,
            "network": self.network,
        }


@dataclass(frozen=True)
class Found:
    """A trial that ended.

    Attributes:
        number: Its number.
        values: Key to value.
        score: The measure; None when it isn't finite.
        run: Name of its run.
    """

    number: int
    values: dict[str, Any]
    score: float | None
    run: str


class Tuner:
    """Asks Optuna for settings, trains with them, and tells it what came of them.

    Args:
        search: What to search.
        journal: The file of Optuna's journal.
        runs: Directory of the runs of the recipe.
        data_dir: The directory of data sets.

    Raises:
        RecipeError: see `Search.check`.
        RunError: when Optuna isn't installed, or the journal is of another search or can't be used.
    """

    def __init__(
        self, search: Search, journal: Path, runs: Path, *, data_dir: Path | None = None
    ) -> None:
        if importlib.util.find_spec("optuna") is None:
            raise RunError(
                "Optuna must be installed to tune a recipe. It isn't: install it with "
                "pip install 'tfticket[tune]'."
            )
        self.search = search
        self.journal = journal
        self.runs = runs
        self.data_dir = data_dir
        self._study = self._open(search.to_dict())

    def _open(self, asked: dict[str, Any]) -> optuna.Study:
        import optuna
        from optuna.storages import JournalStorage
        from optuna.storages.journal import JournalFileBackend

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        try:
            self.journal.parent.mkdir(parents=True, exist_ok=True)
            storage = JournalStorage(JournalFileBackend(str(self.journal)))
            study = optuna.create_study(
                storage=storage,
                study_name="tfticket",
                direction="maximize" if self.search.metric.direction == "max" else "minimize",
                load_if_exists=True,
            )
        except (OSError, ValueError, KeyError) as error:
            raise RunError(
                f"`{self.journal}` can't be used as a journal of Optuna: {error}. Give another "
                "file by --journal."
            ) from error
        with self._asking():
            before = study.user_attrs.get(_ASKED)
            if before is not None and (changes := parsing.diff(before, asked)):
                lines = "\n".join(f"  {line}" for line in changes)
                raise RunError(
                    f"`{self.journal}` is of another search; old -> new:\n{lines}\n"
                    "Undo the change, or give another file by --journal."
                )
        return study

    def _asking(self) -> contextlib.AbstractContextManager[Any]:
        """Of the processes with this journal, one looks at it and begins a trial at a time."""
        return FileLock(f"{self.journal}.asking")

    def run(self, trials: int, progress: Progress | None = None) -> Iterator[Found]:
        """Go on until there are so many trials, and yield each that this process ends.

        Trials that were interrupted are restarted first, and their runs resumed.

        Args:
            trials: Number of trials in the journal, of all processes.
            progress: Listens to the trainings.
        """
        be_deterministic()
        with self._asking():
            if _ASKED not in self._study.user_attrs:
                study = load_study(self.search.check(), self.data_dir)
                _networks(parts_of(study.tasks()), self.search.network)  # before anything is kept
                self._study.set_user_attr(_ASKED, self.search.to_dict())
            self._take_over()
        while (begun := self._begin(trials)) is not None:
            trial, values, recipe, run, held = begun
            with held:
                score = measure(
                    load_study(recipe, self.data_dir), run, self.search, progress or Silence()
                )
            self._tell(trial, score)
            pairs = zip(self.search.ranges, values, strict=True)
            found = {each.key: value for each, value in pairs}
            yield Found(_number(run.path.name), found, score, run.path.name)

    def best(self) -> Found:
        """Return the best trial of all processes.

        Raises:
            RunError: when none has ended with a finite measure.
        """
        try:
            trial = self._study.best_trial
        except ValueError as error:
            raise RunError(
                f"No trial of `{self.journal}` has ended with a finite "
                f"{self.search.metric.label}. Give smaller ranges, or more trials."
            ) from error
        name = trial.user_attrs[_RUN]
        return Found(_number(name), dict(trial.params), trial.value, name)

    def _begin(
        self, trials: int
    ) -> tuple[optuna.Trial, list[Any], Recipe, RunDir, contextlib.ExitStack] | None:
        import optuna

        with self._asking():
            failed = optuna.trial.TrialState.FAIL
            known = self._study.get_trials(deepcopy=False)
            waiting = any(each.state == optuna.trial.TrialState.WAITING for each in known)
            begun = [each for each in known if each.state != failed]
            if len(begun) >= trials and not waiting:
                return None
            # By the number of trials, so that a search that was stopped goes on as it would have.
            self._study.sampler = optuna.samplers.TPESampler(
                seed=sub_seed(0, "tune", str(len(begun))), constant_liar=True
            )
            trial = self._study.ask()
            values = [each.suggest(trial) for each in self.search.ranges]
            name = trial.user_attrs.get(_RUN, f"{self.journal.stem}-{len(begun):03d}")
            trial.set_user_attr(_RUN, name)
            run, held = RunDir(self.runs / name), contextlib.ExitStack()
            recipe = self.search.recipe(values)
            held.enter_context(writing(run, recipe, toml=self.search.path.read_bytes()))
        return trial, values, recipe, run, held

    def _take_over(self) -> None:
        import optuna

        states = optuna.trial.TrialState
        for trial in self._study.get_trials(deepcopy=False, states=[states.RUNNING]):
            name = trial.user_attrs.get(_RUN)
            if name is None or not is_written(RunDir(self.runs / name)):
                self._study.tell(trial.number, state=states.FAIL)
                attributes = {} if name is None else {_RUN: name}
                self._study.enqueue_trial(trial.params, user_attrs=attributes)

    def _tell(self, trial: optuna.Trial, score: float | None) -> None:
        import optuna

        if score is None:  # it diverged: the sampler learns that it is bad
            self._study.tell(trial, state=optuna.trial.TrialState.PRUNED)
        else:
            self._study.tell(trial, score)


def _number(run: str) -> int:
    """The number of a trial, by its run; Optuna counts one that was taken over twice."""
    return int(run.rpartition("-")[2])


def measure(study: Study, run: RunDir, search: Search, progress: Progress) -> float | None:
    """Train the networks that a search measures, as far as that isn't done, and measure them.

    Args:
        study: The study of a trial.
        run: Its run, open for writing.
        search: What is measured.
        progress: Listens to the trainings.

    Returns:
        The mean of the seeds; None when it isn't finite.

    Raises:
        RunError: when there is no such network or measure.
    """
    with study.opened(run):
        tasks = parts_of(study.tasks())
        wanted = _networks(tasks, search.network)
        needed = _needed(tasks, wanted)
        try:
            for task in unfinished(study, needed, run):
                study.do(task, run, progress)
        except TFTicketError:
            trials = {trial for task in needed for trial in task.trials}
            if all(map(math.isfinite, _validation(run, needed, trials).values())):
                raise  # else what it can't go on with is that the training diverged
            return None
        finally:
            run.unlock_rows(tasks)
    found = _validation(run, needed, wanted)
    values = [value for (name, _), value in found.items() if name == search.metric.name]
    if not values:
        names = sorted({name for name, _ in found})
        raise RunError(
            f"`--measure` must be something that the recipe measures on validation data: "
            f"{', '.join(names) or 'it has none'}. Received: {search.metric.name}."
        )
    score = float(np.mean(values))
    return score if math.isfinite(score) else None


def _validation(
    run: RunDir, tasks: Sequence[Task], trials: set[Trial]
) -> dict[tuple[str, Trial], float]:
    """The last values on validation data, by name and trial."""
    last = {}
    for folder in {task.folder for task in tasks}:
        table = RunDir(run.path / folder).metrics
        for row in read_metrics(table) if table.is_file() else ():
            trial = Trial(row.seed, row.branch, row.level)
            if row.split == "validation" and trial in trials:
                last[row.name, trial] = row.value
    return last


def _networks(tasks: Sequence[Task], network: str | None) -> set[Trial]:
    """The trials of a network, one for each seed."""
    trials = [trial for task in tasks for trial in task.trials]
    if network is None:
        first = next(task for task in tasks if task.trials).trials[-1]
        branch, level = first.branch, first.level
    else:
        branch, _, text = network.partition(":")
        levels = [trial.level for trial in trials if trial.branch == branch]
        level = int(text) if text.isdecimal() else max(levels, default=0)
    found = {trial for trial in trials if (trial.branch, trial.level) == (branch, level)}
    if not found:
        known = dict.fromkeys(f"{trial.branch}:{trial.level}" for trial in trials)
        raise RunError(
            f"`--network` must be one of the recipe's. Received: {network}. It has "
            f"{', '.join(list(known)[:20])}."
        )
    return found


def _needed(tasks: Sequence[Task], wanted: set[Trial]) -> list[Task]:
    """The tasks that train these trials, and those they wait for, in their order."""
    by_name = {task.name: task for task in tasks}
    left = [task for task in tasks if not wanted.isdisjoint(task.trials)]
    needed: set[str] = set()
    while left:
        task = left.pop()
        needed.add(task.name)
        left += [by_name[name] for name in task.after if name in by_name.keys() - needed]
    return [task for task in tasks if task.name in needed]
