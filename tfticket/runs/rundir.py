"""A run on disk: every path and file format of it, and its life from the first file to the last.

```
RUNS/<recipe>/<run>/
  recipe.toml  recipe.json      as given; as resolved, every default filled
  environment.json              versions, commit, devices, command line, start; later starts too
  metrics.csv                   the table of `tfticket.metrics`
  seeds/seed_0/initial.npz  rewind.npz
  seeds/seed_0/ticket/level_00.npz  level_00.final.npz
  models/seed_0_level_10.keras
  export/seed_0_level_10.tflite + .report.json
  connectivity.json             if the recipe asks for it
  cells.json                    of the kind `norms`: what each branch is
  searches/channel/             of the kind `edge`: a run of the kind `lottery` a structure
  edge.json                     of the kind `edge`: the table of its files
  report/                       can be deleted and made again
  COMPLETE                      the last file; absent = can be resumed
  LOCK                          held by the process that writes the run, or by all that joined it
  claims/                       while processes that joined are at work: locks of their tasks
  metrics.lock                  while it is written: held by whoever adds to the table
```

The same recipe gives the same bits in all files but these: `LOCK`, `environment.json`, the date in
`models/*.keras`, rows of `metrics.csv` whose name ends in `seconds`, and what depends on measured
time: the reports in `export/`, sparse `.tflite` files, `edge.json`, which files an `edge` run
keeps, and `report/`.

A level is finished when its ticket file exists: it is written last and in one step, after the
level's rows. `session.writing` opens a run to be written, and drops what a killed process left of
an unfinished level.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tfticket.errors import RunError
from tfticket.files import checked_name, read_table, write_json
from tfticket.metrics import Row
from tfticket.recipe import parsing
from tfticket.recipe.schema import Recipe
from tfticket.runs.plan import Task, Trial
from tfticket.runs.rowfile import RowFile

_REMEDY = "Restore it, or begin anew with --fresh."
_LEVEL = re.compile(r"seeds/seed_(\d+)/([^/]+)/level_(\d+)\.npz")


class RunDir:
    """The directory of one run. Making the object touches nothing on disk.

    Args:
        path: The directory, `RUNS/<recipe>/<run>`.
        joined: Whether this process writes it together with others, see `session.joining`.

    Attributes:
        path: The directory.
        recipe_toml: The recipe, bytes as given.
        recipe_json: The recipe with every default filled; a directory that holds it is a run.
        environment: Where and with what the run was made.
        metrics: All measurements, one long table.
        connectivity: Linear mode connectivity by rewind step.
        cells: The conditions of a run of the kind `norms` or `noisy`.
        edge: The table of files of a run of the kind `edge`.
        report: The folder of the report.
        complete_file: The last file that a run writes.
        lock_file: Locked while a process writes the run; holds the id of the last one that did.
        claims: The folder of what processes that joined hold.
    """

    def __init__(self, path: str | os.PathLike[str], *, joined: bool = False) -> None:
        self.path = Path(path)
        self.joined = joined
        self.recipe_toml = self.path / "recipe.toml"
        self.recipe_json = self.path / "recipe.json"
        self.environment = self.path / "environment.json"
        self.metrics = self.path / "metrics.csv"
        self.connectivity = self.path / "connectivity.json"
        self.cells = self.path / "cells.json"
        self.edge = self.path / "edge.json"
        self.report = self.path / "report"
        self.complete_file = self.path / "COMPLETE"
        self.lock_file = self.path / "LOCK"
        self.claims = self.path / "claims"

    def __repr__(self) -> str:
        return f"RunDir({str(self.path)!r})"

    def search(self, structure: str) -> RunDir:
        """Return the search of one structure in a run of the kind `edge`: a run of its own."""
        path = self.path / "searches" / checked_name(structure, self.path)
        return RunDir(path, joined=self.joined)

    def initial(self, seed: int) -> Path:
        """Return the path of the snapshot at step 0."""
        return self.path / f"seeds/seed_{seed}/initial.npz"

    def rewind(self, seed: int) -> Path:
        """Return the path of the snapshot at `rewind_step`."""
        return self.path / f"seeds/seed_{seed}/rewind.npz"

    def ticket(self, seed: int, branch: str, level: int) -> Path:
        """Return the path of mask and starting weights: the file that makes a level finished."""
        return self._branch(seed, branch) / f"level_{level:02d}.npz"

    def final(self, seed: int, branch: str, level: int) -> Path:
        """Return the path of the trained state at the end of a level."""
        return self._branch(seed, branch) / f"level_{level:02d}.final.npz"

    def _branch(self, seed: int, branch: str) -> Path:
        return self.path / f"seeds/seed_{seed}" / checked_name(branch, self.path)

    def model(self, seed: int, level: int) -> Path:
        """Return the path of a chosen ticket, trained, as a plain Keras model."""
        return self.path / f"models/seed_{seed}_level_{level:02d}.keras"

    def shipped(self, name: str) -> Path:
        """Return the path of a file of the kind `edge`, by the name of its row."""
        return self.path / f"export/{checked_name(name, self.edge)}.tflite"

    def exported(self, seed: int, level: int, suffix: str = ".tflite") -> Path:
        """Return the path of a chosen ticket for the device, or with a suffix of its own."""
        return self.path / f"export/seed_{seed}_level_{level:02d}{suffix}"

    @property
    def complete(self) -> bool:
        """True if the run is finished."""
        return self.complete_file.is_file()

    def finished(self, seed: int, branch: str, level: int) -> bool:
        """Return whether a level is finished."""
        return self.ticket(seed, branch, level).is_file()

    def all_finished(self, trials: Iterable[Trial]) -> bool:
        """Return whether all trials are finished."""
        return all(self.finished(*trial) for trial in trials)

    def finished_levels(self) -> set[Trial]:
        """Return all trials that are finished."""
        paths = (p.relative_to(self.path).as_posix() for p in self.path.glob("seeds/*/*/level_*"))
        matches = (_LEVEL.fullmatch(path) for path in paths)
        return {Trial(int(m[1]), m[2], int(m[3])) for m in matches if m}

    def networks(self) -> int:
        """Return the number of trained networks, those of the searches inside too."""
        inside = [RunDir(path) for path in sorted(self.path.glob("searches/*"))]
        return len(self.finished_levels()) + sum(search.networks() for search in inside)

    def resolved(self) -> dict[str, Any]:
        """Return the content of `recipe.json`.

        Raises:
            RunError: when this isn't the directory of a run, or the file is damaged.
        """
        if not self.recipe_json.is_file():
            raise RunError(
                f"A run must be a directory with a recipe.json, like runs/lth_digits/default. "
                f"Received: {self.path}. `tfticket runs` lists the runs."
            )
        return read_table(self.recipe_json, remedy=_REMEDY)

    def recipe(self) -> Recipe:
        """Return the recipe of the run, validated again."""
        return parsing.parse(self.resolved(), source=str(self.recipe_json))

    @property
    def rows(self) -> RowFile:
        """The table of measurements, to be written."""
        return RowFile(self.metrics)

    def append_rows(self, rows: Iterable[Row]) -> None:
        """See `RowFile.append`."""
        self.rows.append(rows)

    def drop_unfinished_rows(self, trials: Collection[Trial] | None = None) -> None:
        """Remove the rows of levels that aren't finished, and a line that was cut off.

        Args:
            trials: Look at these only, since others may be at work; None for all.

        Raises:
            RunError: when a line doesn't say which level it belongs to.
        """
        finished = self.finished_levels()
        self.rows.keep(
            lambda trial: trial in finished or (trials is not None and trial not in trials)
        )

    def unlock_rows(self, tasks: Iterable[Task]) -> None:
        """Delete the lock files of the tables that tasks append to, once no task is running."""
        for folder in {task.folder for task in tasks}:
            RunDir(self.path / folder).rows.lock_file.unlink(missing_ok=True)

    def environment_facts(self) -> dict[str, Any]:
        """Return the content of `environment.json`; empty when the run hasn't begun."""
        if not self.environment.is_file():
            return {}
        facts = read_table(self.environment, remedy=_REMEDY)
        for name in ("looks", "resumed"):
            if not isinstance(facts.get(name, []), list):
                raise RunError(f"`{name}` in `{self.environment}` must be a list. {_REMEDY}")
        return facts

    def update_environment(self, facts: Mapping[str, Any]) -> None:
        """Add facts to `environment.json`; a fact that is there already is replaced."""
        write_json(self.environment, {**self.environment_facts(), **facts})

    def note_look(self, seeds: Sequence[int]) -> None:
        """Note in `environment.json` that the results of all `seeds` can be looked at now.

        Whoever adds seeds to a finished run has seen its verdict, which the next one must pay for:
        see `lottery.comparison.Criteria.looks`. One seed gives no verdict and costs nothing.
        """
        looks = self.environment_facts().get("looks", [])
        if len(seeds) > 1 and (not looks or looks[-1] != sorted(seeds)):
            self.update_environment({"looks": [*looks, sorted(seeds)]})

    def check_there(self) -> None:
        """Raise `RunError` when the directory was removed while this process writes it.

        What is written later makes it anew, without what was there before.
        """
        if not self.recipe_json.is_file():
            raise RunError(
                f"{self.path} was removed while the recipe was running, or its recipe.json was. "
                "What is there now is of no use: remove it, and run the command again."
            )

    def mark_complete(self, summary: Mapping[str, Any]) -> None:
        """Write the last file of the run."""
        write_json(self.complete_file, dict(summary))
