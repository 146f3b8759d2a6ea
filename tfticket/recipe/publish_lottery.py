"""What is published of a run of the kind `lottery`: one ticket and its exported model."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tfticket.errors import RunError
from tfticket.metrics import read_metrics
from tfticket.runs.published import Published, read, reported, table_in
from tfticket.runs.rundir import RunDir

_MOST_FIGURES = 4
_EXPORTED = re.compile(r"seed_(\d+)_level_(\d+).*\.tflite")


def chosen(run: RunDir) -> Published:
    """The smallest winning ticket, if it was exported; else the sparsest exported one.

    Raises:
        RunError: when the run has no report, or nothing of it has been exported.
    """
    report = reported(run, figures=_MOST_FIGURES)
    seed, level, exported = _ticket(run, table_in(report, "summary.json"))
    files = {
        "ticket.npz": run.ticket(seed, "ticket", level),
        "model.tflite": exported,
        "model.json": exported.with_suffix(".json"),
    }
    contents = {name: read(path) for name, path in files.items()}
    return Published(contents | report, _card(run, seed, level))


def _ticket(run: RunDir, summary: Mapping[str, Any]) -> tuple[int, int, Path]:
    """Seed, level and the smallest `.tflite` of the ticket to publish."""
    found: dict[tuple[int, int], list[Path]] = {}
    for path in sorted((run.path / "export").glob("*.tflite")):
        match = _EXPORTED.fullmatch(path.name)
        if match:
            found.setdefault((int(match[1]), int(match[2])), []).append(path)
    if not found:
        raise RunError(
            f"Nothing of {run.path} has been exported yet. Do so by `tfticket export {run.path}`."
        )
    winning = (summary.get("smallest_winning") or {}).get("level")
    levels = {level for _, level in found}
    level = winning if winning in levels else max(levels)
    seed = min(seed for seed, of_level in found if of_level == level)
    return seed, level, min(found[seed, level], key=lambda path: path.stat().st_size)


def _card(run: RunDir, seed: int, level: int) -> dict[str, Any]:
    measured: dict[int, dict[str, float]] = {0: {}, level: {}}
    for row in read_metrics(run.metrics):
        if (row.seed, row.branch) == (seed, "ticket") and row.split in ("test", "summary"):
            measured.setdefault(row.level, {})[row.name] = row.value
    return {
        "seed": seed,
        "level": level,
        "density": measured[level].get("density"),
        "ticket": measured[level],
        "dense": measured[0],
    }
