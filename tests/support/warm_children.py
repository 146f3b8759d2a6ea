"""Children that look at foreign files, forked from a process that has imported what they need.

They are processes of their own with their own limits as ever, and end as files make them end; only
the half second of imports, which each of the many in `tests/export` would need, is saved.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import tempfile
from pathlib import Path

from tfticket import children

_MODULE = "tfticket.export._child"
_IMPORTED = [
    _MODULE,
    "tfticket.export.inspect.check",
    "tfticket.export.inspect.explain",
    "ai_edge_litert.interpreter",
]


class WarmChildren:
    """Stands for `children.run`; what isn't about a file, or runs elsewhere, is left to it."""

    def __init__(self):
        self._run = children.run
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(_IMPORTED)

    def __call__(self, module, *arguments, timeout, under=(), **options):
        if module != _MODULE or under or options:
            return self._run(module, *arguments, timeout=timeout, under=under, **options)
        with tempfile.TemporaryFile("w+", errors="replace") as stderr:
            said_to = f"/proc/{os.getpid()}/fd/{stderr.fileno()}"
            child = self._context.Process(target=_work, args=(arguments[0], said_to))
            child.start()
            child.join(timeout)
            if child.is_alive():
                child.kill()
                child.join()
                raise children.ChildTimeoutError(f"it took longer than {timeout:g} s.")
            stderr.seek(0)
            said = stderr.read()
        if child.exitcode == -signal.SIGXCPU:
            raise children.ChildTimeoutError("it computed for longer than it may.")
        if child.exitcode:
            raise children.ChildError(children._reason(child.exitcode, said, False))
        return said


def _work(folder: str, stderr: str) -> None:
    os.dup2(os.open(stderr, os.O_WRONLY | os.O_APPEND), sys.stderr.fileno())
    from tfticket.export import _child

    _child.main(Path(folder))
