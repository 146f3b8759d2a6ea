"""Tasks shared among processes that joined one run, on any machines that see its directory."""

from __future__ import annotations

import contextlib
import hashlib
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from filelock import FileLock, Timeout

from tfticket.files import remove_leftovers
from tfticket.runner.workers import unfinished
from tfticket.runs.plan import Task
from tfticket.runs.progress import Progress
from tfticket.runs.rundir import RunDir
from tfticket.studies.study import Study

_SECONDS = 1.0  # between two looks for a task that can begin


class Joined:
    """Runs in this process the tasks that no other process of the run is at.

    All see the run directory under the same path, on a file system with locks (`flock`). A task
    belongs to the process that holds its lock, so that of a killed process is taken over by the
    next that looks. A process leaves when nothing is left to begin; the last one ends the run.
    """

    timed = False

    def facts(self) -> dict[str, Any]:
        """See `Executor`."""
        return {"executor": "joined", "threads": 1}

    def run(self, study: Study, tasks: Sequence[Task], run: RunDir, progress: Progress) -> None:
        """See `Executor`; on return others may still be at tasks."""
        while left := unfinished(study, tasks, run):
            waiting = {task.name for task in left}
            ready = [task for task in left if waiting.isdisjoint(task.after)]
            if not any(self._do(task, study, run, progress) for task in ready):
                if len(ready) == len(left):
                    return
                time.sleep(_SECONDS)
            run.check_there()

    def _do(self, task: Task, study: Study, run: RunDir, progress: Progress) -> bool:
        """Do a task unless another process is at it; returns whether it was done."""
        with claimed(run, task.name) as mine:
            if mine and not study.finished(task, run):
                RunDir(run.path / task.folder).drop_unfinished_rows(task.trials)
                study.do(task, run, progress.part(task.name))
            return mine


@contextlib.contextmanager
def claimed(run: RunDir, name: str, *, wait: bool = False) -> Iterator[bool]:
    """Claim something of a run for this process, and yield whether no other has it.

    Args:
        run: The run, joined.
        name: Name of a task, or anything else that one process does at a time.
        wait: Whether to wait until it is free.
    """
    run.claims.mkdir(exist_ok=True)
    lock = FileLock(run.claims / hashlib.sha256(name.encode()).hexdigest()[:16])
    try:
        lock.acquire(timeout=-1 if wait else 0)
    except Timeout:
        yield False
        return
    try:
        yield True
    finally:
        lock.release()


def end(run: RunDir, all_done: Callable[[], bool], finish: Callable[[], None]) -> None:
    """End a joined run, once, if nothing of it is left to do.

    Args:
        run: The run.
        all_done: Tells whether all tasks are finished.
        finish: Does what comes after them, up to the mark of a complete run.
    """
    if not all_done():
        return
    with claimed(run, "the end", wait=True):
        if not run.complete:
            remove_leftovers(run.path)
            finish()
        shutil.rmtree(run.claims, ignore_errors=True)
