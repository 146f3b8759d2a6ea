"""Child processes that import this tfticket, and nothing that lies in the current folder.

`python -m` puts the current folder first on the path, so that a `statistics.py` in a folder of
somebody else's files would run. This file is also a script: it is what such a child starts with.
"""

from __future__ import annotations

import importlib.util
import os
import runpy
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

_LONGEST_REASON = 500


class ChildError(Exception):
    """A child process failed; the message says why, in a sentence that ends in a full stop."""


class ChildTimeoutError(ChildError):
    """A child process took too long and was ended."""


def command(module: str, *arguments: str) -> list[str]:
    """Return the command that runs a module of tfticket in a Python of its own.

    Args:
        module: Full name of the module, which is run as `__main__`.
        *arguments: What it finds in `sys.argv[1:]`.

    >>> command("tfticket.runner.pool", "7")[1:2]
    ['-P']
    """
    return [sys.executable, "-P", __file__, module, *arguments]


def run(
    module: str,
    *arguments: str,
    timeout: float,
    under: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
) -> str:
    """Run a module as a process of its own and wait for its end.

    Args:
        module: Full name of a module of tfticket.
        arguments: What it is called with.
        timeout: Seconds after which it is ended.
        under: The beginning of the command, such as an emulator's.
        environment: Variables that it gets beside those of this process.

    Returns:
        What it wrote to standard error.

    Raises:
        ChildTimeoutError: when it takes too long, by the clock or by a limit of its own.
        ChildError: when it is ended by a signal, or ends with another status than 0; then the
            reason is the last that it said.
    """
    try:
        done = subprocess.run(
            [*under, *command(module, *arguments)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=timeout,
            env={**os.environ, **(environment or {})},
        )
    except subprocess.TimeoutExpired as error:
        raise ChildTimeoutError(f"it took longer than {timeout:g} s.") from error
    if done.returncode == -signal.SIGXCPU:
        raise ChildTimeoutError("it computed for longer than it may.")
    if done.returncode:
        raise ChildError(_reason(done.returncode, done.stderr))
    return done.stderr


def _reason(status: int, said: str) -> str:
    words, _, trace = said.partition("Traceback (most recent call last)")
    lines = [line for line in (words.strip() or trace.strip()).splitlines() if line.strip()]
    reason = "; ".join(lines[-2:])
    if len(reason) > _LONGEST_REASON:
        reason = f"{reason[:_LONGEST_REASON]} ..."
    if status < 0:
        ended = f"its process was ended by {signal.Signals(-status).name}"
        return f"{ended}: {reason.removesuffix('.')}." if reason else f"{ended}."
    return f"{reason.removesuffix('.')}." if reason else f"it ended with status {status}."


def _run(module: str) -> None:
    """Runs a module of the package that this file lies in, wherever that is.

    It need not be on the path: who starts `python -m tfticket` in a checkout has it from there.
    """
    package = Path(__file__).parent
    spec = importlib.util.spec_from_file_location(
        "tfticket", package / "__init__.py", submodule_search_locations=[str(package)]
    )
    assert spec is not None
    assert spec.loader is not None
    sys.modules["tfticket"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules["tfticket"])
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    del sys.argv[0]
    _run(sys.argv[0])
