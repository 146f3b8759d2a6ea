"""How much memory a task needs, in a process that has done nothing else.

A process that has run something keeps memory for what comes next, so each measurement gets a fresh
one. What `getrusage` calls the largest resident size isn't used: under Linux a process inherits it
from the one that started it. The kernel's own peak of the process is read instead.
"""

from __future__ import annotations

import gc
import json
import re
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tfticket import children
from tfticket.errors import TFTicketError

_STATUS = Path("/proc/self/status")


@dataclass(frozen=True)
class Use:
    """What a task needed.

    Attributes:
        baseline_bytes: Peak of the process before the task was made.
        added_bytes: How much the peak rose until the task had run.
        variable_bytes: Size of the Keras variables that it made: weights, what optimizers keep,
            metrics, counters.
    """

    baseline_bytes: int
    added_bytes: int
    variable_bytes: int


def can_be_measured() -> bool:
    """Whether the system tells the peak of a process; Linux does."""
    return _STATUS.exists()


def in_fresh_process(benchmark: str, contender: str) -> Use:
    """What a contender needs, in a Python of its own.

    Args:
        benchmark: Name of a benchmark of the catalog that measures memory.
        contender: Name of one of its contenders.

    Raises:
        TFTicketError: when the process fails.
    """
    command = children.command("tfticket.bench", benchmark, contender)
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise TFTicketError(
            f"The process that measures the memory of {contender!r} must end well. Received: "
            f"status {done.returncode}, after\n{done.stderr.strip()}"
        )
    return Use(**json.loads(done.stdout.splitlines()[-1]))


def in_this_process(
    before: Callable[[], Callable[[], object]], make: Callable[[], Callable[[], object]]
) -> Use:
    """Makes and runs two tasks, and tells what the second added.

    Args:
        before: Makes a task that isn't counted.
        make: Makes the one that is.
    """
    warm_up = before()
    warm_up()
    held, baseline = _variable_bytes(), _peak_bytes()
    task = make()
    task()
    return Use(baseline, _peak_bytes() - baseline, _variable_bytes() - held)


def _peak_bytes() -> int:
    found = re.search(r"VmHWM:\s*(\d+) kB", _STATUS.read_text(encoding="ascii"))
    assert found is not None
    return int(found[1]) * 1024


def _variable_bytes() -> int:
    """Of all that are alive, so that none is left out, whoever owns it."""
    import keras

    gc.collect()
    # Not by `isinstance`, which asks objects that import a package to answer.
    alive = [each for each in gc.get_objects() if issubclass(type(each), keras.Variable)]
    return sum(each.value.dtype.size * each.value.shape.num_elements() for each in alive)
