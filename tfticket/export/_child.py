"""Does one task of `foreign`: `python tfticket/children.py tfticket.export._child FOLDER`.

Only ever run as a process of its own: what it reads may end it. TensorFlow isn't imported, which
would take most of the time, and minutes under an emulator.
"""

from __future__ import annotations

import contextlib
import importlib
import math
import resource
import sys
from pathlib import Path

from tfticket.errors import ExportError
from tfticket.export.foreign import Answer, load_request, save_answer

_LONGEST = 200


def main(folder: Path) -> None:
    """Do the task that lies in a folder, and leave the answer there."""
    (module, name), request, timeout = load_request(folder)
    _limit(request.memory_bytes, timeout)
    found: Answer | ExportError
    try:
        found = getattr(importlib.import_module(module), name)(request)
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


def _limit(memory_bytes: int, seconds: float) -> None:
    """Leave no core file, and take no more memory and time than a file can need."""
    limits = {
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_AS: memory_bytes,
        resource.RLIMIT_CPU: math.ceil(seconds),
    }
    for what, most in limits.items():
        _, hard = resource.getrlimit(what)
        if hard == resource.RLIM_INFINITY or most <= hard:
            with contextlib.suppress(OSError, ValueError):  # an emulator may have no limits
                resource.setrlimit(what, (most, hard))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
