"""Trials and conditions on disk, of the kinds `norms` and `noisy`: how they are written.

`cells.json` says what each branch of a run is, and `seeds/seed_S/BRANCH/level_00.npz` holds what a
trial left beside its rows in `metrics.csv`. Both keep the names that they had when trials were
called cells, so that runs begun before go on.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from tfticket.errors import DataError, RunError
from tfticket.files import read_table, write_arrays, write_json
from tfticket.metrics import Row
from tfticket.recipe.noise import Noise
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
