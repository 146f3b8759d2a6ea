"""Tasks in worker processes of this machine, one thread each."""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import Any

from tfticket import children
from tfticket.data.storage import share
from tfticket.errors import RunError
from tfticket.machine import available_memory, only_cpus, usable_cores
from tfticket.recipe.rates import forget_graphs
from tfticket.runner.executor import Executor, Serial
from tfticket.runner.worker import SINGLE_THREADED, Setup, TaskRunner
from tfticket.runner.workers import Hook, WorkerLostError, WorkerPool, unfinished, width
from tfticket.runs.plan import Task
from tfticket.runs.progress import Progress
from tfticket.runs.rundir import RunDir
from tfticket.studies.study import Study

# Below so many steps a run ends before processes, which take seconds to start, have caught up.
_FEWEST_STEPS = 20_000
_BYTES_PER_PROCESS = 1.5 * 2**30


def suited(study: Study, run: RunDir) -> Executor:
    """Choose the default executor for a run: processes where they are faster, with the same bits.

    Small dense networks, which XLA compiles on a CPU, gain little or nothing from a second thread:
    as many of them are trained in parallel as there are cores. Convolutions use all threads, and
    add in another order then, so they stay in this process.

    Args:
        study: The study.
        run: Its run directory; what is finished there needs no process.
    """
    if not hasattr(os, "sched_getaffinity") or study.recipe.train.distribute != "none":
        return Serial()
    tasks = unfinished(study, study.tasks(), run)
    steps = study.recipe.train.steps * sum(len(task.trials) for task in tasks)
    jobs = int(min(usable_cores(), width(tasks), available_memory() / _BYTES_PER_PROCESS))
    if jobs < 2 or steps < _FEWEST_STEPS:
        return Serial()
    is_compiled = bool(study.network().jit_compile)
    forget_graphs()
    return Processes(jobs) if is_compiled and only_cpus() else Serial()


class Processes:
    """Runs tasks in long-lived processes of this machine, which share the data in memory.

    Two of them, of one thread each, do about twice as much as one; two threads in one process 1.4
    times. Results don't depend on the number of processes. They differ in the last bits from those
    of several threads where a kernel sums in another order then, as those of convolutions do.

    Args:
        jobs: Number of processes, at most one for each core; None for one for each core.

    Raises:
        RunError: when `jobs` is less than 1.
    """

    timed = False  # how long it takes is known after the first evaluations

    def __init__(self, jobs: int | None = None) -> None:
        if jobs is not None and jobs < 1:
            raise RunError(f"`jobs` must be at least 1. Received: {jobs}.")
        self._asked = jobs or usable_cores()
        self.jobs = min(self._asked, usable_cores())

    def facts(self) -> dict[str, Any]:
        """See `Executor`."""
        return {"executor": "processes", "jobs": self.jobs, "threads": 1}

    def run(self, study: Study, tasks: Sequence[Task], run: RunDir, progress: Progress) -> None:
        """See `Executor`."""
        tasks = unfinished(study, tasks, run)
        self._report_size(width(tasks), progress)
        with tempfile.TemporaryFile(prefix="tfticket-data-") as file:
            try:
                layout = share(study.data, file)
            except OSError as error:
                raise RunError(
                    f"The data must fit into {tempfile.gettempdir()} to be shared by processes. "
                    f"{error.strerror}. Make room, or name another folder by TMPDIR."
                ) from error
            setup = Setup.of(study, run.path.resolve(), layout, file.fileno())
            with WorkerPool(lambda: ProcessWorker(setup), self.jobs, run, progress) as pool:
                pool.run(tasks)

    def _report_size(self, busy: int, progress: Progress) -> None:
        if self._asked > self.jobs:
            progress.message(
                f"{self._asked} jobs are more than the usable cores: at most {self.jobs} worker "
                "processes run."
            )
        if 1 < busy < self.jobs:
            progress.message(
                f"Only {busy} tasks can run at the same time: {busy} of {self.jobs} worker "
                "processes have work."
            )
        if busy == 1 < self.jobs:
            progress.message(
                f"Each task that is left waits for the one before: 1 of {self.jobs} worker "
                "processes has work. Without --jobs it would use all cores."
            )


class ProcessWorker:
    """A `Worker` in a process of its own, which ends when this process does.

    Args:
        setup: The study and its run; the file of the data is open here, and inherited.

    Attributes:
        process: The process.
    """

    def __init__(self, setup: Setup) -> None:
        assert isinstance(setup.file, int)
        self._connection, theirs = Pipe()
        self._output = tempfile.TemporaryFile()  # noqa: SIM115 - the worker's, until it ends
        self.process = subprocess.Popen(
            children.command("tfticket.runner.pool", str(theirs.fileno())),
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=self._output,
            pass_fds=(theirs.fileno(), setup.file),
            env={**os.environ, **SINGLE_THREADED},
        )
        theirs.close()
        self._setup: Setup | None = setup  # sent with the first task, since sending may block

    def run(self, task: Task, hook: Hook) -> None:
        """See `Worker`."""
        if self._setup is not None:
            self._send(self._setup)
            self._setup = None
        self._send(task)
        while isinstance(message := self._receive(), tuple):
            hook(*message)
        if message is not None:
            raise message

    def kill(self) -> None:
        """See `Worker`."""
        self.process.kill()

    def close(self) -> None:
        """See `Worker`."""
        self.process.wait()
        self._connection.close()
        self._output.close()

    def _send(self, message: Setup | Task) -> None:
        with contextlib.suppress(OSError):  # it died: `_receive` finds out
            self._connection.send(message)

    def _receive(self) -> Any:
        """A report, or at the end of the task its error or None."""
        try:
            return self._connection.recv()
        except (EOFError, OSError):
            raise WorkerLostError(self._cause_of_death()) from None

    def _cause_of_death(self) -> str:
        status = self.process.wait()
        self._output.seek(0)
        lines = [line for line in self._output.read().decode(errors="replace").splitlines() if line]
        words = f", after saying: {lines[-1].strip()}" if lines else ""
        if status >= 0:
            return f"with status {status}{words}"
        name = signal.Signals(-status).name
        memory = " (the system does that when memory is short)"
        return f"by {name}{memory if name == 'SIGKILL' else words}"


def main(descriptor: int) -> None:
    """Run tasks until the other end of a connection is gone.

    Args:
        descriptor: Of a connection that gives a `Setup`, then tasks. It takes what they report,
            and for each at its end the error that it raised or None.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process that started this one ends it
    connection = Connection(descriptor)
    setup: Setup = connection.recv()
    tasks: queue.SimpleQueue[Task] = queue.SimpleQueue()
    threading.Thread(target=_receive, args=(connection, tasks), daemon=True).start()
    runner = TaskRunner(setup, lambda *message: connection.send(message))
    while True:
        connection.send(runner.run(tasks.get()))


def _receive(connection: Connection, tasks: queue.SimpleQueue[Task]) -> None:
    """Receives tasks in a thread of its own, and ends the process when its parent has ended."""
    try:
        while True:
            tasks.put(connection.recv())
    except (EOFError, OSError):
        os._exit(1)  # in the middle of a training: nothing else would stop it


if __name__ == "__main__":
    main(int(sys.argv[1]))
