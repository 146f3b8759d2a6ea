"""Run a recipe of any kind, from its data to the last file of its run."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from tfticket.data import DataSet
from tfticket.errors import RunError
from tfticket.recipe.rates import be_deterministic
from tfticket.recipe.schema import Recipe
from tfticket.runner import Choice, Executor, Processes, Serial, joined
from tfticket.runner.chance import ChanceWatch
from tfticket.runs.plan import Plan, Task, Trial
from tfticket.runs.progress import Progress, Silence
from tfticket.runs.rundir import RunDir
from tfticket.studies.study import Study, load_study


def plan(recipe: Recipe, data_dir: Path | None = None, run: RunDir | None = None) -> Plan:
    """Plan a run of the recipe.

    Args:
        recipe: The recipe.
        data_dir: The directory of data sets.
        run: The run to resume; what is finished there is left out. A new run if None.

    Raises:
        TFTicketError: for data or a model that can't be had.
    """
    return load_study(recipe, data_dir).plan(run or RunDir(os.devnull), timed=True)


def run(
    recipe: Recipe,
    run: RunDir,
    *,
    data_dir: Path | None = None,
    progress: Progress | None = None,
    executor: Executor | Choice | None = None,
) -> None:
    """Run or resume a recipe in a run directory that is open for writing.

    The result doesn't depend on how often the run was interrupted.

    Args:
        recipe: The recipe; the run directory holds the same one.
        run: The run directory; see `session.writing`.
        data_dir: The directory of data sets.
        progress: The listener; none if None.
        executor: Runs the tasks, or chooses an executor, as `runner.suited` does; `Serial` if None.

    Raises:
        TFTicketError: for whatever can't be done; what was finished is kept.
    """
    executor = executor or Serial()
    chosen = callable(executor)
    if recipe.train.distribute != "none" and not (chosen or isinstance(executor, Serial)):
        raise RunError(
            "Networks that are trained on all devices are trained one after the other. Received: "
            f"train.distribute = {recipe.train.distribute!r}, and several jobs. Leave one of them "
            "out."
        )
    be_deterministic()
    study = load_study(recipe, data_dir)
    progress = ChanceWatch(progress or Silence(), study.data)
    progress.message(study.data.description)
    if callable(executor):
        executor = executor(study, run)
    if not (run.joined and "execution" in run.environment_facts()):
        run.update_environment({**facts(study.data), "execution": executor.facts()})
    if chosen and isinstance(executor, Processes):
        progress.message(
            f"{executor.jobs} worker processes train networks in parallel; --executor serial "
            "trains one at a time, with the same results."
        )
    if executor.timed:
        progress.message("Planning the run")  # which times some steps, and waits for compilation
    progress.plan(study.plan(run, timed=executor.timed))
    with study.opened(run):
        tasks = study.tasks()
        left = [task for task in tasks if not study.finished(task, run)]

        def end() -> None:
            try:
                _check_kept(study, run, tasks)
                _sort_rows(run, tasks)
            finally:
                run.unlock_rows(tasks)
            run.note_look(recipe.seeds)
            outcome = study.finish(run, progress)
            _check_kept(study, run, tasks)
            done = {"seeds": list(recipe.seeds), "networks": run.networks(), **outcome}
            run.mark_complete(done)

        try:
            if left:
                executor.run(study, left, run, progress)
        except BaseException:
            if not run.joined:  # others add rows
                run.unlock_rows(tasks)
            raise
        if run.joined:
            joined.end(run, lambda: all(study.finished(task, run) for task in tasks), end)
        else:
            end()


def _check_kept(study: Study, run: RunDir, tasks: Sequence[Task]) -> None:
    """Raises `RunError` when something of the run was removed while it was done."""
    run.check_there()
    missing = [task.name for task in tasks if not study.finished(task, run)]
    if missing:
        raise RunError(
            f"Files of {run.path} were removed while the recipe was running: those of "
            f"{', '.join(missing[:5])}. The run isn't complete; run the command again to go on."
        )


def _sort_rows(run: RunDir, tasks: Sequence[Task]) -> None:
    """Brings each table into the order of a single process, whoever wrote first."""
    order: dict[str, list[Trial]] = {}
    for task in tasks:
        order.setdefault(task.folder, []).extend(task.trials)
    for folder, trials in order.items():
        RunDir(run.path / folder).rows.sort(trials)


def facts(data: DataSet) -> dict[str, Any]:
    """Return what `environment.json` holds of the data and the devices."""
    return {
        "devices": [device.device_type for device in tf.config.list_logical_devices()],
        "data": {
            "name": data.name,
            "description": data.description,
            "fingerprint": data.fingerprint,
            "train": len(data.train),
            "validation": len(data.validation),
            "test": len(data.test),
            "input_shape": list(data.input_shape),
            "num_classes": data.num_classes,
            "most_common": None if data.regression else _most_common(data.test.y),
            "normalize": data.normalize,
            "feeding": data.feeding,
            **({"segmentation": True} if data.segmentation else {}),
            "scale": np.ravel(data.scale).tolist(),
            "offset": np.ravel(data.offset).tolist(),
        },
    }


def _most_common(labels: np.ndarray) -> float:
    """The share of the most common label."""
    return float(np.bincount(labels.ravel()).max() / labels.size)
