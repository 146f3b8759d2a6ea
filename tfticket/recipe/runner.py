"""Runs a recipe of any kind from its data to the last file of its run."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

import tensorflow as tf

from tfticket.data import DataSet
from tfticket.recipe.kinds.edge import EdgeWork
from tfticket.recipe.kinds.lottery import LotteryWork
from tfticket.recipe.kinds.noisy import NoisyWork
from tfticket.recipe.kinds.norms import NormsWork
from tfticket.recipe.progress import NormsPlan, Plan, Progress, Silence
from tfticket.recipe.rundir import RunDir
from tfticket.recipe.schema import Recipe


class Work(Protocol):
    """What a recipe of one kind does, with its data in memory."""

    data: DataSet

    def plan(self, run: RunDir) -> Plan | NormsPlan:
        """What is to be done, less what is finished in `run`."""

    def run(self, run: RunDir, progress: Progress) -> dict[str, Any]:
        """Does what isn't finished yet; returns what the run's last file says of it."""


WORK: Mapping[str, Callable[[Any, Path | None], Work]] = {
    "lottery": LotteryWork,
    "norms": NormsWork,
    "noisy": NoisyWork,
    "edge": EdgeWork,
}
"""By the `kind` of a recipe: made from the recipe and the folder of the data sets."""


def plan(recipe: Recipe, data_dir: Path | None = None) -> Plan | NormsPlan:
    """What a run of the recipe would do from the beginning.

    Raises:
        TFTicketError: for data or a model that can't be had.
    """
    nowhere = RunDir(os.devnull)
    return WORK[recipe.kind](recipe, data_dir).plan(nowhere)


def run(
    recipe: Recipe, run: RunDir, *, data_dir: Path | None = None, progress: Progress | None = None
) -> None:
    """Runs a recipe, or goes on with it, in a run directory that is open for writing.

    The result doesn't depend on how often it was interrupted.

    Args:
        recipe: The recipe; the run directory holds the same one.
        run: Where to; see `session.writing`.
        data_dir: Where data sets lie.
        progress: Hears how it goes.

    Raises:
        TFTicketError: for whatever can't be done; what was finished is kept.
    """
    progress = progress or Silence()
    _be_deterministic()
    work = WORK[recipe.kind](recipe, data_dir)
    run.update_environment(facts(work.data))
    progress.message(work.data.description)
    progress.plan(work.plan(run))
    outcome = work.run(run, progress)
    run.mark_complete({"seeds": list(recipe.seeds), "networks": run.networks(), **outcome})


def facts(data: DataSet) -> dict[str, Any]:
    """What `environment.json` says of the data and the devices."""
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
        },
    }


def _be_deterministic() -> None:
    """Same seeds, same bits, also on a GPU; on a CPU it is so anyway, and this would forbid XLA."""
    if tf.config.list_physical_devices("GPU"):
        tf.config.experimental.enable_op_determinism()
