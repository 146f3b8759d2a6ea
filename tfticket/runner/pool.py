"""Tasks in processes beside one another, each with one thread on a processor of its own."""

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
from dataclasses import dataclass, replace
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import IO, Any

from tfticket import children
from tfticket.data.sharing import share
from tfticket.errors import RunError
from tfticket.runner.crew import Crew, Died, Event, Foreman
from tfticket.runner.executor import divided, width
from tfticket.runner.worker import SINGLE_THREADED, Setup, TaskDoer
from tfticket.runs.progress import Progress
from tfticket.runs.rundir import RunDir
from tfticket.runs.tasks import Task
from tfticket.studies.study import Study

_SECONDS_TO_END = 5.0


class Processes:
    """Does tasks in long-lived processes of this machine, which share the data in memory.

    Each has one thread and stays on one processor: two of them do about twice as much as one, and
    two threads in one about 1.4 times. Results don't depend on how many processes there are; they
    differ in the last bits from those of more threads where a kernel sums in another order then, as
    those of convolutions do.

    Args:
        jobs: How many; as many as there are processors if None, and never more.

    Raises:
        RunError: when there are to be none.
    """

    timed = False  # how long it takes is told after the first evaluations

    def __init__(self, jobs: int | None = None) -> None:
        if jobs is not None and jobs < 1:
            raise RunError(f"`jobs` must be at least 1. Received: {jobs}.")
        self._cpus = sorted(os.sched_getaffinity(0))
        self._asked = jobs or len(self._cpus)
        self.jobs = min(self._asked, len(self._cpus))

    def facts(self) -> dict[str, Any]:
        """See `Executor`."""
        return {"executor": "processes", "jobs": self.jobs, "threads": 1}

    def run(self, study: Study, tasks: Sequence[Task], run: RunDir, progress: Progress) -> None:
        """See `Executor`."""
        tasks = divided(study, tasks, run)
        size = min(self.jobs, len(tasks))
        self._say_size(tasks, progress)
        with tempfile.TemporaryFile(prefix="tfticket-data-") as file:
            try:
                layout = share(study.data, file)
            except OSError as error:
                raise RunError(
                    f"The data must fit into {tempfile.gettempdir()} to be shared by processes. "
                    f"{error.strerror}. Make room, or name another folder by TMPDIR."
                ) from error
            setup = Setup(
                recipe=study.recipe,
                run=run.path.resolve(),
                data=layout,
                file=file.fileno(),
                data_dir=study.data_dir,
                folder=Path.cwd(),
                cpu=None,
            )
            with ProcessCrew(setup, self._cpus) as crew:
                Foreman(crew, size, run, progress).have_done(tasks)

    def _say_size(self, tasks: Sequence[Task], progress: Progress) -> None:
        if self._asked > self.jobs:
            progress.message(
                f"{self._asked} jobs are more than the processors that may be used: {self.jobs} "
                "it is."
            )
        busy = width(tasks)
        if 1 < busy < self.jobs:
            progress.message(
                f"What is left to do are {busy} tasks that don't need one another: {busy} of "
                f"{self.jobs} processes have something to do."
            )
        if busy == 1 < self.jobs:
            progress.message(
                f"What is left to do goes step by step: 1 of {self.jobs} processes has something "
                "to do. Without --jobs it has all processors to itself."
            )


@dataclass
class _Worker:
    process: subprocess.Popen[bytes]
    connection: Connection
    output: IO[bytes]

    def end(self) -> None:
        self.connection.close()
        self.process.terminate()
        try:
            self.process.wait(_SECONDS_TO_END)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.output.close()

    def last_words(self) -> str:
        """How a process ended that wasn't told to, as a clause."""
        self.connection.close()
        status = self.process.wait()
        self.output.seek(0)
        lines = [line for line in self.output.read().decode(errors="replace").splitlines() if line]
        self.output.close()
        words = f", after saying: {lines[-1].strip()}" if lines else ""
        if status >= 0:
            return f"with status {status}{words}"
        name = signal.Signals(-status).name
        memory = " (the system does that when memory is short)" if name == "SIGKILL" else ""
        return f"by {name}{memory}{words if name != 'SIGKILL' else ''}"


class ProcessCrew(Crew):
    """Worker processes, pinned to processors in turn.

    Args:
        setup: What each must know; the file of the data is open here, and inherited.
        cpus: The processors.
    """

    def __init__(self, setup: Setup, cpus: Sequence[int]) -> None:
        self._setup = setup
        self._cpus = cpus
        self._workers: dict[int, _Worker] = {}

    @property
    def pids(self) -> dict[int, int]:
        """Number to process id of the workers that were hired and haven't ended."""
        return {number: worker.process.pid for number, worker in self._workers.items()}

    def hire(self, number: int) -> None:
        """See `Crew`."""
        assert isinstance(self._setup.file, int)
        ours, theirs = Pipe()
        output = tempfile.TemporaryFile()  # noqa: SIM115 - the worker's, until it ends
        process = subprocess.Popen(
            children.command("tfticket.runner.pool", str(theirs.fileno())),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            pass_fds=(theirs.fileno(), self._setup.file),
            env={**os.environ, **SINGLE_THREADED},
        )
        theirs.close()
        self._workers[number] = _Worker(process, ours, output)
        self._send(number, replace(self._setup, cpu=self._cpus[number % len(self._cpus)]))

    def give(self, number: int, task: Task) -> None:
        """See `Crew`."""
        self._send(number, task)

    def wait(self) -> list[tuple[int, Event]]:
        """See `Crew`."""
        numbers = {worker.connection: number for number, worker in self._workers.items()}
        ready = wait(list(numbers))
        return [self._receive(numbers[each]) for each in ready if isinstance(each, Connection)]

    def end(self) -> None:
        """See `Crew`."""
        for worker in self._workers.values():
            worker.process.terminate()
        for worker in self._workers.values():
            worker.end()
        self._workers = {}

    def _send(self, number: int, message: Setup | Task) -> None:
        with contextlib.suppress(OSError):  # it died: `wait` finds out
            self._workers[number].connection.send(message)

    def _receive(self, number: int) -> tuple[int, Event]:
        try:
            return number, self._workers[number].connection.recv()
        except (EOFError, OSError):
            return number, Died(self._workers.pop(number).last_words())


def main(descriptor: int) -> None:
    """Does tasks until there are no more.

    Args:
        descriptor: Of a connection that gives a `Setup`, then tasks, then None, and takes events.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever started this one ends it
    connection = Connection(descriptor)
    setup: Setup = connection.recv()
    tasks: queue.SimpleQueue[Task | None] = queue.SimpleQueue()
    threading.Thread(target=_receive, args=(connection, tasks), daemon=True).start()
    doer = TaskDoer(setup, connection.send)
    while (task := tasks.get()) is not None:
        connection.send(doer.do(task))


def _receive(connection: Connection, tasks: queue.SimpleQueue[Task | None]) -> None:
    """Takes tasks in a thread of its own, which so hears of it when nobody is there any more."""
    try:
        while True:
            tasks.put(connection.recv())
    except (EOFError, OSError):
        os._exit(1)  # in the middle of a training: nothing else would stop it


if __name__ == "__main__":
    main(int(sys.argv[1]))
