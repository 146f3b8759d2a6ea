"""What there is to do in a run, whatever its kind and whoever does it."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import keras

from tfticket.data import DataSet
from tfticket.recipe.kinds.edge import EdgeWork
from tfticket.recipe.kinds.lottery import LotteryWork
from tfticket.recipe.kinds.noisy import NoisyWork
from tfticket.recipe.kinds.norms import NormsWork
from tfticket.recipe.progress import NormsPlan, Plan, Progress
from tfticket.recipe.rundir import RunDir
from tfticket.recipe.schema import Recipe
from tfticket.recipe.tasks import Task


class Work(Protocol):
    """What a recipe of one kind does, with its data in memory."""

    def plan(self, run: RunDir, *, timed: bool) -> Plan | NormsPlan:
        """What is to be done, less what is finished in `run`.

        Args:
            run: The run.
            timed: Whether to estimate how long it takes, where that takes less than doing it.
        """

    def tasks(self) -> tuple[Task, ...]:
        """All that a run consists of, in the order of a single process."""

    def network(self) -> keras.Model:
        """One of the networks that are trained, compiled."""

    def opened(self, run: RunDir) -> AbstractContextManager[None]:
        """Makes ready what all tasks need in `run`, and holds it while they are done."""

    def finished(self, task: Task, run: RunDir) -> bool:
        """Whether a task needs not be done any more."""

    def do(self, task: Task, run: RunDir, progress: Progress) -> None:
        """Does a task; what it leaves is whole or absent. What it had finished before is kept."""

    def finish(self, run: RunDir, progress: Progress) -> dict[str, Any]:
        """Does what comes after all tasks; returns what the run's last file says of it."""


WORK: Mapping[str, Callable[[Any, DataSet, Path | None], Work]] = {
    "lottery": LotteryWork,
    "norms": NormsWork,
    "noisy": NoisyWork,
    "edge": EdgeWork,
}
"""By the `kind` of a recipe: made from the recipe, its data and the folder of the data sets."""


@dataclass(frozen=True, eq=False)
class Study:
    """A recipe with its data, from which any process makes the same work.

    Attributes:
        recipe: The recipe.
        data: Its data.
        data_dir: Where data sets lie.
    """

    recipe: Recipe
    data: DataSet
    data_dir: Path | None = None

    @functools.cached_property
    def work(self) -> Work:
        """What is to be done."""
        return WORK[self.recipe.kind](self.recipe, self.data, self.data_dir)
