"""Modules of tfticket as processes of their own, which import nothing from the current folder.

`python -m` puts the current folder before everything else that can be imported: a `statistics.py`
that lies beside somebody's data would run. A process that is started by `command` imports the
tfticket of its parent, wherever that lies, and otherwise only what is installed.

This file is also the first that such a process runs, so it imports nothing of tfticket.
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


def command(module: str, *arguments: str) -> list[str]:
    """The command that runs a module as a process of its own, with a safe path.

    Args:
        module: Full name of a module of tfticket, such as `tfticket.recipe.executors.worker`.
        arguments: What it is called with.

    Example:
        >>> subprocess.run(command("tfticket", "--version"), check=True)
    """
    return [sys.executable, "-P", __file__, module, *arguments]


def run(
    module: str,
    *arguments: str,
    timeout: float,
    under: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
) -> str:
    """Runs a module as a process of its own and waits for its end.

    Args:
        module: Full name of a module of tfticket.
        arguments: What it is called with.
        timeout: Seconds after which it is ended.
        under: The beginning of the command, such as an emulator's.
        environment: Variables that it gets beside those of this process.

    Returns:
        What it wrote to standard error.

    Raises:
        ChildError: when it takes too long, is ended by a signal, or ends with another status than
            0; then the reason is the last that it said.
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
        raise ChildError(f"it took longer than {timeout:g} s.") from error
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


def _start(module: str, arguments: Sequence[str]) -> None:
    """Runs a module of the package that this file belongs to, whatever else is installed."""
    package = Path(__file__).resolve().parent
    spec = importlib.util.spec_from_file_location(
        package.name, package / "__init__.py", submodule_search_locations=[str(package)]
    )
    assert spec is not None, "the package has an __init__.py"
    assert spec.loader is not None, "the package has an __init__.py"
    sys.modules[package.name] = found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    _start(sys.argv[1], sys.argv[2:])
