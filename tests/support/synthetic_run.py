"""Writes a run directory that looks like a finished search, in a second and without training.

Masks and tickets are real files; the curves follow formulas that resemble the paper's figures.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tfticket.files import write_arrays, write_json
from tfticket.lottery.ticket import Ticket
from tfticket.metrics import Row, to_csv
from tfticket.sparsity.mask import Mask

DIGITS = {"dense1/kernel": (64, 32), "dense2/kernel": (32, 16), "output/kernel": (16, 10)}
LENET = {"dense1/kernel": (784, 300), "dense2/kernel": (300, 100), "output/kernel": (100, 10)}
CONV2 = {
    "conv1/kernel": (3, 3, 3, 64),
    "conv2/kernel": (3, 3, 64, 64),
    "dense1/kernel": (8 * 8 * 64, 64),
    "output/kernel": (64, 10),
}
IMAGES = {64: [8, 8, 1], 784: [28, 28, 1], 3: [32, 32, 3]}


def write_run(
    path: Path,
    *,
    shapes: dict[str, tuple[int, ...]] = DIGITS,
    seeds: Sequence[int] = (0, 1, 2),
    levels: int = 6,
    controls: Sequence[str] = ("reinit",),
    complete: bool = True,
    finished_levels: int | None = None,
    steps: int = 8000,
    evaluate_every: int = 200,
    recipe: dict | None = None,
    input_shape: Sequence[int] | None = (),
) -> Path:
    """A run directory below `path`; `finished_levels` cuts the last seed short."""
    rows: list[Row] = []
    for seed in seeds:
        last = levels if finished_levels is None or seed != seeds[-1] else finished_levels
        for level, mask, ticket in search(shapes, seed=seed, levels=last):
            folder = path / "seeds" / f"seed_{seed}" / "ticket"
            ticket.save(folder / f"level_{level:02d}.npz")
            _snapshot(folder / f"level_{level:02d}.final.npz", ticket, seed, level, steps)
            branches = ["ticket", *controls] if level else ["ticket"]
            for branch in branches:
                rows += _rows(seed, branch, level, mask, steps, evaluate_every)
    path.mkdir(parents=True, exist_ok=True)
    (path / "metrics.csv").write_text(to_csv(rows))
    write_json(
        path / "recipe.json",
        _recipe(shapes, seeds, levels, controls, steps, evaluate_every) | (recipe or {}),
    )
    write_json(path / "environment.json", _environment(shapes, input_shape))
    if complete:
        write_json(path / "COMPLETE", {"seconds": 5400.0})
    return path


def search(shapes, *, seed, levels, rate=0.2):
    """Level, mask and ticket of an iterative search: inputs in the middle matter most."""
    own, common = np.random.default_rng(seed), np.random.default_rng(1234)
    first = next(iter(shapes))
    scores, weights = {}, {}
    for key, shape in shapes.items():
        scores[key] = np.abs(own.normal(size=shape)) + 0.5 * np.abs(common.normal(size=shape))
        weights[key] = own.normal(0, 0.1, shape).astype(np.float32)
        weights[key.replace("kernel", "bias")] = np.zeros(shape[-1], np.float32)
    side = math.isqrt(shapes[first][0])
    if len(shapes[first]) == 2 and side**2 == shapes[first][0]:
        axis = np.linspace(-1.6, 1.6, side)
        importance = np.exp(-(axis[:, None] ** 2) - axis[None] ** 2)
        scores[first] *= importance.reshape(-1, 1)
    mask = Mask.ones(shapes)
    for level in range(levels + 1):
        if level:
            mask = _pruned(mask, scores, rate)
        yield level, mask, Ticket(mask, weights, level, 0, {"seed": seed})


def _pruned(mask, scores, rate):
    arrays = {}
    for key, kept in mask.items():
        own_rate = rate / 2 if key.startswith("output") else rate
        keep = max(1, kept.sum() - round(own_rate * kept.sum()))
        ranked = np.argsort(np.where(kept, scores[key], -1).ravel(), kind="stable")[::-1]
        flat = np.zeros(kept.size, bool)
        flat[ranked[:keep]] = True
        arrays[key] = flat.reshape(kept.shape)
    return Mask(arrays)


def _snapshot(path, ticket, seed, level, steps):
    rng = np.random.default_rng([seed, level])
    moved = {
        f"variable:{key}": array + rng.normal(0, 0.08, array.shape).astype(np.float32)
        for key, array in ticket.weights.items()
    }
    write_arrays(
        path, kind="snapshot", header={"step": steps, "has_optimizer": False}, arrays=moved
    )


def _true_result(branch, density, rng):
    """Accuracy at the early stop and the step of it, as in the paper's figures 3 and 4."""
    pruned = -np.log(density)
    if branch == "ticket":
        gain = 0.0045 * np.exp(-((pruned - 1.9) ** 2) / 1.6) - 0.0004 * max(0, pruned - 3.2) ** 3
        pace = 1 + 1.3 * np.exp(-((pruned - 1.7) ** 2) / 1.2) - 0.25 * max(0, pruned - 3.2)
    else:
        blow = {"reinit": 0.0022, "shuffle": 0.0026, "random": 0.0032}.get(branch, 0.0012)
        gain = -blow * pruned**1.7
        pace = 1 / (1 + 0.45 * pruned)
    accuracy = 0.979 + gain + rng.normal(0, 0.0002)
    return accuracy, 2600 / max(pace, 0.3) * np.exp(rng.normal(0, 0.02))


def _rows(seed, branch, level, mask, steps, evaluate_every):
    rng = np.random.default_rng([seed, level, *branch.encode()])
    accuracy, early_stop = _true_result(branch, mask.density, rng)
    grid = np.arange(evaluate_every, steps + 1, evaluate_every)
    distance = np.log(grid / early_stop)
    loss = 0.07 + 0.035 * distance**2 + rng.normal(0, 0.0004, grid.size)
    reached = accuracy - 0.004 - 0.03 * np.minimum(distance, 0) ** 2
    reached += rng.normal(0, 0.0006, grid.size)
    best = int(grid[loss.argmin()])
    at = (seed, branch, level)
    rows = []
    for step, value, right in zip(grid.tolist(), loss, reached, strict=True):
        epoch = step / 100
        rows.append(Row(*at, step, epoch, "validation", "loss", float(value)))
        rows.append(Row(*at, step, epoch, "validation", "accuracy", float(right)))
        rows.append(Row(*at, step, epoch, "train", "loss", float(value) * 0.6))
        rows.append(Row(*at, step, epoch, "train", "accuracy", min(1.0, float(right) + 0.01)))
    at_end = accuracy - 0.0003 * (1 + rng.random())
    for step, name, value in [
        (best, "accuracy_at_early_stop", round(accuracy, 4)),
        (best, "loss_at_early_stop", 0.07),
        (steps, "accuracy_at_end", round(at_end, 4)),
        (steps, "loss_at_end", 0.09),
    ]:
        rows.append(Row(*at, step, step / 100, "test", name, value))
    for name, value in [
        ("density", mask.density),
        ("remaining", mask.kept),
        ("prunable", mask.total),
        ("early_stop_step", best),
        ("seconds", 90.0),
    ]:
        rows.append(Row(*at, steps, steps / 100, "summary", name, value))
    return rows


def _recipe(shapes, seeds, levels, controls, steps, evaluate_every):
    inputs = next(iter(shapes.values()))
    return {
        "name": "lth_synthetic",
        "kind": "lottery",
        "title": "LeNet-300-100 on digits that were never written",
        "paper": "arXiv:1803.03635",
        "deviations": [
            "8,000 iterations a level instead of 50,000.",
            "The curves are formulas, not measurements.",
        ],
        "seeds": list(seeds),
        "data": {"name": "mnist", "batch_size": 60, "validation": 5000, "normalize": "unit"},
        "model": {"name": "lenet_300_100" if len(inputs) == 2 else "conv2", "width": 1.0},
        "train": {
            "optimizer": {"name": "adam"},
            "learning_rate": 0.0012,
            "steps": steps,
            "evaluate_every": evaluate_every,
        },
        "lottery": {"score": "magnitude", "pruner": "layerwise", "levels": levels, "rate": 0.2,
                    "rates": {"output": 0.1}, "rewind_step": 0},
        "controls": {name: name in controls for name in ("reinit", "shuffle", "random", "oneshot")}
        | {"levels": None},
        "verdict": {"margin": 0.002, "confidence": 0.95},
        "expect": [
            {"claim": "Minimum validation loss 38 % earlier than dense", "source": "section 2",
             "measure": "early_stop_speedup", "value": 1.61, "branch": "ticket", "against": "dense",
             "density": 0.211},
            {"claim": "Accuracy more than 0.3 points higher", "source": "section 2",
             "measure": "gain", "value": 0.003, "branch": "ticket", "against": "dense",
             "density": 0.135},
            {"claim": "2.51 times as fast as reinitialized", "source": "section 2",
             "measure": "early_stop_speedup", "value": 2.51, "branch": "ticket",
             "against": "reinit", "density": 0.211},
            {"claim": "Back at the dense network's accuracy", "source": "section 2",
             "measure": "smallest_density", "value": 0.036, "branch": "ticket",
             "against": "dense", "density": None},
            {"claim": "Dense accuracy at the early stop", "source": "figure 4",
             "measure": "accuracy", "value": 0.98, "branch": "dense", "against": "dense",
             "density": None},
        ],
    }  # fmt: skip


def _environment(shapes, input_shape):
    if input_shape == ():
        input_shape = IMAGES[next(iter(shapes.values()))[-2]]
    return {
        "command": ["tfticket", "recipe", "run", "lth_synthetic", "--seeds", "0,1,2"],
        "started": "2026-03-01T09:30:00+00:00",
        "git_commit": "0123456789abcdef0123456789abcdef01234567",
        "versions": {"tfticket": "0.1.0", "python": "3.11.7", "keras": "3.15.1",
                     "tensorflow": "2.21.0", "numpy": "2.4.6"},
        "platform": "Linux-6.1-x86_64-with-glibc2.36",
        "processor": "x86_64",
        "cpus": 2,
        "data": {"name": "mnist", "description": "Synthetic numbers, for looking at the page only.",
                 "train": 55000, "validation": 5000, "test": 10000,
                 "input_shape": input_shape, "num_classes": 10},
    }  # fmt: skip


def write_networks(path, networks, *, recipe=None):
    """A run with one finished network each: (seed, branch, level, accuracy, step).

    Each reaches its lowest validation loss, and stops early, at that step.
    """
    rows = []
    for seed, branch, level, accuracy, step in networks:
        rows += [
            Row(seed, branch, level, at, 1.0, "validation", "loss", float(at < step))
            for at in range(25, 901, 25)
        ]
        rows += [
            Row(seed, branch, level, step, 1.0, "test", "accuracy_at_early_stop", accuracy),
            Row(seed, branch, level, 900, 1.0, "test", "accuracy_at_end", accuracy - 0.01),
            Row(seed, branch, level, 900, 1.0, "summary", "density", 0.8**level),
            Row(seed, branch, level, 900, 1.0, "summary", "remaining", 1000 * 0.8**level),
            Row(seed, branch, level, 900, 1.0, "summary", "prunable", 1000),
            Row(seed, branch, level, 900, 1.0, "summary", "seconds", 2.5),
        ]
    (path / "metrics.csv").write_text(to_csv(rows))
    if recipe is not None:
        (path / "recipe.json").write_text(json.dumps(recipe))
    return path


def write_extras(path: Path, *, seed: int = 0, level: int = 6) -> None:
    """Exported files and a connectivity scan beside a run."""
    for number, (kind, size, gzip_size, loss) in enumerate(
        [("fp32", 1066384, 84012, 0.0), ("int8", 273288, 31877, 0.0003)]
    ):
        name = f"seed_{seed}_level_{level:02d}.{kind}"
        write_json(
            path / "export" / f"{name}.json",
            {
                "path": f"{name}.tflite",
                "format": kind,
                "size_bytes": size,
                "gzip_bytes": gzip_size,
                "verification": {
                    "accuracy": 0.9821 - loss,
                    "keras_accuracy": 0.9821,
                    "agreement": 1.0 - loss,
                },
                "latency": {"microseconds": 21.0 + 10 * number, "speedup": 1.1 - 0.2 * number},
            },
        )
    write_json(
        path / "connectivity.json",
        {
            "k": [0, 100, 500, 1000, 2000],
            "instability": [
                [0.09, 0.11],
                [0.05, 0.07],
                [0.015, 0.024],
                [0.006, 0.011],
                [0.0, 0.004],
            ],
            "recommended": 1000,
        },
    )


def as_json(path: Path) -> dict:
    """The table in a JSON file."""
    return json.loads(path.read_text())
