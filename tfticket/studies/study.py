"""What every kind of study can do with its data in memory."""

from __future__ import annotations

import abc
import pkgutil
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfticket.recipe.schema import Recipe
from tfticket.runs.progress import NormsPlan, Plan, Progress
from tfticket.runs.rundir import RunDir
from tfticket.runs.tasks import Task
from tfticket.studies.registry import KINDS

if TYPE_CHECKING:
    import keras

    from tfticket.data import DataSet


class Study(abc.ABC):
    """A recipe with its data: all that is trained, and in which order.

    Any process makes the same study from the same arguments.

    Args:
        recipe: The recipe.
        data: Its data.
        data_dir: The directory of data sets, for those that take the place of examples.
    """

    def __init__(self, recipe: Recipe, data: DataSet, data_dir: Path | None = None) -> None:
        self.recipe = recipe
        self.data = data
        self.data_dir = data_dir

    @abc.abstractmethod
    def plan(self, run: RunDir, *, timed: bool) -> Plan | NormsPlan:
        """What is to be done, less what is finished in `run`.

        Args:
            run: The run.
            timed: Whether to estimate how long it takes, where that takes less than doing it.
        """

    @abc.abstractmethod
    def tasks(self) -> tuple[Task, ...]:
        """All that a run consists of, in the order of a single process."""

    @abc.abstractmethod
    def network(self) -> keras.Model:
        """One of the networks that are trained, compiled."""

    @abc.abstractmethod
    def opened(self, run: RunDir) -> AbstractContextManager[None]:
        """Makes ready what all tasks need in `run`, and holds it while they are done."""

    @abc.abstractmethod
    def finished(self, task: Task, run: RunDir) -> bool:
        """Whether a task needs not be done any more."""

    @abc.abstractmethod
    def do(self, task: Task, run: RunDir, progress: Progress) -> None:
        """Does a task; what it leaves is whole or absent. What it had finished before is kept."""

    @abc.abstractmethod
    def finish(self, run: RunDir, progress: Progress) -> dict[str, Any]:
        """Does what comes after all tasks; returns what the run's last file says of it."""


def make_study(recipe: Recipe, data: DataSet, data_dir: Path | None = None) -> Study:
    """Makes the study of a recipe, whatever its kind.

    Args:
        recipe: The recipe.
        data: Its data.
        data_dir: The directory of data sets.
    """
    made: Study = pkgutil.resolve_name(KINDS[recipe.kind].study)(recipe, data, data_dir)
    return made
