"""Trials and conditions on disk, of the kinds `norms` and `noisy`: written, read and summarized.

`cells.json` says what each branch of a run is, and `seeds/seed_S/BRANCH/level_00.npz` holds what a
trial left beside its rows in `metrics.csv`. Both keep the names that they had when trials were
called cells, so that runs begun before go on.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

import numpy as np

from tfticket.errors import DataError, RunError, TicketError
from tfticket.files import checked_name, read_arrays, read_table, write_arrays, write_json
from tfticket.metrics import Row
from tfticket.recipe.noise import Noise
from tfticket.report.estimate import Estimate
from tfticket.report.reading import Curve, RunFiles
from tfticket.runs.rundir import RunDir

if TYPE_CHECKING:
    from tfticket.data import DataSet

_REMEDY = "Restore it, or begin anew with --fresh."

Kind = Literal["cell", "noisy_cell"]
"""Of the file of a trial: of the kind `norms`, of the kind `noisy`."""


def write_trial(
    run: RunDir,
    kind: Kind,
    seed: int,
    condition: Mapping[str, Any],
    rows: Iterable[Row],
    *,
    header: Mapping[str, Any],
    arrays: Mapping[str, np.ndarray],
) -> None:
    """Write a finished trial: its rows, then the file whose name makes it finished.

    Args:
        run: Open for writing.
        kind: Of the file.
        seed: Of the trial.
        condition: Its entry in `cells.json`.
        rows: All that was measured.
        header: What else there is to say.
        arrays: Curves and matrices by name.
    """
    run.append_rows(rows)
    path = run.ticket(seed, condition["branch"], 0)
    write_arrays(path, kind=kind, header={**condition, "seed": seed, **header}, arrays=arrays)


def write_conditions(
    run: RunDir,
    conditions: Sequence[Mapping[str, Any]],
    noises: Iterable[Noise],
    *,
    foreign: Mapping[str, DataSet] | None = None,
) -> None:
    """Write `cells.json`: what the branches of a run are, and what their noise is made from.

    Args:
        run: Open for writing.
        conditions: What each branch is.
        noises: All noises of the recipe.
        foreign: Name to data set of what takes the place of examples.

    Raises:
        DataError: when a file of labels isn't there.
        RunError: when a file or a data set isn't what it was when the run began.
    """
    others = {name: data.fingerprint for name, data in (foreign or {}).items()}
    made_from = {"label_files": label_files(noises), "foreign_data": others}
    before = read_table(run.cells, remedy=_REMEDY) if run.cells.is_file() else {}
    for key, hashes in made_from.items():
        old = before.get(key, {})
        if not isinstance(old, dict):
            raise RunError(f"`{key}` in `{run.cells}` must be a table. {_REMEDY}")
        changed = [name for name in hashes if old.get(name, hashes[name]) != hashes[name]]
        if changed:
            raise RunError(
                f"`{changed[0]}` has changed since the run began. Wrong labels must be made from "
                "the same content all along: restore it, or begin anew with --fresh."
            )
    known = {key: hashes for key, hashes in made_from.items() if hashes}
    write_json(run.cells, {"cells": list(conditions), **known})


def label_files(noises: Iterable[Noise]) -> dict[str, str]:
    """Return path to hash of each file of labels.

    Raises:
        DataError: when there is no such file.
    """
    found = {}
    for path in sorted({noise.path for noise in noises if noise.path is not None}):
        try:
            found[path] = hashlib.sha256(Path(path).read_bytes()).hexdigest()
        except OSError as error:
            raise DataError(
                f"The file of labels `{path}` can't be read: {error.strerror}."
            ) from error
    return found


@dataclass(frozen=True)
class Condition:
    """The common part of trials of several seeds, read from `cells.json`.

    Attributes:
        name: Names its branch in the table of measurements: `batch-lr0.1`.
        steps: Optimizer steps of a trial; 0 where nothing is trained.
        seeds: The seeds that the recipe asks for.
    """

    name: str
    steps: int
    seeds: tuple[int, ...]


@dataclass(frozen=True)
class Trial:
    """One training: its rows of `metrics.csv`, and what its file holds beside them.

    Attributes:
        results: Name to value of the splits `test` and `summary`.
        curves: (split, name) to the measure along training.
        finished: Whether its file is there, which is written last.
        header: Of the file; empty where it is missing or damaged.
        arrays: Of the file, by name.
    """

    results: Mapping[str, float]
    curves: Mapping[tuple[str, str], Curve] = field(default_factory=dict)
    finished: bool = True
    header: Mapping[str, Any] = field(default_factory=dict)
    arrays: Mapping[str, np.ndarray] = field(default_factory=dict)


C = TypeVar("C", bound=Condition)
T = TypeVar("T", bound=Trial)


@dataclass(frozen=True)
class RecordedStudy(Generic[C, T]):
    """The conditions and trials of a run whose files have been opened.

    Attributes:
        files: The run.
        conditions: In the order of the recipe, finished or not.
        trials: Branch to seed to what there is of that trial.
        damaged: A sentence for each file that couldn't be read.
    """

    files: RunFiles
    conditions: tuple[C, ...]
    trials: Mapping[str, Mapping[int, T]]
    damaged: tuple[str, ...]

    def curves(self, condition: C, split: str, name: str) -> dict[int, Curve]:
        """A measure along training, by seed, of the trials that have it."""
        key, trials = (split, name), self.trials[condition.name]
        return {s: trial.curves[key] for s, trial in trials.items() if key in trial.curves}


@dataclass(frozen=True)
class ConditionSummary(Generic[C]):
    """A condition over its seeds.

    Attributes:
        condition: The condition.
        measures: Name to the estimate; what no seed has is absent.
    """

    condition: C
    measures: Mapping[str, Estimate]

    def values(self, name: str) -> Mapping[int, float]:
        """Seed to a measure; empty when no seed has it."""
        return self.measures[name].values if name in self.measures else {}

    def total(self, name: str) -> float:
        """A measure in all seeds together."""
        return sum(self.values(name).values())

    def measures_dict(self) -> dict[str, Any]:
        """The estimates as plain values for JSON."""
        return {name: found.to_dict() for name, found in self.measures.items()}


def read_conditions(
    files: RunFiles, make: Callable[[Sequence[Mapping[str, Any]]], Iterable[C]]
) -> tuple[C, ...]:
    """Read `cells.json`; nothing when it is missing.

    Raises:
        RunError: The file is damaged.
    """
    path, remedy = files.path / "cells.json", "Running the recipe again writes it anew."
    if not path.is_file():
        return ()
    table = read_table(path, remedy=remedy)
    try:
        return tuple(make(table["cells"]))
    except (ArithmeticError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise RunError(
            f"`{path}` must list the trainings of the run. Received: {error!r}. {remedy}"
        ) from error


def common_fields(files: RunFiles, entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of `Condition` from an entry of `cells.json`, of all seeds of the run."""
    return {
        "name": checked_name(entry["branch"], files.path / "cells.json"),
        "steps": int(entry["steps"]),
        "seeds": tuple(sorted(files.seeds)),
    }


def read_trials(
    files: RunFiles, conditions: Iterable[Condition], *, kind: Kind, make: type[T]
) -> tuple[dict[str, dict[int, T]], tuple[str, ...]]:
    """Read the trials that there are by branch and seed, and say which of their files are damaged.

    Args:
        files: The run.
        conditions: Their trials are looked for.
        kind: Of the files.
        make: Class of the trials.
    """
    trials: dict[str, dict[int, T]] = {condition.name: {} for condition in conditions}
    damaged = []
    for branch, seed in ((each.name, seed) for each in conditions for seed in each.seeds):
        place = (seed, branch, 0)
        path = files.path / "seeds" / f"seed_{seed}" / branch / "level_00.npz"
        content: tuple[Any, ...] = ()
        if path.is_file():
            try:
                content = read_arrays(path, kind=kind)
            except TicketError as error:
                damaged.append(str(error).replace(f"{files.path}/", ""))
        elif place not in files.results and place not in files.curves:
            continue
        results = {name: value for name, (_, value) in files.results.get(place, {}).items()}
        curves = files.curves.get(place, {})
        trials[branch][seed] = make(results, curves, path.is_file(), *content)
    return trials, tuple(damaged)
