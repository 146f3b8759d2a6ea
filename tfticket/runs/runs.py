"""The runs below a folder, with their state."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tfticket.errors import RunError
from tfticket.metrics import read_metrics
from tfticket.runs.plan import Trial
from tfticket.runs.rundir import RunDir
from tfticket.runs.session import is_written
from tfticket.studies.registry import kind_of


@dataclass(frozen=True)
class RunEntry:
    """A run in a listing.

    Attributes:
        recipe: Name of the recipe.
        name: Name of the run.
        complete: Whether it is finished; otherwise it is running or can be resumed.
        finished_levels: Number of networks that are trained, over seeds and branches.
        started: When it was begun, ISO 8601; empty if it wasn't.
        path: Its directory.
        unit: What is counted, in one word.
        running: Whether a living process is writing it.
    """

    recipe: str
    name: str
    complete: bool
    finished_levels: int
    started: str
    path: Path
    unit: str = "level"
    running: bool = False

    @property
    def state(self) -> str:
        """In words."""
        plural = "" if self.finished_levels == 1 else "s"
        finished = f"{self.finished_levels} {self.unit}{plural}"
        if self.complete:
            return "complete"
        return f"running, {finished} done" if self.running else f"resumable after {finished}"


@dataclass(frozen=True)
class FinishedNetwork:
    """A network that a run has finished.

    Attributes:
        structure: Whose search it belongs to, in a run of the kind `edge`; else empty.
        seed: Its seed.
        branch: Its branch.
        level: How often it was pruned.
        summary: Its `test` and `summary` measurements by name.
    """

    structure: str
    seed: int
    branch: str
    level: int
    summary: Mapping[str, float]


def finished_networks(run: RunDir) -> list[FinishedNetwork]:
    """Return the networks that a run has finished; none where nothing has begun.

    The dense network that searches of one run share is among those of one of them only.
    """
    searches = [(run, ""), *((RunDir(p), p.name) for p in sorted(run.path.glob("searches/*")))]
    found: dict[tuple[str, int, str, int], FinishedNetwork] = {}
    for search, structure in searches:
        measured = _summaries(search)
        for trial in sorted(search.finished_levels()):
            key = (structure if trial.level else "", *trial)
            found.setdefault(key, FinishedNetwork(structure, *trial, measured.get(trial, {})))
    return list(found.values())


def _summaries(run: RunDir) -> dict[Trial, dict[str, float]]:
    measured: dict[Trial, dict[str, float]] = {}
    # A table may be missing, or end in half a line that a writer is at or was killed at.
    with contextlib.suppress(OSError, RunError):
        for row in read_metrics(run.metrics):
            if row.split in ("test", "summary"):
                trial = Trial(row.seed, row.branch, row.level)
                measured.setdefault(trial, {})[row.name] = row.value
    return measured


def list_runs(root: Path) -> list[RunEntry]:
    """List the runs below a folder, by recipe and name; none when there is no such folder."""
    found = [RunDir(path.parent) for path in sorted(root.glob("*/*/recipe.json"))]
    return [
        RunEntry(
            recipe=run.path.parent.name,
            name=run.path.name,
            complete=run.complete,
            finished_levels=run.networks(),
            started=str(run.environment_facts().get("started", "")),
            path=run.path,
            unit=kind_of(run.resolved()).unit,
            running=is_written(run),
        )
        for run in found
    ]
