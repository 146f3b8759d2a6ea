"""Read a run directory, finished or not, without changing it."""

from __future__ import annotations

import glob
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tfticket.errors import RunError
from tfticket.files import checked_name, read_table, understood
from tfticket.metrics import Row, read_metrics

DENSE = ("ticket", 0)
"""Branch and level of the dense network: what the search trains before it prunes."""

Place = tuple[int, str, int]
"""Seed, branch and level: one trained network."""


@dataclass(frozen=True)
class Curve:
    """A measure along one training.

    Attributes:
        steps: Optimizer steps, shape `(evaluations,)`, rising.
        values: The measure there, shape `(evaluations,)`.
    """

    steps: np.ndarray
    values: np.ndarray


@dataclass(frozen=True)
class RunFiles:
    """The content of the files of a run.

    Attributes:
        path: The run directory.
        recipe: `recipe.json`: the recipe with every default filled; empty when it is missing.
        environment: `environment.json`; empty when it is missing.
        complete: Whether the run wrote its last file.
        results: For each trained network, name to (step, value) of the splits `test` and `summary`.
        curves: For each trained network, (split, name) to the measure along training.
        exports: The `.report.json` beside each exported model, sorted by file name.
        connectivity: `connectivity.json`, or None.
    """

    path: Path
    recipe: Mapping[str, Any]
    environment: Mapping[str, Any]
    complete: bool
    results: Mapping[Place, Mapping[str, tuple[int, float]]]
    curves: Mapping[Place, Mapping[tuple[str, str], Curve]]
    exports: tuple[Mapping[str, Any], ...]
    connectivity: Mapping[str, Any] | None

    @property
    def expect(self) -> list[Mapping[str, Any]]:
        """The expectations of the recipe, its `[[expect]]`."""
        return list(self.recipe.get("expect") or ())

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds that the recipe asks for."""
        return tuple(int(seed) for seed in self.recipe.get("seeds") or ())

    def table(self, *keys: str) -> Mapping[str, Any]:
        """A nested table of the recipe; empty when it is missing."""
        found: Any = self.recipe
        for key in keys:
            found = found.get(key) if isinstance(found, Mapping) else None
        return found if isinstance(found, Mapping) else {}

    def tickets(self, branch: str = "ticket") -> dict[int, dict[int, Path]]:
        """Seed to level to ticket file, of those that are there."""
        found: dict[int, dict[int, Path]] = defaultdict(dict)
        folder = glob.escape(checked_name(branch, self.path))
        for path in sorted(self.path.glob(f"seeds/seed_*/{folder}/level_*.npz")):
            match = re.fullmatch(r"level_(\d+)\.npz", path.name)
            seed = path.parent.parent.name.removeprefix("seed_")
            if match and seed.isdecimal():
                found[int(seed)][int(match[1])] = path
        return {seed: dict(sorted(found[seed].items())) for seed in sorted(found)}


def read_run(path: str | Path) -> RunFiles:
    """Read a run directory; what isn't there yet is left empty.

    Raises:
        RunError: The directory doesn't exist, holds neither recipe nor metrics, or a file in it
            can't be read.
    """
    path = Path(path)
    metrics = path / "metrics.csv"
    if not metrics.is_file() and not (path / "recipe.json").is_file():
        raise RunError(
            "A run directory holds `recipe.json` and `metrics.csv`. "
            f"Received: {path}, which has neither. Give the folder that `tfticket recipe run` "
            "printed, such as runs/lth_digits/default."
        )
    rows = read_metrics(metrics) if metrics.is_file() else []
    results, curves = by_network(rows)
    return RunFiles(
        path=path,
        recipe=_read_table(path / "recipe.json"),
        environment=_read_table(path / "environment.json"),
        complete=(path / "COMPLETE").is_file(),
        results=results,
        curves=curves,
        exports=tuple(_read_table(file) for file in sorted(path.glob("export/*.report.json"))),
        connectivity=_read_table(path / "connectivity.json") or None,
    )


def read_together(files: RunFiles) -> AbstractContextManager[None]:
    """A context in which the files of a run are made sense of; see `files.understood`."""
    return understood(
        f"The files of {files.path}",
        "Restore the one that was changed, or run the recipe again; if none was, report this.",
    )


def over_seeds(curves: Sequence[Curve]) -> tuple[np.ndarray, np.ndarray]:
    """Steps that any seed was measured at, shape (n,), and values, shape (seeds, n), NaN where not.

    Args:
        curves: One a seed, at least one.
    """
    steps = np.unique(np.concatenate([curve.steps for curve in curves]))
    values = np.full((len(curves), len(steps)), np.nan)
    for row, curve in zip(values, curves, strict=True):
        row[np.searchsorted(steps, curve.steps)] = curve.values
    return steps, values


def _read_table(path: Path) -> dict[str, Any]:
    """The table in a JSON file; empty when there is no such file."""
    return read_table(path) if path.is_file() else {}


def by_network(
    rows: Iterable[Row],
) -> tuple[dict[Place, dict[str, tuple[int, float]]], dict[Place, dict[tuple[str, str], Curve]]]:
    """Return the results and the curves of each network, as `RunFiles` has them."""
    results: dict[Place, dict[str, tuple[int, float]]] = defaultdict(dict)
    points: dict[Place, dict[tuple[str, str], list[tuple[int, float]]]] = defaultdict(
        lambda: defaultdict(list)
    )
    for row in rows:
        place = (row.seed, row.branch, row.level)
        if row.split in ("test", "summary"):
            results[place][row.name] = (row.step, row.value)
        else:
            points[place][row.split, row.name].append((row.step, row.value))
    curves = {
        place: {key: _curve(values) for key, values in measures.items()}
        for place, measures in points.items()
    }
    return dict(results), curves


def _curve(points: list[tuple[int, float]]) -> Curve:
    steps, values = np.array(sorted(points)).T
    return Curve(steps=steps, values=values)
