"""Child processes that import this tfticket, and nothing from the current folder.

`python -m` puts the current folder first on the path, so that a `statistics.py` among somebody
else's files would run. This file is also the script that such a child starts with.
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
    """Return the command that runs a module of tfticket in a child process.

    Args:
        module: Full name of the module, which is run as `__main__`.
        *arguments: Its `sys.argv[1:]`.

    Example:
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
    folder: str | None = None,
    last_line_only: bool = False,
) -> str:
    """Run a module of tfticket in a child process and wait for its end.

    Args:
        module: Full name of the module.
        arguments: Its `sys.argv[1:]`.
        timeout: Seconds after which it is ended.
        under: Beginning of the command, such as an emulator's.
        environment: Variables to add to the environment of this process.
        folder: Current folder of the child; that of this process by default.
        last_line_only: Whether the last line of standard error is the reason of a failure; by
            default two lines are, those before a traceback if there is one.

    Returns:
        Its standard error.

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
            cwd=folder,
        )
    except subprocess.TimeoutExpired as error:
        raise ChildTimeoutError(f"it took longer than {timeout:g} s.") from error
    if done.returncode == -signal.SIGXCPU:
        raise ChildTimeoutError("it computed for longer than it may.")
    if done.returncode:
        raise ChildError(_reason(done.returncode, done.stderr, last_line_only))
    return done.stderr


def _reason(status: int, said: str, last_line_only: bool) -> str:
    words, _, trace = said.partition("Traceback (most recent call last)")
    told = said if last_line_only else words.strip() or trace
    lines = [line for line in told.splitlines() if line.strip()]
    reason = "; ".join(lines[-1:] if last_line_only else lines[-2:])
    if len(reason) > _LONGEST_REASON:
        reason = f"{reason[:_LONGEST_REASON]} ..."
    if status < 0:
        ended = f"its process was ended by {signal.Signals(-status).name}"
        ended += ", perhaps for want of memory" if status == -signal.SIGKILL else ""
        return f"{ended}: {reason.removesuffix('.')}." if reason else f"{ended}."
    return f"{reason.removesuffix('.')}." if reason else f"it ended with status {status}."


def _run(module: str) -> None:
    """Run a module of the package that this file is in, which need not be on the path.

    `python -m tfticket` in a checkout has it from the current folder.
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
