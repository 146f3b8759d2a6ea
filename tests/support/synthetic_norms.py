"""Writes a run directory that looks like a study of norms, in a moment and without training.

The cell files are real ones; the curves follow formulas that resemble the paper's figures.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from tfticket.files import write_arrays, write_json
from tfticket.metrics import Row, to_csv
from tfticket.norms.landscape import ShiftRecord, SmoothnessRecord

LINEAR = np.linspace(0.5, 4.0, 8)
ROUGHNESS = {"none": 5.5, "batch": 1.0, "group": 1.6, "layer": 2.1, "noisy_batch": 1.3,
             "l1_batch": 1.1, "linf_batch": 1.2}  # fmt: skip


def cell(norm, *, learning_rate=0.1, batch_size=128, subnetwork="dense", seeds=(0, 1, 2),
         steps=1500, options=None, name=None):  # fmt: skip
    """An entry of `cells.json`; the branch is named by all that may vary."""
    branch = name or f"{norm}-lr{learning_rate:g}-b{batch_size}-{subnetwork}"
    return {"branch": branch, "norm": norm, "options": options or {}, "steps": steps,
            "learning_rate": learning_rate, "batch_size": batch_size, "subnetwork": subnetwork,
            "seeds": list(seeds)}  # fmt: skip


def write_run(
    path: Path,
    cells: Iterable[Mapping] = (),
    *,
    recipe: Mapping | None = None,
    complete: bool = True,
    unfinished: Iterable[tuple[str, int]] = (),
    diverged: Iterable[tuple[str, int]] = (),
    multipliers: np.ndarray = LINEAR,
    every: int = 15,
    landscape: bool = True,
    shift: bool = True,
    statistics: bool = False,
    regression: bool = False,
    noise: bool = False,
) -> Path:
    """A run directory at `path`; `unfinished` and `diverged` are branches and seeds."""
    cells, unfinished, diverged = list(cells), set(unfinished), set(diverged)
    cells = cells or [cell("none"), cell("batch")]
    path.mkdir(parents=True, exist_ok=True)
    rows = []
    for found in cells:
        for seed in found["seeds"]:
            at = (found["branch"], seed)
            if at in unfinished:
                continue
            last = found["steps"] // 3 if at in diverged else found["steps"]
            arrays = {}
            if landscape:
                record = smoothness(found, seed, np.arange(0, last, every), multipliers)
                arrays |= {f"landscape/{k}": v for k, v in record.to_arrays().items()}
            if shift:
                record = layer_shift(found, seed, np.arange(0, last, 2 * every))
                arrays |= {f"shift/{k}": v for k, v in record.to_arrays().items()}
            file = path / "seeds" / f"seed_{seed}" / found["branch"] / "level_00.npz"
            write_arrays(file, kind="cell", header={"branch": found["branch"]}, arrays=arrays)
            rows += _rows(found, seed, last, diverged=at in diverged, statistics=statistics,
                          regression=regression)  # fmt: skip
            rows += _memory(found, seed, diverged=at in diverged) if noise else []
    (path / "metrics.csv").write_text(to_csv(rows))
    write_json(path / "cells.json", {"cells": cells})
    made_wrong = {"noise": NOISE, "last": 3} if noise else {}
    write_json(path / "recipe.json", _recipe(cells) | made_wrong | dict(recipe or {}))
    write_json(path / "environment.json", ENVIRONMENT)
    if complete:
        write_json(path / "COMPLETE", {"seconds": 900.0})
    return path


def smoothness(found, seed, steps, multipliers=LINEAR):
    """A record whose gradient turns sooner, the rougher the norm is."""
    rng = np.random.default_rng([seed, *found["branch"].encode()])
    moments, k = len(steps), np.asarray(multipliers, float)
    share = steps / found["steps"]
    rough = ROUGHNESS.get(found["norm"], 1.8)
    rough *= {"ticket": 0.7, "random": 1.2}.get(found["subnetwork"], 1.0)
    rough = rough * np.exp(rng.normal(0, 0.12)) * np.exp(rng.normal(0, 0.5, moments))
    norm = (6 + 30 * share) * np.exp(rng.normal(0, 0.3, moments)) / 8
    rate = np.full(moments, found["learning_rate"])
    distance = (rate * norm)[:, None] * k
    turned = 1 - np.exp(-rough[:, None] * distance / 0.4)
    change = norm[:, None] * (1.05 * turned + 0.02 * rng.random((moments, len(k))))
    base = 0.7 + 3.2 * np.exp(-4 * share) * (0.75 if found["norm"] != "none" else 1.0)
    losses = base[:, None] * (1 + 0.35 * rough[:, None] * (distance - 0.12))
    losses = np.maximum(losses, 0.8 * base[:, None])
    return SmoothnessRecord(
        step=steps.astype(np.int64),
        learning_rate=rate,
        multipliers=k,
        loss=base,
        losses=losses,
        weight_norm=40 + 20 * share,
        gradient_norm=norm,
        direction_norm=rate * norm,
        slope=-rate * norm**2,
        gradient_norms=norm[:, None] * (1 - 0.4 * turned),
        gradient_change=change,
        curvature=change / distance * 0.9,
    )


def layer_shift(found, seed, steps, layers=("conv2", "conv5", "conv8", "dense1")):
    """A record in which later layers shift more, with batch norm most of all."""
    rng = np.random.default_rng([seed, 1, *found["branch"].encode()])
    depth = np.arange(1, len(layers) + 1) / len(layers)
    pull = 0.55 if found["norm"] == "none" else 0.9
    noise = rng.normal(0, 0.06, (len(steps), len(layers)))
    cosine = np.clip(1 - pull * depth + noise, -1, 1)
    size = np.exp(rng.normal(0, 0.3, cosine.shape)) * (2 - depth)
    return ShiftRecord(
        step=steps.astype(np.int64),
        layers=np.array(layers),
        l2=size * np.sqrt(np.maximum(2 - 2 * cosine, 0)),
        cosine=cosine,
        gradient_norm=size,
    )


def _accuracy(found, rng):
    best = {"none": 0.80, "batch": 0.83}.get(found["norm"], 0.82)
    best -= {"ticket": 0.005, "random": 0.03}.get(found["subnetwork"], 0.0)
    if found["norm"] == "batch":
        best -= 0.25 / found["batch_size"]
    return best + rng.normal(0, 0.004)


def _rows(found, seed, last, *, diverged, statistics, regression):
    rng = np.random.default_rng([seed, 2, *found["branch"].encode()])
    branch, rows = found["branch"], []

    def add(step, split, name, value):
        rows.append(Row(seed, branch, 0, step, step / 100, split, name, float(value)))

    accuracy = _accuracy(found, rng)
    for step in range(50, last + 1, 50):
        share = step / found["steps"]
        reached = accuracy * (1 - 0.75 * np.exp(-6 * share)) + rng.normal(0, 0.006)
        loss = 0.6 + 1.7 * np.exp(-5 * share) + rng.normal(0, 0.02)
        for split in ("train", "validation"):
            add(step, split, "loss", loss)
            if not regression:
                add(step, split, "accuracy", reached)
    if diverged:
        add(last, "summary", "diverged", 1)
        add(last, "summary", "diverged_step", last)
    else:
        add(last, "test", "loss_at_end", 0.62 + rng.normal(0, 0.02))
    if not regression and not diverged:
        add(last, "test", "accuracy_at_end", accuracy)
        if statistics:
            recovered = 0.15 / found["batch_size"] if "batch" in found["norm"] else 0.0
            add(last, "test", "accuracy_precise", accuracy + recovered)
            add(last, "test", "accuracy_evalnorm", accuracy + 0.8 * recovered)
            add(last, "test", "accuracy_batch", accuracy + 0.5 * recovered)
    if found["subnetwork"] != "dense":
        add(last, "summary", "density", 0.2)
    add(last, "summary", "seconds", 60.0)
    add(last, "summary", "landscape_seconds", 2.4)
    add(last, "summary", "learning_rate", found["learning_rate"])
    add(last, "summary", "batch_size", found["batch_size"])
    return rows


def _memory(found, seed, *, diverged):
    """The ticket memorizes sooner than the dense network, the random subnetwork later."""
    rng = np.random.default_rng([seed, 3, *found["branch"].encode()])
    pace = {"ticket": 6.0, "random": 2.0}.get(found["subnetwork"], 4.0)
    steps = np.arange(150, found["steps"] + 1, 150)
    gone = np.exp(-pace * steps / found["steps"])
    memorized = np.clip(1 - gone + rng.normal(0, 0.002, len(steps)), 0, 1)
    along = {
        ("memorization", "memorized"): memorized,
        ("memorization", "recovered"): 0.6 * gone,
        ("memorization", "right_accuracy"): 1 - gone**1.5,
        ("clean", "accuracy"): 0.7 - 0.4 * memorized,
    }
    rows = []
    for (split, name), values in along.items():
        into = "test" if split == "clean" else "summary"
        ends = {"last": values[-3:].mean(), "mean": values.mean(), "by_validation": values[1]}
        ends |= {"at_end": values[-1]} if split != "clean" else {}
        curve = [(int(step), split, name, value) for step, value in zip(steps, values, strict=True)]
        whole = [(found["steps"], into, f"{name}_{end}", value) for end, value in ends.items()]
        rows += curve if diverged else [*curve, *whole]
    rows.append((found["steps"], "summary", "noise_rate", 0.398))
    return [Row(seed, found["branch"], 0, step, step / 100, split, name, float(value))
            for step, split, name, value in rows]  # fmt: skip


def _recipe(cells):
    return {
        "name": "norms_synthetic",
        "kind": "norms",
        "title": "Normalization in a VGG that was never trained",
        "paper": "arXiv:1805.11604",
        "deviations": ["The curves are formulas, not measurements.", "1,500 steps, not 15,000."],
        "seeds": [0, 1, 2],
        "data": {"name": "cifar10", "batch_size": 128, "validation": 5000},
        "model": {"name": "vgg", "width": 0.25},
        "train": {"optimizer": {"name": "sgd"}, "learning_rate": 0.1, "steps": 1500},
        "landscape": {"every": 15, "direction": "gradient", "batch": "train"},
        "expect": [
            {"claim": "The gradient-predictiveness band is narrower with BN",
             "source": "figure 4(b), digitized", "measure": "predictiveness", "value": 5.5,
             "at_least": 3.0, "norm": "batch", "against": "none", "first": 0.667},
            {"claim": "The loss band is narrower with BN", "source": "figure 4(a), digitized",
             "measure": "loss_band", "value": 3.6, "at_least": 3.0, "norm": "batch",
             "against": "none", "first": 0.667},
            {"claim": "Test accuracy 83 % against 80 %", "source": "section 2",
             "measure": "accuracy", "value": 0.03, "norm": "batch", "against": "none"},
        ],
    }  # fmt: skip


NOISE = {"kind": "symmetric", "rate": 0.4, "exact": False}
ENVIRONMENT = {
    "command": ["tfticket", "recipe", "run", "norms_synthetic", "--seeds", "0,1,2"],
    "started": "2026-03-01T09:30:00+00:00",
    "git_commit": "0123456789abcdef0123456789abcdef01234567",
    "versions": {"tfticket": "0.1.0", "python": "3.11.7", "keras": "3.15.1",
                 "tensorflow": "2.21.0", "numpy": "2.4.6"},
    "platform": "Linux-6.1-x86_64-with-glibc2.36",
    "processor": "x86_64",
    "cpus": 2,
    "data": {"name": "cifar10", "train": 45000, "validation": 5000, "test": 10000,
             "description": "Synthetic numbers, for looking at the page only."},
}  # fmt: skip


def hand_made(losses=((1, 10), (2, 200)), change=((1, 3), (2, 10))):
    """Two moments and the multipliers 1/2 and 2, in numbers that one can reckon with."""
    return SmoothnessRecord(
        step=np.array([0, 100]),
        learning_rate=np.array([0.2, 0.2]),
        multipliers=np.array([0.5, 2.0]),
        loss=np.array([2.0, 1.0]),
        losses=np.array(losses, float),
        weight_norm=np.array([10.0, 10.0]),
        gradient_norm=np.array([5.0, 5.0]),
        direction_norm=np.array([1.0, 1.0]),
        slope=np.array([-5.0, -5.0]),
        gradient_norms=np.array([[4.0, 3.0], [4.0, 3.0]]),
        gradient_change=np.array(change, float),
        curvature=np.array([[0.4, 1.0], [20.0, 1.0]]),
    )
