"""A recipe of the kind `edge`: a search per structure, then all of their tickets as files."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import keras

from tfticket.data import DataSet
from tfticket.files import write_atomic
from tfticket.lottery.trial import TICKET
from tfticket.metrics import read_metrics
from tfticket.recipe.rates import forget_graphs
from tfticket.runs.plan import Plan, PlannedCondition, Task, Trial
from tfticket.runs.progress import Progress
from tfticket.runs.rundir import RunDir
from tfticket.runs.session import locked, prepare
from tfticket.studies.edge.exporting import make_files
from tfticket.studies.edge.schema import EdgeRecipe
from tfticket.studies.lottery.exporting import failure
from tfticket.studies.lottery.plan import plan as plan_search
from tfticket.studies.lottery.schema import LotteryRecipe
from tfticket.studies.lottery.study import LotteryStudy
from tfticket.studies.lottery.training import search_tickets
from tfticket.studies.study import Study

_DENSE = 0


class EdgeStudy(Study):
    """A recipe of the kind `edge` with its data in memory.

    Each search is a run of the kind `lottery` inside, with tickets, verdict and page as always. The
    dense network is the same in all of them, so it is trained in the first alone: a task is a seed
    of a structure, and those of the others wait for that of the first.

    Args:
        recipe: The recipe.
        data: Its data.
        data_dir: The directory of data sets.
    """

    recipe: EdgeRecipe

    def __init__(self, recipe: EdgeRecipe, data: DataSet, data_dir: Path | None = None) -> None:
        super().__init__(recipe, data, data_dir)
        self._searches = {
            structure: LotteryStudy(search, data) for structure, search in recipe.searches().items()
        }

    def plan(self, run: RunDir, *, timed: bool) -> Plan:
        """See `Study`."""
        conditions: list[PlannedCondition] = []
        left = size = 0
        rate: float | None = None  # seconds a step, measured once
        for structure, search in self._searches.items():
            model = search.network()
            trials = search.trials(model)
            if conditions:
                trials = [trial for trial in trials if trial.level > _DENSE]
            wanted = timed and rate is None
            made = plan_search(search, run.search(structure), trials, model, timed=wanted)
            if made.seconds is not None and made.steps_left:
                rate = made.seconds / made.steps_left
            steps = sum(trial.steps for trial in trials)
            conditions.append(
                PlannedCondition(
                    f"search {structure}", self.recipe.seeds, steps, networks=len(trials)
                )
            )
            left += made.steps_left
            size += made.size_bytes
            forget_graphs()
        return Plan(
            title=self.recipe.title,
            seeds=self.recipe.seeds,
            conditions=tuple(conditions),
            steps_left=left,
            seconds=None if rate is None else rate * left,
            size_bytes=size,
            rows="searches",
        )

    def tasks(self) -> tuple[Task, ...]:
        """See `Study`."""
        return tuple(self._tasks)

    def network(self) -> keras.Model:
        """See `Study`."""
        return next(iter(self._searches.values())).network()

    @contextlib.contextmanager
    def opened(self, run: RunDir) -> Iterator[None]:
        """See `Study`; the searches are locked meanwhile."""
        with contextlib.ExitStack() as stack:
            for structure, study in self._searches.items():
                search = run.search(structure)
                stack.enter_context(locked(search))
                _begin(run, search, study.recipe)
            yield

    def do(self, task: Task, run: RunDir, progress: Progress) -> None:
        """See `Study`."""
        structure, seed = self._tasks[task]
        search, first = run.search(structure), run.search(next(iter(self._searches)))
        if search.path != first.path:
            _share_dense(first, search, seed)
        search_tickets(self._searches[structure], search, progress.part(task.name), seed)

    def finish(self, run: RunDir, progress: Progress) -> dict[str, Any]:
        """Make the files; see `Study`.

        A network that no file can be made of is reported; the searches and tickets are kept.
        """
        for structure in self._searches:
            search = run.search(structure)
            if not search.complete:
                search.mark_complete({"seeds": list(self.recipe.seeds)})
        try:
            failed = make_files(self.recipe, self._searches, run, progress)
        except Exception as error:
            failed = [str(failure(error, "The table of files"))]
            progress.message(failed[0])
        return {"failed_exports": failed}

    @functools.cached_property
    def _tasks(self) -> dict[Task, tuple[str, int]]:
        """Each task with its structure and its seed."""
        first, *_ = self._searches
        tasks = {}
        for structure, search in self._searches.items():
            trials = search.trials(search.network())
            forget_graphs()
            for seed in self.recipe.seeds:
                own = tuple(Trial(seed, trial.branch, trial.level) for trial in trials)
                after = () if structure == first else (_name(first, seed),)
                folder = str(RunDir("").search(structure).path)
                tasks[Task(_name(structure, seed), own, after, folder)] = (structure, seed)
        return tasks


def _name(structure: str, seed: int) -> str:
    return f"structure {structure}, seed {seed}"


def _begin(run: RunDir, search: RunDir, recipe: LotteryRecipe) -> None:
    """Makes the directory of a search a run of its own, that knows what made it."""
    origin = f"# A search of the run {run.path.name}; its recipe is ../../recipe.toml.\n"
    prepare(search, recipe, origin.encode())
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
