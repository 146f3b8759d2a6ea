"""Runs a recipe from its data to its exported tickets."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from tfticket.lottery.trial import MemoryStore, Trial, TrialListener
from tfticket.recipe.experiment import Experiment
from tfticket.recipe.exporting import Exporter
from tfticket.recipe.kinds.lottery import run_lottery
from tfticket.recipe.planning import plan as make_plan
from tfticket.recipe.progress import Plan, Progress, Silence
from tfticket.recipe.rundir import RunDir
from tfticket.recipe.schema import Recipe


def plan(recipe: Recipe, data_dir: Path | None = None) -> Plan:
    """What a run of the recipe would do from the beginning.

    Raises:
        TFTicketError: for data or a model that can't be had.
    """
    experiment = Experiment.load(recipe, data_dir)
    nowhere = RunDir(os.devnull)
    return _plan(experiment, nowhere)


def run(
    recipe: Recipe, run: RunDir, *, data_dir: Path | None = None, progress: Progress | None = None
) -> None:
    """Runs a recipe, or goes on with it, in a run directory that is open for writing.

    Trains all networks, exports the tickets that the recipe asks for, and marks the run complete.
    The result doesn't depend on how often it was interrupted. A file that can't be exported is told
    of, here and in the run; it doesn't make the networks worth less.

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
    experiment = Experiment.load(recipe, data_dir)
    run.update_environment(facts(experiment))
    progress.message(experiment.data.description)
    progress.plan(_plan(experiment, run))
    run_lottery(experiment, run, progress)
    exporter = Exporter(experiment, run, progress)
    exporter.export()
    run.mark_complete(
        {
            "seeds": list(recipe.seeds),
            "networks": len(run.finished_levels()),
            "failed_exports": [str(failure) for failure in exporter.failures],
        }
    )


def facts(experiment: Experiment) -> dict[str, Any]:
    """What `environment.json` says of the data and the devices."""
    data = experiment.data
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


def _plan(experiment: Experiment, run: RunDir) -> Plan:
    seed = experiment.recipe.seeds[0]
    model = experiment.model(seed)
    trials = _trials(experiment, model)
    made = make_plan(experiment, run, trials, model, measure=True)
    keras.backend.clear_session()
    return made


def _trials(experiment: Experiment, model: keras.Model) -> list[Trial]:
    search = experiment.search(
        experiment.recipe.seeds[0],
        model,
        feed=experiment.feed(0),
        store=MemoryStore(),
        listener=TrialListener.SILENT,
        provenance={},
    )
    return search.procedure.trials()
