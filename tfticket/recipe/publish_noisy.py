"""What is published of a run of the kind `noisy`: its report, and each training's receipt."""

from __future__ import annotations

import json
from typing import Any

from tfticket.files import read_arrays
from tfticket.recipe.published import Published, measured, reported
from tfticket.recipe.rundir import RunDir

_MOST_FIGURES = 6


def chosen(run: RunDir) -> Published:
    """Summary and figures; the card says what each training measured and what its labels were.

    Raises:
        RunError: when the run has no report.
    """
    cells: list[dict[str, Any]] = json.loads(run.cells.read_text(encoding="utf-8"))["cells"]
    seeds: list[int] = run.resolved()["seeds"]
    measurements = measured(run)
    return Published(
        reported(run, figures=_MOST_FIGURES),
        {
            "cells": [
                cell
                | {
                    "receipts": {f"seed_{s}": _receipt(run, s, cell["branch"]) for s in seeds},
                    "measured": measurements.get(cell["branch"], {}),
                }
                for cell in cells
            ]
        },
    )


def _receipt(run: RunDir, seed: int, branch: str) -> dict[str, Any]:
    header, _ = read_arrays(run.ticket(seed, branch, 0), kind="noisy_cell")
    return header["receipt"]
