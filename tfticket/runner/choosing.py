"""Who does a run when nobody was named."""

from __future__ import annotations

import os

from tfticket.machine import available_memory, only_cpus, usable_cores
from tfticket.recipe.rates import forget_graphs
from tfticket.runner.executor import Executor, Serial, divided, width
from tfticket.runner.pool import Processes
from tfticket.runs.rundir import RunDir
from tfticket.studies.study import Study

# Steps of a run from which on it is sooner to start processes, which takes some seconds.
_STEPS = 20_000
_BYTES_A_PROCESS = 1.5 * 2**30


def suited(study: Study, run: RunDir) -> Executor:
    """Processes where they are sooner and leave the same bits; else this process.

    Small dense networks, which XLA compiles on a CPU, gain little or nothing from a second thread:
    as many of them as there are processors are trained beside one another. Convolutions use all
    threads, and add in another order then, so they stay in this process.

    Args:
        study: What is to be done.
        run: Where to; what is finished there isn't to be done.
    """
    if not hasattr(os, "sched_getaffinity") or study.recipe.train.distribute != "none":
        return Serial()
    tasks = divided(study, study.tasks(), run)
    steps = study.recipe.train.steps * sum(len(task.places) for task in tasks)
    jobs = int(min(usable_cores(), width(tasks), available_memory() / _BYTES_A_PROCESS))
    if jobs < 2 or steps < _STEPS or not _is_compiled(study):
        return Serial()
    return Processes(jobs)


def _is_compiled(study: Study) -> bool:
    """Whether XLA compiles its networks, for CPUs."""
    compiled = bool(study.network().jit_compile)
    forget_graphs()
    return compiled and only_cpus()
