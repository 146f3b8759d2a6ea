"""Runs a recipe of the kind `edge`: a search a structure, then all of their tickets as files."""

from __future__ import annotations

from pathlib import Path
from typing import Any, BinaryIO

from tfticket.files import write_atomic
from tfticket.lottery.trial import TICKET
from tfticket.metrics import read_metrics
from tfticket.recipe.building import forget_graphs, load_data
from tfticket.recipe.edge_files import make_files
from tfticket.recipe.edge_schema import EdgeRecipe
from tfticket.recipe.experiment import Experiment
from tfticket.recipe.kinds.lottery import planned_trials, run_lottery
from tfticket.recipe.lottery_schema import LotteryRecipe
from tfticket.recipe.planning import plan as plan_search
from tfticket.recipe.progress import NormsPlan, PlannedCell, Progress
from tfticket.recipe.rundir import RunDir
from tfticket.recipe.session import locked, prepare

_DENSE = 0


class EdgeWork:
    """What a recipe of the kind `edge` does in a run directory.

    Each search is a run of the kind `lottery` inside, with tickets, verdict and page as always. The
    dense network is the same in all of them, so it is trained in the first alone.

    Args:
        recipe: The recipe.
        data_dir: Where data sets lie.
    """

    def __init__(self, recipe: EdgeRecipe, data_dir: Path | None) -> None:
        self._recipe = recipe
        self.data = load_data(recipe.data, data_dir)
        self._searches = {
            structure: Experiment(search, self.data)
            for structure, search in recipe.searches().items()
        }

    def plan(self, run: RunDir) -> NormsPlan:
        """See `runner.Work`."""
        seeds, cells, size = self._recipe.seeds, [], 0
        total = left = 0
        rate: float | None = None  # seconds a step, measured once
        for number, (structure, experiment) in enumerate(self._searches.items()):
            model = experiment.model(seeds[0])
            planned = planned_trials(experiment, model)
            trials = [trial for trial in planned if trial.level > _DENSE or number == 0]
            search = run.search(structure)
            made = plan_search(experiment, search, trials, model, measure=rate is None)
            if made.seconds is not None and made.steps_left:
                rate = made.seconds / made.steps_left
            cells.append(
                PlannedCell(f"search {structure}", len(seeds), sum(t.steps for t in trials))
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

    def run(self, run: RunDir, progress: Progress) -> dict[str, Any]:
        """Searches what isn't found yet, then makes the files; see `runner.Work`."""
        first: RunDir | None = None
        for structure, experiment in self._searches.items():
            search = run.search(structure)
            with locked(search):
                _begin(run, search, experiment.recipe)
                if first is not None:
                    for seed in self._recipe.seeds:
                        _share_dense(first, search, seed)
                if not search.complete:
                    progress.message(f"Structure {structure}:")
                    run_lottery(experiment, search, progress)
                    search.mark_complete({"seeds": list(self._recipe.seeds)})
            first = first or search
            forget_graphs()
        make_files(self._recipe, self._searches, run, progress)
        return {}


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
