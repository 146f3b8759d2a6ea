"""Writes a run directory that looks like one of the kind `noisy`, in a moment, without training."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from tfticket.files import write_arrays, write_json
from tfticket.metrics import Row, to_csv

ACCURACIES = {"cross_entropy": (0.70, 0.72), "coteaching": (0.80, 0.83)}
"""Method to accuracy by seed."""
SELECTION = {
    "estimated_rate": 0.493,
    "estimated_low": 0.47,
    "estimated_high": 0.52,
    "identifiable": 1.0,
    "selected": 0.5,
    "candidates": 0.375,
    "removed": 0.125,
    "selected_precision": 0.912,
    "selected_recall": 0.8,
}
THEORY = {
    f"{kind}_{measure}": value
    for kind, value in (("predicted", 0.611), ("observed", 0.622))
    for measure in ("accuracy", "precision", "recall")
}
ROUNDS = (
    {"held_out": 200, "agreement": 0.4, "selected": 80, "removed": 15},
    {"held_out": 105, "agreement": 0.2, "selected": 20, "removed": 10},
)
EVALUATIONS = np.arange(10, 101, 10)


def write_run(
    path: Path,
    accuracies: Mapping[str, tuple[float, ...]] = ACCURACIES,
    *,
    noises: Mapping[str, float] | None = None,
    measures: Mapping[str, Mapping[str, float]] | None = None,
    unfinished: Iterable[tuple[str, int]] = (),
    recipe: Mapping | None = None,
) -> Path:
    """A run directory at `path`.

    Args:
        path: Where to.
        accuracies: Method to accuracy of each seed; `held_out` trains nothing.
        noises: Kind to rate; the accuracies are the same under each.
        measures: Method to what else was measured, the same for each seed.
        unfinished: Branches and seeds that are missing.
        recipe: What else the recipe says.
    """
    noises, unfinished = noises or {"symmetric": 0.5}, set(unfinished)
    rows, cells = [], []
    for kind, rate in noises.items():
        for method, values in accuracies.items():
            cell = _cell(kind, rate, method, several=len(noises) > 1)
            cells.append(cell)
            for seed, accuracy in enumerate(values):
                if (cell["branch"], seed) not in unfinished:
                    others = {"noise_rate": rate, **(measures or {}).get(method, {})}
                    rows += _rows(cell, seed, accuracy, others)
                    _write_file(path, cell, seed, others)
    seeds = list(range(max(map(len, accuracies.values()))))
    given = {"kind": "noisy", "name": "study", "title": "Study", "seeds": seeds, "last": 3}
    write_json(path / "recipe.json", {**given, "deviations": ["Smaller."], **(recipe or {})})
    write_json(path / "environment.json", {"command": ["tfticket", "recipe", "run", "study"]})
    write_json(path / "cells.json", {"cells": cells})
    (path / "metrics.csv").write_text(to_csv(rows), encoding="utf-8")
    if not unfinished:
        write_json(path / "COMPLETE", {})
    return path


def _cell(kind: str, rate: float, method: str, *, several: bool) -> dict:
    noise = f"{kind}{rate:g}"
    return {
        "branch": f"{noise}-{method}" if several else method,
        "noise": noise,
        "noise_kind": kind,
        "nominal_rate": rate,
        "method": method,
        "method_kind": method,
        "steps": 0 if method == "held_out" else 100,
    }


def _rows(cell: Mapping, seed: int, accuracy: float, others: Mapping[str, float]) -> list[Row]:
    def row(step, split, name, value):
        return Row(seed, cell["branch"], 0, step, step / 10, split, name, float(value))

    found = [row(cell["steps"], "summary", name, value) for name, value in others.items()]
    if not cell["steps"]:
        return found
    test = {"accuracy_last": accuracy, "accuracy_by_validation": accuracy + 0.01}
    found += [row(100, "test", name, value) for name, value in test.items()]
    for step in map(int, EVALUATIONS):
        fall = 0.002 * max(0, step - 50) if cell["method"] == "cross_entropy" else 0
        found += [
            row(step, "clean", "accuracy", accuracy * (1 - np.exp(-step / 12)) - fall),
            row(step, "train", "label_precision", 0.5 + step / 300),
            row(step, "train", "label_recall", 1 - step / 900),
        ]
    return found


def _write_file(path: Path, cell: Mapping, seed: int, others: Mapping[str, float]) -> None:
    header = {"receipt": {"realized_rate": 0.4975, "wrong": 199, "examples": 400,
                          "sha256": f"{seed:064x}"}}  # fmt: skip
    arrays = {}
    if "estimated_rate" in others:
        reason = "" if others["identifiable"] else "Predictions are no better than chance."
        estimate = {"kind": "symmetric", "reason": reason}
        header["selection"] = {"estimate": estimate, "rounds": list(ROUNDS)}
        realized = np.full((4, 4), 0.5 / 3) + (0.5 - 0.5 / 3) * np.eye(4)
        arrays = {"realized": realized, "estimated": realized.T,
                  "confusion": np.round(100 * realized).astype(np.int64)}  # fmt: skip
    write_arrays(
        path / f"seeds/seed_{seed}/{cell['branch']}/level_00.npz",
        kind="noisy_cell",
        header=header,
        arrays=arrays,
    )
