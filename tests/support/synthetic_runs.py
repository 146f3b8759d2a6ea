"""Run directories that look like finished studies, written in a moment and without training.

One writer, and the content of three kinds of study: `write_lottery`, `write_norms` and
`write_noisy`. Masks, tickets and cell files are real ones; the curves follow formulas that
resemble the papers' figures.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from synthetic_records import LINEAR, layer_shift, smoothness

from tfticket.files import write_arrays, write_json
from tfticket.lottery.ticket import Ticket
from tfticket.metrics import Row, to_csv
from tfticket.sparsity.mask import Mask


def _write(
    path: Path,
    rows: Iterable[Row],
    *,
    recipe: Mapping | None,
    environment: Mapping | None = None,
    cells: Sequence[Mapping] | None = None,
    complete: Mapping | None = None,
) -> Path:
    """The files of a run beside those of its seeds; one that has not ended isn't `complete`."""
    path.mkdir(parents=True, exist_ok=True)
    (path / "metrics.csv").write_text(to_csv(rows), encoding="utf-8")
    files = {
        "recipe.json": recipe,
        "environment.json": environment,
        "cells.json": None if cells is None else {"cells": cells},
        "COMPLETE": complete,
    }
    for name, content in files.items():
        if content is not None:
            write_json(path / name, content)
    return path


def _rows(at: tuple[int, str, int], step: float, split: str, **values: float) -> list[Row]:
    """Measurements of one trial (seed, branch, level) at a step."""
    return [Row(*at, int(step), step / 100, split, name, float(v)) for name, v in values.items()]


def _file(path: Path, seed: int, branch: str, kind: str, header: Mapping, arrays: Mapping) -> None:
    """What a trial of norms or noisy leaves beside its rows."""
    at = path / "seeds" / f"seed_{seed}" / branch / "level_00.npz"
    write_arrays(at, kind=kind, header=header, arrays=arrays)


def _environment(recipe: str, **data: object) -> dict:
    """What `environment.json` of a real run says."""
    return {
        "command": ["tfticket", "recipe", "run", recipe, "--seeds", "0,1,2"],
        "started": "2026-03-01T09:30:00+00:00",
        "git_commit": "0123456789abcdef0123456789abcdef01234567",
        "versions": {"tfticket": "0.1.0", "python": "3.11.7", "keras": "3.15.1",
                     "tensorflow": "2.21.0", "numpy": "2.4.6"},
        "platform": "Linux-6.1-x86_64-with-glibc2.36",
        "processor": "x86_64",
        "cpus": 2,
        "data": {"description": "Synthetic numbers, for looking at the page only.", **data},
    }  # fmt: skip


DIGITS = {"dense1/kernel": (64, 32), "dense2/kernel": (32, 16), "output/kernel": (16, 10)}
LENET = {"dense1/kernel": (784, 300), "dense2/kernel": (300, 100), "output/kernel": (100, 10)}
CONV2 = {
    "conv1/kernel": (3, 3, 3, 64),
    "conv2/kernel": (3, 3, 64, 64),
    "dense1/kernel": (8 * 8 * 64, 64),
    "output/kernel": (64, 10),
}
IMAGES = {64: [8, 8, 1], 784: [28, 28, 1], 3: [32, 32, 3]}


def write_lottery(
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
                rows += _lottery_rows(seed, branch, level, mask, steps, evaluate_every)
    if input_shape == ():
        input_shape = IMAGES[next(iter(shapes.values()))[-2]]
    told = _lottery_recipe(shapes, seeds, levels, controls, steps, evaluate_every)
    return _write(
        path,
        rows,
        recipe=told | (recipe or {}),
        environment=_environment(
            "lth_synthetic", name="mnist", train=55000, validation=5000, test=10000,
            input_shape=input_shape, num_classes=10,
        ),
        complete={"seconds": 5400.0} if complete else None,
    )  # fmt: skip


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


def _lottery_rows(seed, branch, level, mask, steps, evaluate_every):
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
        rows += _rows(at, step, "validation", loss=value, accuracy=right)
        rows += _rows(at, step, "train", loss=value * 0.6, accuracy=min(1.0, right + 0.01))
    at_end = round(accuracy - 0.0003 * (1 + rng.random()), 4)
    return [
        *rows,
        *_rows(
            at, best, "test", accuracy_at_early_stop=round(accuracy, 4), loss_at_early_stop=0.07
        ),
        *_rows(at, steps, "test", accuracy_at_end=at_end, loss_at_end=0.09),
        *_rows(
            at, steps, "summary", density=mask.density, remaining=mask.kept, prunable=mask.total,
            early_stop_step=best, seconds=90.0,
        ),
    ]  # fmt: skip


def _lottery_recipe(shapes, seeds, levels, controls, steps, evaluate_every):
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


def write_networks(path, networks, *, recipe=None):
    """A run with one finished network each: (seed, branch, level, accuracy, step).

    Each reaches its lowest validation loss, and stops early, at that step.
    """
    rows = []
    for seed, branch, level, accuracy, step in networks:
        at, density = (seed, branch, level), 0.8**level
        for each in range(25, 901, 25):
            rows += _rows(at, each, "validation", loss=each < step)
        rows += _rows(at, step, "test", accuracy_at_early_stop=accuracy)
        rows += _rows(at, 900, "test", accuracy_at_end=accuracy - 0.01)
        rows += _rows(
            at, 900, "summary", density=density, remaining=1000 * density, prunable=1000,
            seconds=2.5,
        )  # fmt: skip
    return _write(path, rows, recipe=recipe)


def write_extras(path: Path, *, seed: int = 0, level: int = 6) -> None:
    """Exported files and a connectivity scan beside a run."""
    for number, (kind, size, gzip_size, loss) in enumerate(
        [("fp32", 1066384, 84012, 0.0), ("int8", 273288, 31877, 0.0003)]
    ):
        name = f"seed_{seed}_level_{level:02d}.{kind}"
        write_json(
            path / "export" / f"{name}.report.json",
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


NOISE = {"kind": "symmetric", "rate": 0.4, "exact": False}


def cell(norm, *, learning_rate=0.1, batch_size=128, subnetwork="dense", seeds=(0, 1, 2),
         steps=1500, options=None, name=None):  # fmt: skip
    """An entry of `cells.json`; the branch is named by all that may vary."""
    branch = name or f"{norm}-lr{learning_rate:g}-b{batch_size}-{subnetwork}"
    return {"branch": branch, "norm": norm, "options": options or {}, "steps": steps,
            "learning_rate": learning_rate, "batch_size": batch_size, "subnetwork": subnetwork,
            "seeds": list(seeds)}  # fmt: skip


def write_norms(
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
            _file(path, seed, found["branch"], "cell", {"branch": found["branch"]}, arrays)
            rows += _norms_rows(found, seed, last, diverged=at in diverged,
                                statistics=statistics, regression=regression)  # fmt: skip
            rows += _memory(found, seed, diverged=at in diverged) if noise else []
    made_wrong = {"noise": NOISE, "last": 3} if noise else {}
    return _write(
        path,
        rows,
        recipe=_norms_recipe() | made_wrong | dict(recipe or {}),
        environment=_environment(
            "norms_synthetic", name="cifar10", train=45000, validation=5000, test=10000
        ),
        cells=cells,
        complete={"seconds": 900.0} if complete else None,
    )


def _norms_accuracy(found, rng):
    best = {"none": 0.80, "batch": 0.83}.get(found["norm"], 0.82)
    best -= {"ticket": 0.005, "random": 0.03}.get(found["subnetwork"], 0.0)
    if found["norm"] == "batch":
        best -= 0.25 / found["batch_size"]
    return best + rng.normal(0, 0.004)


def _norms_rows(found, seed, last, *, diverged, statistics, regression):
    rng = np.random.default_rng([seed, 2, *found["branch"].encode()])
    at, rows = (seed, found["branch"], 0), []
    accuracy = _norms_accuracy(found, rng)
    for step in range(50, last + 1, 50):
        share = step / found["steps"]
        reached = accuracy * (1 - 0.75 * np.exp(-6 * share)) + rng.normal(0, 0.006)
        loss = 0.6 + 1.7 * np.exp(-5 * share) + rng.normal(0, 0.02)
        measured = {"loss": loss} if regression else {"loss": loss, "accuracy": reached}
        for split in ("train", "validation"):
            rows += _rows(at, step, split, **measured)
    if diverged:
        rows += _rows(at, last, "summary", diverged=1, diverged_step=last)
    else:
        rows += _rows(at, last, "test", loss_at_end=0.62 + rng.normal(0, 0.02))
    if not regression and not diverged:
        rows += _rows(at, last, "test", accuracy_at_end=accuracy)
        if statistics:
            won = 0.15 / found["batch_size"] if "batch" in found["norm"] else 0.0
            rows += _rows(
                at, last, "test", accuracy_precise=accuracy + won,
                accuracy_evalnorm=accuracy + 0.8 * won, accuracy_batch=accuracy + 0.5 * won,
            )  # fmt: skip
    if found["subnetwork"] != "dense":
        rows += _rows(at, last, "summary", density=0.2)
    settings = {name: found[name] for name in ("learning_rate", "batch_size")}
    return rows + _rows(at, last, "summary", seconds=60.0, landscape_seconds=2.4, **settings)


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
    at, last = (seed, found["branch"], 0), found["steps"]
    rows = _rows(at, last, "summary", noise_rate=0.398)
    for (split, name), values in along.items():
        for step, value in zip(steps, values, strict=True):
            rows += _rows(at, step, split, **{name: value})
        ends = {"last": values[-3:].mean(), "mean": values.mean(), "by_validation": values[1]}
        ends |= {"at_end": values[-1]} if split != "clean" else {}
        if not diverged:
            into = "test" if split == "clean" else "summary"
            rows += _rows(at, last, into, **{f"{name}_{end}": v for end, v in ends.items()})
    return rows


def _norms_recipe():
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


def write_noisy(
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
            cell = _noisy_cell(kind, rate, method, several=len(noises) > 1)
            cells.append(cell)
            for seed, accuracy in enumerate(values):
                if (cell["branch"], seed) not in unfinished:
                    others = {"noise_rate": rate, **(measures or {}).get(method, {})}
                    rows += _noisy_rows(cell, seed, accuracy, others)
                    _write_selection(path, cell, seed, others)
    seeds = list(range(max(map(len, accuracies.values()))))
    given = {"kind": "noisy", "name": "study", "title": "Study", "seeds": seeds, "last": 3}
    return _write(
        path,
        rows,
        recipe={**given, "deviations": ["Smaller."], **(recipe or {})},
        environment={"command": ["tfticket", "recipe", "run", "study"]},
        cells=cells,
        complete=None if unfinished else {},
    )


def _noisy_cell(kind: str, rate: float, method: str, *, several: bool) -> dict:
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


def _noisy_rows(
    cell: Mapping, seed: int, accuracy: float, others: Mapping[str, float]
) -> list[Row]:
    at = (seed, cell["branch"], 0)
    rows = _rows(at, cell["steps"], "summary", **others)
    if not cell["steps"]:
        return rows
    rows += _rows(at, 100, "test", accuracy_last=accuracy, accuracy_by_validation=accuracy + 0.01)
    for step in EVALUATIONS:
        fall = 0.002 * max(0, step - 50) if cell["method"] == "cross_entropy" else 0
        rows += _rows(at, step, "clean", accuracy=accuracy * (1 - np.exp(-step / 12)) - fall)
        shares = {"label_precision": 0.5 + step / 300, "label_recall": 1 - step / 900}
        rows += _rows(at, step, "train", **shares)
    return rows


def _write_selection(path: Path, cell: Mapping, seed: int, others: Mapping[str, float]) -> None:
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
    _file(path, seed, cell["branch"], "noisy_cell", header, arrays)


def as_json(path: Path) -> dict:
    """The table in a JSON file."""
    return json.loads(path.read_text())
