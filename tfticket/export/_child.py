"""Does one task of `foreign`: `python tfticket/children.py tfticket.export._child FOLDER`.

Only ever run as a process of its own: what it reads may end it. TensorFlow isn't imported, which
would take most of the time, and minutes under an emulator.
"""

from __future__ import annotations

import contextlib
import math
import resource
import sys
from collections.abc import Callable
from pathlib import Path

from tfticket.errors import ExportError
from tfticket.export.foreign import (
    Answer,
    Request,
    Task,
    load_request,
    memory_limit,
    save_answer,
)

_LONGEST = 200


def main(folder: Path) -> None:
    """Does the task that lies in a folder, and leaves the answer there."""
    name, request, timeout = load_request(folder)
    _limit(memory_limit(request), timeout)
    found: Answer | ExportError
    try:
        found = _task(name)(request)
    except ExportError as error:
        named = any(source in str(error) for source, _ in request.files)
        found = error if named else ExportError(f"{request.source}: {error}")
    except Exception as error:  # a foreign file may break anything that reads it
        what = " ".join(f"{type(error).__name__}: {error}".split())
        found = ExportError(
            f"{request.source} must be put together as the format asks. Received: a file that "
            f"can't be read to its end ({what[:_LONGEST]}). Copy it again from where it was made."
        )
    save_answer(found, folder)


def _task(name: Task) -> Callable[[Request], Answer]:
    """Who does it; imported here, since each needs little of what the others need."""
    match name:
        case "c_header":
            from tfticket.export.carray import header_in_child as task
        case "check":
            from tfticket.export.check import check_in_child as task
        case "explain":
            from tfticket.export.explain import explain_in_child as task
        case "latency":
            from tfticket.export.latency import measure_in_child as task
        case "micro":
            from tfticket.export.micro_run import run_in_child as task
        case "outputs":
            from tfticket.export.emulate import run_in_child as task
        case "provenance":
            from tfticket.export.metadata import read_in_child as task
    return task


def _limit(memory: int, seconds: float) -> None:
    """Leaves no core file, and has no more memory and time than a file can need."""
    limits = {
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_AS: memory,
        resource.RLIMIT_CPU: math.ceil(seconds),
    }
    for what, most in limits.items():
        _, hard = resource.getrlimit(what)
        if hard == resource.RLIM_INFINITY or most <= hard:
            with contextlib.suppress(OSError, ValueError):  # an emulator may have no limits
                resource.setrlimit(what, (most, hard))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
