"""What an executor is, and the one that does everything in this process."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from tfticket.machine import op_threads
from tfticket.recipe.progress import Progress
from tfticket.recipe.rundir import RunDir
from tfticket.recipe.tasks import Task
from tfticket.recipe.works import Study


class Executor(Protocol):
    """Does tasks. What they leave in the run doesn't depend on who does them.

    Attributes:
        timed: Whether it takes as long as a training in this process says.
    """

    timed: bool

    def facts(self) -> dict[str, Any]:
        """What `environment.json` says of it."""

    def run(self, study: Study, tasks: Sequence[Task], run: RunDir, progress: Progress) -> None:
        """Does all of the tasks.

        Args:
            study: What they belong to.
            tasks: Those to do, in the order of a single process; what they wait for is among them
                or finished.
            run: Open for writing.
            progress: Hears how it goes.

        Raises:
            TFTicketError: for whatever can't be done; what was finished is kept.
        """


Choice = Callable[[Study, RunDir], Executor]
"""Tells who is to do what is left of a study in a run."""


def divided(study: Study, tasks: Sequence[Task], run: RunDir) -> list[Task]:
    """What is left to do of tasks, in their parts where they have some."""
    parts = [part for task in tasks for part in task.parts or (task,)]
    return [part for part in parts if not study.work.finished(part, run)]


class Serial:
    """One task after the other in this process, with as many threads as TensorFlow takes."""

    timed = True

    def facts(self) -> dict[str, Any]:
        """See `Executor`."""
        return {"executor": "serial", "threads": op_threads()}

    def run(self, study: Study, tasks: Sequence[Task], run: RunDir, progress: Progress) -> None:
        """See `Executor`."""
        for task in tasks:
            study.work.do(task, run, progress)
            run.check_there()
