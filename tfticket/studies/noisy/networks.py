"""The trained networks of a run, read from its files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tfticket.errors import RunError, TicketError
from tfticket.files import checked_name, read_arrays, read_table
from tfticket.report.reading import Curve, RunFiles
from tfticket.studies.noisy import names

_KIND = "noisy_cell"
_REMEDY = "Running the recipe again writes it anew."


@dataclass(frozen=True)
class Cell:
    """One method under one noise.

    Attributes:
        branch: Its name in the run.
        noise: What the recipe calls its noise: `symmetric0.5`.
        noise_kind: The noise's own name.
        nominal_rate: The rate that the recipe asks for, in [0, 1].
        method: What the recipe calls the method.
        method_kind: The method's own name.
        steps: Optimizer steps; 0 where nothing is trained.
    """

    branch: str
    noise: str
    noise_kind: str
    nominal_rate: float
    method: str
    method_kind: str
    steps: int

    @property
    def method_name(self) -> str:
        """The method in a sentence."""
        return names.method(self.method_kind, self.method)

    @property
    def noise_name(self) -> str:
        """The noise in a sentence."""
        return names.noise(self.noise_kind, self.nominal_rate)

    @property
    def is_baseline(self) -> bool:
        """Whether it is plain cross-entropy."""
        return self.method_kind == names.BASELINE


@dataclass(frozen=True)
class Kept:
    """What the file of one training holds beside its measurements.

    Attributes:
        header: Receipt of the noise, and the selection where there was one.
        arrays: Transition matrices and confusion, where there was a selection.
    """

    header: Mapping[str, Any]
    arrays: Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Study:
    """A run whose files have been opened.

    Attributes:
        files: The run.
        cells: All trainings that it is to make, in the order of the recipe.
        kept: Seed and branch to what the file of that training holds.
        damaged: What could not be read, a sentence each.
    """

    files: RunFiles
    cells: tuple[Cell, ...]
    kept: Mapping[tuple[int, str], Kept]
    damaged: tuple[str, ...]

    @property
    def noises(self) -> dict[str, Cell]:
        """Each noise of the recipe, with the first of its cells."""
        found: dict[str, Cell] = {}
        for cell in self.cells:
            found.setdefault(cell.noise, cell)
        return found

    @property
    def seeds(self) -> tuple[int, ...]:
        """Seeds that the recipe asks for."""
        return tuple(int(seed) for seed in self.files.recipe.get("seeds") or ())

    def measures(self, branch: str) -> dict[str, dict[int, float]]:
        """Of a training's end: measure to seed to value."""
        found: dict[str, dict[int, float]] = {}
        for (seed, name, _), measures in sorted(self.files.results.items()):
            if name == branch:
                for measure, (_, value) in measures.items():
                    found.setdefault(measure, {})[seed] = value
        return found

    def curves(self, branch: str, split: str, name: str) -> dict[int, Curve]:
        """Along training: seed to curve, of the seeds that have one."""
        return {
            seed: curves[split, name]
            for (seed, own, _), curves in sorted(self.files.curves.items())
            if own == branch and (split, name) in curves
        }

    def kept_of(self, noise: str) -> dict[int, Kept]:
        """Seed to the first file under a noise that holds a selection."""
        found: dict[int, Kept] = {}
        for cell in self.cells:
            for (seed, branch), kept in self.kept.items():
                if cell.noise == noise and branch == cell.branch and "selection" in kept.header:
                    found.setdefault(seed, kept)
        return dict(sorted(found.items()))


def read_study(files: RunFiles) -> Study:
    """Opens the trainings of a run, finished or not.

    Raises:
        RunError: when its list of trainings is damaged.
    """
    cells = _cells(files.path / "cells.json")
    kept, damaged = {}, []
    for cell in cells:
        for seed, levels in files.tickets(cell.branch).items():
            for path in levels.values():
                try:
                    header, arrays = read_arrays(path, kind=_KIND)
                except TicketError as error:
                    damaged.append(str(error).replace(f"{files.path}/", ""))
                else:
                    kept[seed, cell.branch] = Kept(header, arrays)
    return Study(files, cells, kept, tuple(damaged))


def _cells(path: Path) -> tuple[Cell, ...]:
    if not path.is_file():
        return ()
    table = read_table(path, remedy=_REMEDY)
    try:
        return tuple(
            Cell(
                branch=checked_name(found["branch"], path),
                noise=str(found["noise"]),
                noise_kind=str(found["noise_kind"]),
                nominal_rate=float(found["nominal_rate"]),
                method=str(found["method"]),
                method_kind=str(found["method_kind"]),
                steps=int(found["steps"]),
            )
            for found in table["cells"]
        )
    except (ArithmeticError, KeyError, TypeError, ValueError) as error:
        raise RunError(
            f"`{path}` must list the trainings of the run. Received: {error!r}. {_REMEDY}"
        ) from error
