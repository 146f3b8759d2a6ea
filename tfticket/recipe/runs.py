"""The runs below a folder, with their state."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tfticket.recipe.kind import kind_of
from tfticket.recipe.rundir import RunDir
from tfticket.recipe.session import is_written


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


def list_runs(root: Path) -> list[RunEntry]:
    """The runs below a folder, by recipe and name; none when there is no such folder."""
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
