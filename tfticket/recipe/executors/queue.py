"""Which task is next, and how many are at the same time."""

from __future__ import annotations

from collections.abc import Sequence

from tfticket.recipe.tasks import Task


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
