"""What a run consists of: tasks that can be done apart from one another."""

from __future__ import annotations

from dataclasses import dataclass

Place = tuple[int, str, int]
"""Seed, branch and level: what the rows of one network have in common."""


@dataclass(frozen=True)
class Task:
    """A part of a run that can be done in any process, at any time after those it waits for.

    It leaves the same bits whenever and wherever it is done.

    Attributes:
        name: What it is called when it is told of; unique in a run.
        places: The networks that it trains, in their order; none for what leaves no rows.
        after: Names of the tasks that must be finished before it begins.
        folder: The directory of the run that its networks belong to, relative to that of the whole
            run: empty but for the searches in a run of the kind `edge`.
        parts: The same in smaller tasks, for those who do several at a time; none where it can't be
            divided, or one process would do it sooner whole.
    """

    name: str
    places: tuple[Place, ...] = ()
    after: tuple[str, ...] = ()
    folder: str = ""
    parts: tuple[Task, ...] = ()
