"""What an executor is, and the one that does everything in this process."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from tfticket.machine import op_threads
from tfticket.runs.progress import Progress
from tfticket.runs.rundir import RunDir
from tfticket.runs.tasks import Task
from tfticket.studies.study import Study


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
    return [part for part in parts if not study.finished(part, run)]


class Serial:
    """One task after the other in this process, with as many threads as TensorFlow takes."""

    timed = True

    def facts(self) -> dict[str, Any]:
        """See `Executor`."""
        return {"executor": "serial", "threads": op_threads()}

    def run(self, study: Study, tasks: Sequence[Task], run: RunDir, progress: Progress) -> None:
        """See `Executor`."""
        for task in tasks:
            study.do(task, run, progress)
            run.check_there()


def width(tasks: Sequence[Task]) -> int:
    """How many tasks can be done at the same time, if each took as long as any other."""
    left, widest = list(tasks), 0
    while left:
        names = {task.name for task in left}
        ready = [task for task in left if names.isdisjoint(task.after)]
        widest = max(widest, len(ready))
        left = [task for task in left if task not in ready]
    return widest


class TaskQueue:
    """Tasks in their order, each held back until those it waits for are done.

    Args:
        tasks: What is to be done. What they wait for and isn't among them is done already.
    """

    def __init__(self, tasks: Sequence[Task]) -> None:
        self._left = list(tasks)
        self._open = {task.name for task in tasks}

    def take(self) -> Task | None:
        """The first task that can begin; None when there is none now."""
        for task in self._left:
            if self._open.isdisjoint(task.after):
                self._left.remove(task)
                return task
        return None

    def put_back(self, task: Task) -> None:
        """The task must be done again; it is the next one."""
        self._left.insert(0, task)

    def done(self, task: Task) -> None:
        """The task is done: what waits for it can begin."""
        self._open.remove(task.name)

    @property
    def left(self) -> tuple[Task, ...]:
        """What wasn't taken; at the end, what waits for a task that failed."""
        return tuple(self._left)
