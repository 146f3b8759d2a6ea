"""The protocol of executors, and the serial one, which runs every task in this process."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from tfticket.machine import op_threads
from tfticket.runs.plan import Task
from tfticket.runs.progress import Progress
from tfticket.runs.rundir import RunDir
from tfticket.studies.study import Study


class Executor(Protocol):
    """Runs the tasks of a study; what they leave on disk doesn't depend on the executor.

    Attributes:
        timed: Whether a short training in this process tells how long the tasks take.
    """

    timed: bool

    def facts(self) -> dict[str, Any]:
        """Return the `execution` entry of `environment.json`."""

    def run(self, study: Study, tasks: Sequence[Task], run: RunDir, progress: Progress) -> None:
        """Run all of the tasks.

        Args:
            study: The study they belong to.
            tasks: The tasks in the order of a serial run; each one that another waits for is among
                them or finished.
            run: The run directory, open for writing.
            progress: The listener.

        Raises:
            TFTicketError: when a task fails; what was finished is kept.
        """


Choice = Callable[[Study, RunDir], Executor]
"""Chooses the executor for what is left of a study in a run."""


class Serial:
    """Runs one task after the other in this process, with the threads that TensorFlow takes."""

    timed = True

    def facts(self) -> dict[str, Any]:
        """See `Executor`."""
        return {"executor": "serial", "threads": op_threads()}

    def run(self, study: Study, tasks: Sequence[Task], run: RunDir, progress: Progress) -> None:
        """See `Executor`."""
        for task in tasks:
            study.do(task, run, progress)
            run.check_there()
