"""Workers that do tasks beside one another, and the loop that keeps them busy."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

from tfticket.errors import RunError, TFTicketError
from tfticket.runner.executor import TaskQueue
from tfticket.runs.progress import Progress
from tfticket.runs.rundir import RunDir
from tfticket.runs.tasks import Task

_TRIES = 2


@dataclass(frozen=True)
class Told:
    """A worker tells how its task goes: a call of `Progress`.

    Attributes:
        method: Its name.
        arguments: Its arguments.
    """

    method: str
    arguments: tuple[Any, ...]


@dataclass(frozen=True)
class Done:
    """A worker has done its task."""


@dataclass(frozen=True)
class Failed:
    """The task raised an error; the worker can be given another one.

    Attributes:
        error: What was raised.
        trace: Where, as text.
    """

    error: BaseException
    trace: str


@dataclass(frozen=True)
class Died:
    """The worker is no more.

    Attributes:
        why: A clause: how it ended.
    """

    why: str


Event = Told | Done | Failed | Died


class Crew(ABC):
    """Workers with numbers from 0, one task each at a time. Leaving the block ends all of them."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.end()

    @abstractmethod
    def hire(self, number: int) -> None:
        """Starts the worker of a number, which has none, or had one that died."""

    @abstractmethod
    def give(self, number: int, task: Task) -> None:
        """Gives a task to a worker that has none. That it died is told by `wait`."""

    @abstractmethod
    def wait(self) -> list[tuple[int, Event]]:
        """What workers have to say, one or more of it; waits for the first."""

    @abstractmethod
    def end(self) -> None:
        """Ends all workers at once, whatever they do."""


class Foreman:
    """Has tasks done by a crew.

    A task whose worker dies is given to a new one, once. A task that raises an error is told of,
    and the others go on: what they finish is kept.

    Args:
        crew: The workers.
        size: How many of them there can be.
        run: Open for writing.
        progress: Hears how it goes.
    """

    def __init__(self, crew: Crew, size: int, run: RunDir, progress: Progress) -> None:
        self._crew = crew
        self._size = size
        self._run = run
        self._progress = progress
        self._busy: dict[int, tuple[Task, Progress]] = {}
        self._idle: list[int] = []
        self._deaths: Counter[Task] = Counter()
        self._failures: dict[Task, Failed] = {}

    def have_done(self, tasks: Sequence[Task]) -> None:
        """Has all tasks done.

        Raises:
            RunError: when some couldn't be.
        """
        self._queue = TaskQueue(tasks)
        self._give()
        while self._busy:
            for number, event in self._crew.wait():
                self._hear(number, event)
            self._give()
        if self._failures:
            raise self._failure(len(tasks))

    def _give(self) -> None:
        while len(self._busy) < self._size and (task := self._queue.take()) is not None:
            if not self._idle:
                number = next(n for n in range(self._size) if n not in self._busy)
                self._crew.hire(number)
                self._idle.append(number)
            number = self._idle.pop(0)
            self._busy[number] = (task, self._progress.part(task.name))
            self._crew.give(number, task)

    def _hear(self, number: int, event: Event) -> None:
        if number not in self._busy:
            if isinstance(event, Died) and number in self._idle:
                self._idle.remove(number)
            return
        task, part = self._busy[number]
        if isinstance(event, Told):
            getattr(part, event.method)(*event.arguments)
            return
        del self._busy[number]
        if isinstance(event, Died):
            self._died(task, event)
            return
        self._idle.append(number)
        if isinstance(event, Done):
            self._queue.done(task)
        else:
            self._fail(task, event)

    def _died(self, task: Task, event: Died) -> None:
        self._deaths[task] += 1
        again = self._deaths[task] < _TRIES
        if not again:
            text = f"Its process ended {self._deaths[task]} times, at last {event.why}."
            self._fail(task, Failed(RunError(text), ""))
            return
        self._progress.message(
            f"The process of {task.name} ended {event.why}. Another one begins the task again; "
            "networks that were finished are kept."
        )
        # Measurements of a network whose ticket wasn't written any more.
        RunDir(self._run.path / task.folder).drop_unfinished_rows(task.places)
        self._queue.put_back(task)

    def _fail(self, task: Task, failed: Failed) -> None:
        self._failures[task] = failed
        self._progress.message(f"{task.name} failed: {failed.error}")

    def _failure(self, count: int) -> BaseException:
        for task, failed in self._failures.items():
            if not isinstance(failed.error, TFTicketError):
                where = f"In the task {task.name!r}, in another process:\n{failed.trace}"
                failed.error.add_note(where)
                return failed.error
        lines = "".join(f"  {task.name}: {each.error}\n" for task, each in self._failures.items())
        waiting = len(self._queue.left)
        many = "that wait for them weren't" if waiting > 1 else "that waits for them wasn't"
        return RunError(
            f"{len(self._failures)} of {count} tasks of the run failed:\n{lines}"
            + (f"{waiting} {many} begun. " if waiting else "")
            + "All that was finished is kept; run the command again to go on."
        )
