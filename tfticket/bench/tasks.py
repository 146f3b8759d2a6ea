"""Tasks that run in other processes: peers that can't live in this one, and whole programs."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import IO

from tfticket import children
from tfticket.errors import TFTicketError

_READY = "ready"
_TOLD = 2000  # characters of what a failed process said


@dataclass(frozen=True)
class Time:
    """How long a task took, in seconds of processor time, over all threads, and of wall time."""

    cpu: float
    wall: float


class UnavailableError(TFTicketError):
    """A contender can't take part here."""


def need(module: str, how: str) -> None:
    """Raises an `UnavailableError` when a module isn't installed; `how` says how to get it."""
    if importlib.util.find_spec(module) is None:
        raise UnavailableError(f"{module} isn't installed ({how}).")


class ChildTask:
    """A task in a Python of its own, which stays and does it again each time it is asked to.

    The module that is run calls `serve`.

    Args:
        module: Is run as `children.command` does.
        *arguments: Its arguments.

    Raises:
        UnavailableError: when it doesn't get ready; with the end of what it said.
    """

    def __init__(self, module: str, *arguments: str) -> None:
        self._errors: IO[str] = tempfile.TemporaryFile("w+", encoding="utf-8")  # noqa: SIM115
        self._process = subprocess.Popen(
            children.command(module, *arguments),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
        )
        self._module = module
        self._answer(_READY)

    def __call__(self) -> Time:
        """Has it done once more; the time is what the other process measured."""
        assert self._process.stdin is not None
        self._process.stdin.write("run\n")
        self._process.stdin.flush()
        return Time(**json.loads(self._answer("{")))

    def close(self) -> None:
        """Ends the process."""
        self._process.kill()
        self._process.communicate()
        self._errors.close()

    def _answer(self, beginning: str) -> str:
        """The next line that begins so; libraries print others."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith(beginning):
                return line
        self._process.wait()
        self._errors.seek(0)
        said = self._errors.read().strip()[-_TOLD:]
        self.close()
        raise UnavailableError(f"the process of {self._module} ended, after\n{said}")


class FreshChildTask:
    """A task in a new Python each time that it is asked for, after what that does to warm up.

    Where a process has its memory moves a training by some percent, for as long as it lives.

    Args:
        module: As for `ChildTask`.
        *arguments: As for `ChildTask`.

    Raises:
        UnavailableError: when it doesn't get ready; with the end of what it said.
    """

    def __init__(self, module: str, *arguments: str) -> None:
        self._begin = lambda: ChildTask(module, *arguments)
        self._next: ChildTask | None = self._begin()  # whether it can be had is told at once

    def __call__(self) -> Time:
        """Has it done once."""
        task, self._next = self._next or self._begin(), None
        try:
            return task()
        finally:
            task.close()

    def close(self) -> None:
        """Ends a process that waits."""
        if self._next is not None:
            self._next.close()


def serve(task: Callable[[], object], *, warm_up: int = 1) -> None:
    """Does a task each time that the process is told to, and tells how long it took.

    Args:
        task: Does the same work each time.
        warm_up: How often it is done before anything is timed.
    """
    for _ in range(warm_up):
        task()
    print(_READY, flush=True)
    for _ in sys.stdin:
        begun, begun_cpu = time.perf_counter(), time.process_time()
        task()
        cpu, wall = time.process_time() - begun_cpu, time.perf_counter() - begun
        print(json.dumps(asdict(Time(cpu, wall))), flush=True)


@dataclass(frozen=True)
class Program:
    """A task that is a whole process, from its start to its end.

    Attributes:
        command: What is run.
        environment: Variables that are set for it beside our own.
    """

    command: Sequence[str]
    environment: Mapping[str, str]

    def __call__(self) -> Time:
        """Runs it.

        Raises:
            TFTicketError: when it fails; with the end of what it said.
        """
        begun, before = time.perf_counter(), os.times()
        done = subprocess.run(
            self.command,
            env={**os.environ, **self.environment},
            capture_output=True,
            text=True,
            check=False,
        )
        wall, after = time.perf_counter() - begun, os.times()
        if done.returncode:
            raise TFTicketError(
                f"{' '.join(self.command[:4])} ... must end well. Received: status "
                f"{done.returncode}, after\n{done.stderr.strip()[-_TOLD:]}"
            )
        used = after.children_user + after.children_system
        return Time(used - before.children_user - before.children_system, wall)
