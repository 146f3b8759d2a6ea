"""Benchmarks of memory: what images in memory add to a process, and what levels add.

`memory`: random bytes in the shape of CIFAR-10 and `fit` of a small dense network on them, counted
from where the same with a thousand images has ended. Expected are the bytes of the images, 146.5
MiB, and nearly nothing else. Keras' `fit` gets floats, four bytes a pixel, and copies them.

`memory_cifar10`: the same with CIFAR-10 itself, from `data.load` on: 176 MiB with the validation
and test images, none of which may be in memory twice at any moment.

`memory_levels`: a search with 12 levels against one with 3, where tickets and end states are files,
as in runs, counted from where a search with one level has ended: more levels should add nothing.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.paired import Benchmark, Task
from benchmarks.steps import ChunkedTraining, compiled
from benchmarks.tasks import environment
from benchmarks.workloads import CLASSES, Workload
from tfticket import data
from tfticket.data.arrays import aligned_empty
from tfticket.data.dataset import Split
from tfticket.recipe.parsing import parse
from tfticket.runs.progress import Silence
from tfticket.runs.rundir import RunDir
from tfticket.runs.session import writing
from tfticket.studies.lottery.schema import LotteryRecipe
from tfticket.studies.lottery.study import LotteryStudy
from tfticket.studies.lottery.training import search_tickets

_CHUNK = 100
_PART = 1000  # images drawn at a time
_CIFAR10 = Workload("lenet_300_100", (32, 32, 3), 50_000, 100, steps=500, chunk_steps=_CHUNK)
_FEW = replace(_CIFAR10, examples=1000)


def examples(workload: Workload) -> Split:
    """Return random images, aligned in memory as by `data.load`, made without a second copy."""
    rng = np.random.default_rng(0)
    shape = (workload.examples, *workload.input_shape)
    x, y = aligned_empty(shape, np.uint8), aligned_empty(shape[:1], np.int32)
    for start in range(0, workload.examples, _PART):
        part = x[start : start + _PART]
        part[...] = rng.integers(0, 256, part.shape, "uint8")
    y[...] = rng.integers(0, CLASSES, workload.examples)
    return Split(x, y)


def chunked_fit(workload: Workload) -> Task:
    """Return our task: make the images, train an epoch of them."""
    return lambda: train(workload, examples(workload))


def array_fit(workload: Workload) -> Task:
    """Return the task in the way of Keras: an array of floats, from the same bytes."""
    return lambda: train_on_floats(workload, examples(workload))


def loaded_fit(
    workload: Workload, name: str, fit: Callable[[Workload, Split], None] | None = None
) -> Task:
    """Return a task that loads a data set by name and trains an epoch of it, by default ours."""
    # In the cache, decoded, before anything is counted.
    decode = f"from tfticket import data; data.load({name!r})"
    subprocess.run([sys.executable, "-P", "-c", decode], check=True, env=environment())

    def load_and_fit() -> None:
        (fit or train)(workload, data.load(name, limit=workload.examples).train)

    return load_and_fit


def train(workload: Workload, split: Split) -> None:
    """Train a network on images in memory, in our way."""
    ChunkedTraining(workload, masked=False, split=split)()


def train_on_floats(workload: Workload, split: Split) -> None:
    """Train a network by plain `fit`."""
    x = np.divide(split.x, 255, dtype=np.float32)
    compiled(workload).fit(x, split.y, batch_size=workload.batch_size, verbose=0)


def search(levels: int) -> Task:
    """Return a search of a recipe in a temporary run directory."""
    raw = {
        "kind": "lottery",
        "title": "Levels",
        "seeds": [0],
        "data": {"name": "digits"},
        "model": {"name": "lenet_300_100", "width": 4.0},
        "train": {
            "optimizer": {"name": "adam"},
            "learning_rate": 1e-3,
            "steps": 100,
            "evaluate_every": 50,
        },
        "lottery": {"levels": levels},
    }

    def run() -> None:
        recipe = parse(raw, name="levels")
        assert isinstance(recipe, LotteryRecipe)
        with (
            tempfile.TemporaryDirectory() as folder,
            writing(RunDir(Path(folder) / "run"), recipe, toml=b"") as opened,
        ):
            search_tickets(LotteryStudy.load(recipe), opened, Silence(), 0)

    return run


BENCHMARKS = (
    Benchmark(
        "memory",
        "memory of an epoch on 50,000 images of 32x32x3 bytes, 146.5 MiB, held in memory",
        {
            "Feed and ChunkedFit": lambda: chunked_fit(_CIFAR10),
            "Keras fit of floats": lambda: array_fit(_CIFAR10),
        },
        rounds=1,
        before_memory=lambda: chunked_fit(_FEW),
        warm_up=False,
    ),
    Benchmark(
        "memory_cifar10",
        "memory of `data.load` of CIFAR-10, 176 MiB, and an epoch on it",
        {
            "load, Feed and ChunkedFit": lambda: loaded_fit(_CIFAR10, "cifar10"),
            "load and Keras fit of floats": lambda: loaded_fit(
                _CIFAR10, "cifar10", train_on_floats
            ),
        },
        rounds=1,
        # Something else is loaded, so that what loading CIFAR-10 takes isn't there before.
        before_memory=lambda: loaded_fit(_FEW, "mnist", lambda few, _: train(few, examples(few))),
        warm_up=False,
    ),
    Benchmark(
        "memory_levels",
        "memory of a search with 12 levels against one with 3",
        {"12 levels": lambda: search(12), "3 levels": lambda: search(3)},
        rounds=1,
        before_memory=lambda: search(1),
        warm_up=False,
    ),
)
