"""Writes a run directory that looks like one of the kind `noisy`, without training."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tfticket.files import write_json
from tfticket.metrics import Row, to_csv

ACCURACIES = {"cross_entropy": (0.70, 0.72), "coteaching": (0.80, 0.83)}
"""Method to accuracy by seed."""


def write_run(
    path: Path,
    accuracies: Mapping[str, tuple[float, ...]] = ACCURACIES,
    *,
    noise: str = "symmetric0.5",
    measures: Mapping[str, Mapping[str, float]] | None = None,
    complete: bool = True,
) -> Path:
    """A run directory at `path`.

    Args:
        path: Where to.
        accuracies: Method to accuracy of each seed.
        noise: What its noise is called.
        measures: Method to what else was measured, the same for each seed.
        complete: Whether it is finished; otherwise the last training is missing.
    """
    rows, cells, seeds = [], [], range(max(map(len, accuracies.values())))
    for method, values in accuracies.items():
        cells.append(
            {"branch": method, "noise": noise, "method": method, "method_kind": method, "steps": 10}
        )
        for seed, value in enumerate(values):
            others = {"noise_rate": 0.5, **((measures or {}).get(method, {}))}
            found = {"accuracy_last": value, **others} if value else others
            rows += [
                Row(seed, method, 0, 10, 1.0, "test" if "accuracy" in name else "summary", name, v)
                for name, v in found.items()
            ]
    path.mkdir(parents=True, exist_ok=True)
    recipe = {"kind": "noisy", "name": "study", "title": "Study", "seeds": list(seeds)}
    write_json(path / "recipe.json", {**recipe, "deviations": ["Smaller."]})
    write_json(path / "cells.json", {"cells": cells})
    (path / "metrics.csv").write_text(to_csv(rows if complete else rows[:-2]), encoding="utf-8")
    if complete:
        write_json(path / "COMPLETE", {})
    return path
