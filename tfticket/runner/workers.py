"""Run tasks on a pool of workers: several at a time, in the order that they depend on each other.

A worker is a process of its own, on this machine or in a cluster. A thread of this process waits
for each; all that they report is heard by the thread that runs the pool. `ProcessPoolExecutor`
isn't used: one dead worker breaks the whole pool, its workers import the user's script, and before
Python 3.14 they can't be ended in the middle of a task.
"""

from __future__ import annotations

import functools
import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from graphlib import TopologicalSorter
from typing import Any, Protocol, Self

from tfticket.errors import RunError, TFTicketError
from tfticket.runs.plan import Task
from tfticket.runs.progress import Progress
from tfticket.runs.rundir import RunDir
from tfticket.studies.study import Study

_TRIES = 2

Hook = Callable[[str, tuple[Any, ...]], None]
"""Takes what a worker reports of its task: the name of a method of `Progress`, its arguments."""


class WorkerLostError(Exception):
    """A worker died; the message is a clause that says how."""


class Worker(Protocol):
    """A process that runs one task at a time."""

    def run(self, task: Task, hook: Hook) -> None:
        """Run a task and wait for its end.

        Raises:
            WorkerLostError: when the worker dies.
            Exception: whatever the task raised.
        """

    def kill(self) -> None:
        """End the process at once, whatever it does."""

    def close(self) -> None:
        """Release the resources of the process, after `kill` and when no call of `run` is left."""


def unfinished(study: Study, tasks: Sequence[Task], run: RunDir) -> list[Task]:
    """Return what is left to do of tasks, in their parts where they have some."""
    return [part for part in parts_of(tasks) if not study.finished(part, run)]


def parts_of(tasks: Sequence[Task]) -> list[Task]:
    """Return the parts of tasks, in their order; a task without parts is its own."""
    return [part for task in tasks for part in task.parts or (task,)]


def dependencies(tasks: Sequence[Task]) -> TopologicalSorter[Task]:
    """Return the graph of tasks; one that isn't among them counts as finished."""
    by_name = {task.name: task for task in tasks}
    graph = TopologicalSorter(
        {task: [by_name[name] for name in task.after if name in by_name] for task in tasks}
    )
    graph.prepare()
    return graph


def width(tasks: Sequence[Task]) -> int:
    """Return how many tasks can run at the same time, if each took as long as any other."""
    graph, widest = dependencies(tasks), 0
    while graph.is_active():
        ready = graph.get_ready()
        widest = max(widest, len(ready))
        graph.done(*ready)
    return widest


class WorkerPool:
    """Up to `size` workers, started when they are needed; leaving the block ends all of them.

    A task whose worker dies is run again by a new one, once. A task that raises an error is
    reported, and the others go on: what they finish is kept.

    Args:
        start: Starts a worker.
        size: The largest number of workers.
        run: The run directory, open for writing.
        progress: The listener, called by the thread that runs the pool.
    """

    def __init__(
        self, start: Callable[[], Worker], size: int, run: RunDir, progress: Progress
    ) -> None:
        self._start = start
        self._size = size
        self._run = run
        self._progress = progress
        self._threads = ThreadPoolExecutor(max(1, size))
        self._calls: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._workers: list[Worker] = []
        self._idle: list[Worker] = []
        self._closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        with self._lock:
            self._closed = True
        for worker in self._workers:
            worker.kill()
        self._threads.shutdown()
        for worker in self._workers:
            worker.close()

    def run(self, tasks: Sequence[Task]) -> None:
        """Run all tasks.

        Raises:
            RunError: when some failed.
        """
        graph, ready, running = dependencies(tasks), set[Task](), set[Task]()
        waiting, failures = set(tasks), dict[Task, BaseException]()

        def end(task: Task, future: Future[None]) -> None:
            running.remove(task)
            error = future.exception()
            if error is None:
                graph.done(task)
                return
            failures[task] = error
            self._progress.message(f"{task.name} failed: {error}")

        def ended(task: Task, future: Future[None]) -> None:
            self._calls.put(functools.partial(end, task, future))

        while True:
            ready.update(graph.get_ready())
            for task in sorted(ready, key=tasks.index)[: self._size - len(running)]:
                ready.remove(task)
                waiting.remove(task)
                running.add(task)
                future = self._threads.submit(self._run_task, task, self._progress.part(task.name))
                future.add_done_callback(functools.partial(ended, task))
            if not running:
                break
            self._calls.get()()
        if failures:
            raise _failure(failures, len(tasks), len(waiting))

    def _run_task(self, task: Task, progress: Progress) -> None:
        """Runs a task in a thread of the pool, again if its worker dies."""

        def hook(method: str, arguments: tuple[Any, ...]) -> None:
            self._calls.put(functools.partial(getattr(progress, method), *arguments))

        for tried in range(1, _TRIES + 1):
            worker = self._take()
            try:
                worker.run(task, hook)
            except WorkerLostError as error:
                if self._closed:
                    raise
                if tried == _TRIES:
                    raise RunError(f"Its process ended {tried} times, at last {error}.") from error
                text = (
                    f"The process of {task.name} ended {error}. Another one runs the task again; "
                    "finished networks are kept."
                )
                self._calls.put(functools.partial(self._progress.message, text))
                # Measurements of a network whose ticket wasn't written any more.
                RunDir(self._run.path / task.folder).drop_unfinished_rows(task.trials)
            except BaseException:
                self._idle.append(worker)
                raise
            else:
                self._idle.append(worker)
                return

    def _take(self) -> Worker:
        with self._lock:
            if self._closed:
                raise WorkerLostError("with the run")
            if self._idle:
                return self._idle.pop(0)
            self._workers.append(self._start())
            return self._workers[-1]


def _failure(failures: dict[Task, BaseException], count: int, waiting: int) -> BaseException:
    for error in failures.values():
        if not isinstance(error, TFTicketError):
            return error  # a mistake of ours, which carries the traceback of its worker
    lines = "".join(f"  {task.name}: {error}\n" for task, error in failures.items())
    many = "that wait for them weren't" if waiting > 1 else "that waits for them wasn't"
    return RunError(
        f"{len(failures)} of {count} tasks of the run failed:\n{lines}"
        + (f"{waiting} {many} begun. " if waiting else "")
        + "All that was finished is kept; run the command again to go on."
    )
