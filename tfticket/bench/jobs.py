"""Benchmark of a study by processes beside one another.

Four seeds of a search on MNIST: LeNet-300-100, batches of 60, Adam at 1.2e-3, the dense network and
four levels of 4,000 steps each. What is timed are all tasks of the study, from the start of the
first process to the end of the last: so imports, traces and what is written to disk as well, but
neither the reading of MNIST nor the export. The wall time counts here: processors do the same work.

- `2 jobs`: two processes of one thread each, as `tfticket recipe run --jobs 2`.
- `1 job`: one such process.
- `this process, all threads`: as `tfticket recipe run` without `--jobs`.
"""

from __future__ import annotations

import os
import tempfile
import time
from dataclasses import dataclass
from functools import cache

from tfticket.bench.paired import Benchmark
from tfticket.bench.tasks import Time, UnavailableError
from tfticket.recipe.parsing import parse
from tfticket.recipe.rates import load_data
from tfticket.runner import Executor, Processes, Serial
from tfticket.runs.progress import Silence
from tfticket.runs.rundir import RunDir
from tfticket.studies.study import Study, make_study

_SEEDS, _LEVELS, _STEPS = 4, 4, 4000


@dataclass(frozen=True)
class StudyTask:
    """A study from its first task to its last, in a directory that is removed afterwards.

    Attributes:
        study: The study.
        executor: Does it.
    """

    study: Study
    executor: Executor

    def __call__(self) -> Time:
        """Does it; processor time is that of all processes."""
        tasks = self.study.tasks()
        with tempfile.TemporaryDirectory() as folder:
            begun, before = time.perf_counter(), _processor_seconds()
            self.executor.run(self.study, tasks, RunDir(folder), Silence())
            return Time(_processor_seconds() - before, time.perf_counter() - begun)


def study(data: str, *, seeds: int, levels: int, steps: int) -> Study:
    """A study with LeNet-300-100.

    Args:
        data: Name of its data set.
        seeds: How many.
        levels: Levels of each search after the dense network.
        steps: Of each network, evaluated four times.
    """
    recipe = parse(
        {
            "name": "jobs",
            "kind": "lottery",
            "title": "Jobs",
            "seeds": list(range(seeds)),
            "data": {"name": data, "batch_size": 60},
            "model": {"name": "lenet_300_100"},
            "train": {
                "optimizer": {"name": "adam"},
                "learning_rate": 1.2e-3,
                "steps": steps,
                "evaluate_every": steps // 4,
            },
            "lottery": {"levels": levels},
        }
    )
    return make_study(recipe, load_data(recipe.data), None)


def _processor_seconds() -> float:
    used = os.times()  # those of other processes are known when they have ended
    return used.user + used.system + used.children_user + used.children_system


@cache
def _mnist() -> Study:
    return study("mnist", seeds=_SEEDS, levels=_LEVELS, steps=_STEPS)


def _processes(jobs: int) -> StudyTask:
    executor = Processes(jobs)
    if executor.jobs < jobs:
        raise UnavailableError(f"{jobs} jobs need {jobs} processors.")
    return StudyTask(_mnist(), executor)


BENCHMARKS = (
    Benchmark(
        "jobs",
        "a study of 4 seeds with LeNet-300-100 on MNIST",
        {
            "2 jobs": lambda: _processes(2),
            "1 job": lambda: _processes(1),
            "this process, all threads": lambda: StudyTask(_mnist(), Serial()),
        },
        rounds=3,
        goals={"1 job": 1 / 1.8},
        warm_up=False,
        goals_of="wall",
    ),
)
