"""Runs a recipe of the kind `noisy`: each training kept on disk when it has ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tfticket.files import write_arrays
from tfticket.metrics import Row
from tfticket.recipe.building import forget_graphs
from tfticket.recipe.corrupting import listed, receipt
from tfticket.recipe.kinds.noisy_planning import plan_cells
from tfticket.recipe.kinds.noisy_selection import Selections, compared, matrices, told
from tfticket.recipe.kinds.noisy_training import rows_of, train
from tfticket.recipe.noisy_cells import NoisyCell, noisy_cells
from tfticket.recipe.noisy_experiment import NoisyExperiment
from tfticket.recipe.noisy_schema import NoisyRecipe
from tfticket.recipe.progress import NormsPlan, Progress
from tfticket.recipe.rundir import RunDir

CELL = "noisy_cell"
"""The kind of file that holds what one training left."""


@dataclass(frozen=True)
class _Outcome:
    rows: tuple[Row, ...]
    header: Mapping[str, Any]
    arrays: Mapping[str, np.ndarray]
    summary: Mapping[str, float] = field(default_factory=dict)


class NoisyWork:
    """What a recipe of the kind `noisy` does in a run directory.

    Args:
        recipe: The recipe.
        data_dir: Where data sets lie.
    """

    def __init__(self, recipe: NoisyRecipe, data_dir: Path | None) -> None:
        self._experiment = NoisyExperiment.load(recipe, data_dir)
        self._cells = noisy_cells(recipe)
        self.data = self._experiment.data

    def plan(self, run: RunDir) -> NormsPlan:
        """See `runner.Work`."""
        made = plan_cells(self._experiment, run, self._cells)
        forget_graphs()
        return made

    def run(self, run: RunDir, progress: Progress) -> dict[str, Any]:
        """Trains what isn't finished yet, seed by seed; see `runner.Work`."""
        listed(
            run,
            [cell.to_dict() for cell in self._cells],
            self._experiment.recipe.noise,
            foreign=self._experiment.foreign,
        )
        selections = Selections(self._experiment, run)
        for seed in self._experiment.recipe.seeds:
            for cell in self._cells:
                if run.finished(seed, cell.branch, 0):
                    continue
                outcome = self._train(seed, cell, selections, progress)
                run.append_rows(outcome.rows)
                write_arrays(
                    run.ticket(seed, cell.branch, 0),
                    kind=CELL,
                    header={**cell.to_dict(), "seed": seed, **outcome.header},
                    arrays=outcome.arrays,
                )
                progress.end(seed, cell.branch, 0, outcome.summary)
                forget_graphs()
        return {}

    def _train(
        self, seed: int, cell: NoisyCell, selections: Selections, progress: Progress
    ) -> _Outcome:
        corruption = self._experiment.corruption(seed, cell.noise)
        summary: dict[str, float] = {"noise_rate": corruption.realized_rate}
        test: Mapping[str, float] = {}
        rows: list[Row] = []
        header: dict[str, Any] = {"receipt": receipt(corruption)}
        arrays: dict[str, np.ndarray] = {}
        split = None
        if cell.method.needs_selection:
            split = selections.split(seed, cell.noise, corruption, progress)
            summary |= told(split, corruption)
            header["selection"] = split.to_dict()
            arrays = matrices(split, corruption)
        progress.begin(seed, cell.branch, 0, cell.steps, 1.0)
        if split is not None and cell.method.name == "held_out":
            summary |= compared(split, corruption)
        else:
            trained = train(
                self._experiment,
                cell,
                seed,
                corruption=corruption,
                split=split,
                tell=progress.update,
            )
            rows += trained.rows
            test = trained.test
            summary |= trained.summary
        epoch = cell.steps * self._experiment.recipe.data.batch_size / len(self.data.train)
        for name, found in (("test", test), ("summary", summary)):
            rows += rows_of(seed, cell.branch, cell.steps, epoch, name, found)
        return _Outcome(tuple(rows), header, arrays, {**test, **summary})
