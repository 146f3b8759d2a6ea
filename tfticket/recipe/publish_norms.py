"""What is published of a run of the kind `norms`: the curves of all networks in one file."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from tfticket.files import read_arrays, read_table, write_arrays
from tfticket.runs.published import Published, measured, read, reported
from tfticket.runs.rundir import RunDir

CURVES = "curves.npz"
_MOST_FIGURES = 6


def chosen(run: RunDir) -> Published:
    """Summary, figures, and `curves.npz` with what trackers measured of the networks, if any did.

    The arrays of `curves.npz` are called `seed_0/<branch>/landscape/<field>` and `.../shift/...`;
    its header has what `cells.json` says of the branches.

    Raises:
        RunError: when the run has no report.
    """
    report = reported(run, figures=_MOST_FIGURES)
    cells: list[dict[str, Any]] = read_table(run.cells)["cells"]
    measurements, arrays = measured(run), _arrays(run, cells)
    curves = {CURVES: _packed(arrays, cells)} if arrays else {}
    return Published(
        report | curves,
        {"cells": [cell | {"measured": measurements.get(cell["branch"], {})} for cell in cells]},
    )


def _arrays(run: RunDir, cells: list[dict[str, Any]]) -> dict[str, np.ndarray]:
    arrays: dict[str, np.ndarray] = {}
    for cell in cells:
        for seed in cell["seeds"]:
            _, own = read_arrays(run.ticket(seed, cell["branch"], 0), kind="cell")
            place = f"seed_{seed}/{cell['branch']}"
            arrays |= {f"{place}/{name}": array for name, array in own.items()}
    return arrays


def _packed(arrays: dict[str, np.ndarray], cells: list[dict[str, Any]]) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / CURVES
        return read(write_arrays(path, kind="curves", header={"cells": cells}, arrays=arrays))
