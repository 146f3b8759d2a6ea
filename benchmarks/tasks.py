"""Tasks that run in other processes: peers that can't be imported here, and whole programs."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO

from tfticket.errors import TFTicketError

_CLONE = Path(__file__).parents[1]
_READY = "ready"
_SHOWN = 2000  # characters of what a failed process wrote


@dataclass(frozen=True)
class Time:
    """Time of a task, in seconds.

    Attributes:
        cpu: Processor time, summed over all threads.
        wall: Wall time.
    """

    cpu: float
    wall: float

    @classmethod
    def of(cls, task: Callable[[], object]) -> Time:
        """Run a task and time it; a `Time` that it returns was measured elsewhere, and counts."""
        begun, begun_cpu = time.perf_counter(), time.process_time()
        reported = task()
        if isinstance(reported, Time):
            return reported
        return cls(time.process_time() - begun_cpu, time.perf_counter() - begun)


class UnavailableError(TFTicketError):
    """A contender can't take part on this machine."""


def need(module: str, remedy: str) -> None:
    """Raise an `UnavailableError`, which ends in `remedy`, when a module isn't installed."""
    if importlib.util.find_spec(module) is None:
        raise UnavailableError(f"{module} isn't installed ({remedy}).")


def command(module: str, *arguments: str) -> list[str]:
    """Return the command that runs a module of this clone; it needs `environment()`."""
    return [sys.executable, "-P", "-m", module, *arguments]


def environment(**changes: str) -> dict[str, str]:
    """Return the variables of this process with changes, and the clone first on the path."""
    path = os.pathsep.join(filter(None, (str(_CLONE), os.environ.get("PYTHONPATH"))))
    return {**os.environ, "PYTHONPATH": path, **changes}


class ChildTask:
    """A task in a Python process of its own, which stays and repeats it at each call.

    Args:
        module: Run by `command`; it calls `serve`.
        *arguments: Its arguments.

    Raises:
        UnavailableError: when it doesn't get ready; with the end of what it wrote.
    """

    def __init__(self, module: str, *arguments: str) -> None:
        self._errors: IO[str] = tempfile.TemporaryFile("w+", encoding="utf-8")  # noqa: SIM115
        self._process = subprocess.Popen(
            command(module, *arguments),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            env=environment(),
        )
        self._module = module
        self._answer(_READY)

    def __call__(self) -> Time:
        """Run it once more; the time is what the other process measured."""
        assert self._process.stdin is not None
        self._process.stdin.write("run\n")
        self._process.stdin.flush()
        return Time(**json.loads(self._answer("{")))

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.communicate()
        self._errors.close()

    def _answer(self, beginning: str) -> str:
        """The next line with this beginning; libraries print others."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith(beginning):
                return line
        self._process.wait()
        self._errors.seek(0)
        output = self._errors.read().strip()[-_SHOWN:]
        self.close()
        raise UnavailableError(f"the process of {self._module} ended, after\n{output}")


class FreshChildTask:
    """A task in a new Python process at each call, after its warm-up.

    Where a process has its memory changes the speed of a training by some percent, for as long as
    the process lives.

    Args:
        module: As for `ChildTask`.
        *arguments: As for `ChildTask`.

    Raises:
        UnavailableError: when it doesn't get ready; with the end of what it wrote.
    """

    def __init__(self, module: str, *arguments: str) -> None:
        self._begin = lambda: ChildTask(module, *arguments)
        self._next: ChildTask | None = self._begin()  # an unavailable one is reported at once

    def __call__(self) -> Time:
        """Run it once."""
        task, self._next = self._next or self._begin(), None
        try:
            return task()
        finally:
            task.close()

    def close(self) -> None:
        """End a process that waits."""
        if self._next is not None:
            self._next.close()


def serve(task: Callable[[], object], *, warm_up: int = 1) -> None:
    """Run a task once for each line of stdin, and print how long it took.

    Args:
        task: Does the same work each time.
        warm_up: How often it runs before anything is timed.
    """
    for _ in range(warm_up):
        task()
    print(_READY, flush=True)
    for _ in sys.stdin:
        print(json.dumps(asdict(Time.of(task))), flush=True)


@dataclass(frozen=True)
class Program:
    """A task that is a whole process, from its start to its end.

    Attributes:
        command: Its command line.
        changes: Environment variables that differ from ours.
    """

    command: Sequence[str]
    changes: Mapping[str, str] = field(default_factory=dict)

    def __call__(self) -> Time:
        """Run it.

        Raises:
            TFTicketError: when it fails; with the end of what it wrote.
        """
        begun, before = time.perf_counter(), os.times()
        done = subprocess.run(
            self.command,
            env=environment(**self.changes),
            capture_output=True,
            text=True,
            check=False,
        )
        wall, after = time.perf_counter() - begun, os.times()
        if done.returncode:
            raise TFTicketError(
                f"{' '.join(self.command[:4])} ... failed with status {done.returncode}, after\n"
                f"{done.stderr.strip()[-_SHOWN:]}"
            )
        used = after.children_user + after.children_system
        return Time(used - before.children_user - before.children_system, wall)
