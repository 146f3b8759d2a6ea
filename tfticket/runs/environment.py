"""The environment of a run: versions, machine and command line."""

from __future__ import annotations

import importlib.metadata
import platform
import shutil
import subprocess
from collections.abc import Sequence
from datetime import datetime
from importlib.resources import files
from pathlib import Path
from typing import Any

from tfticket import __version__
from tfticket.machine import usable_cores
from tfticket.runs.rundir import RunDir

_PACKAGES = ("tensorflow", "keras", "numpy", "scipy", "scikit-learn", "ai-edge-litert")


def record_start(run: RunDir, *, command: Sequence[str]) -> None:
    """Note the start of a run in its `environment.json`; a later start stands under `resumed`.

    Args:
        run: A run that is open for writing.
        command: The command line.
    """
    started = datetime.now().astimezone().isoformat(timespec="seconds")
    facts = {"started": started, "command": list(command), **machine()}
    known = run.environment_facts()
    if known:
        facts = {"resumed": [*known.get("resumed", []), facts]}
    run.update_environment(facts)


def machine() -> dict[str, Any]:
    """Return versions, commit, platform, and the number of processors that may be used."""
    return {
        "versions": {"tfticket": __version__, "python": platform.python_version(), **_versions()},
        "git_commit": _git_commit(Path(str(files("tfticket"))).parent),
        "platform": platform.platform(),
        "processor": platform.machine(),
        "cpus": usable_cores(),
    }


def _versions() -> dict[str, str]:
    return {
        name: importlib.metadata.version(name)
        for name in _PACKAGES
        if next(iter(importlib.metadata.distributions(name=name)), None)
    }


def _git_commit(checkout: Path) -> str | None:
    """The commit of a checkout, with `+` when files differ from it; None if installed."""
    git = shutil.which("git")
    if git is None or not (checkout / ".git").exists():
        return None

    def output(*arguments: str) -> str:
        command = [git, "-C", str(checkout), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return done.stdout.strip()

    commit = output("rev-parse", "--verify", "--quiet", "HEAD")
    return commit + ("+" if output("status", "--porcelain", "-uno") else "") if commit else None
