"""Test accuracy of one network with other statistics than its moving ones."""

from __future__ import annotations

from collections.abc import Callable

import keras
import numpy as np

from tfticket.internals import flat_layers
from tfticket.recipe.cells import Cell
from tfticket.recipe.norms_experiment import NormsExperiment
from tfticket.state import Snapshot
from tfticket.statistics import (
    batch_statistics,
    eval_norm,
    normalizes_by_batch,
    predict,
    recalibrate,
)

_LARGE_BATCH = 500


def accuracies(
    experiment: NormsExperiment, model: keras.Model, cell: Cell, seed: int
) -> dict[str, float]:
    """`accuracy_precise`, `accuracy_evalnorm` and `accuracy_batch`, as far as they are asked for.

    A network that doesn't normalize by batches has one accuracy, and gives none of them. The model
    is as before when this returns.

    Args:
        experiment: The recipe with its data.
        model: A trained network.
        cell: Which one; its batch size is that of the batch statistics.
        seed: Decides the training examples that statistics are taken from: the first of the feed.
    """
    table = experiment.recipe.statistics
    if table is None or not any(normalizes_by_batch(layer) for layer in flat_layers(model)):
        return {}
    found = {}
    for kind in table.kinds:
        before = Snapshot.capture(model, step=0, optimizer=False)
        found[f"accuracy_{kind}"] = _KINDS[kind](experiment, model, cell, seed)
        before.restore(model)
    return found


def _precise(experiment: NormsExperiment, model: keras.Model, cell: Cell, seed: int) -> float:
    examples = experiment.recipe.statistics.examples if experiment.recipe.statistics else 0
    feed = experiment.feed(seed, cell)
    batches = feed.dataset(endless=True).take(-(-examples // cell.batch_size))
    recalibrate(model, (x for x, _ in batches))
    return _accuracy(experiment, model, _LARGE_BATCH)


def _evalnorm(experiment: NormsExperiment, model: keras.Model, cell: Cell, seed: int) -> float:
    with eval_norm(model, cell.batch_size):
        return _accuracy(experiment, model, _LARGE_BATCH)


def _batch(experiment: NormsExperiment, model: keras.Model, cell: Cell, seed: int) -> float:
    with batch_statistics(model):
        return _accuracy(experiment, model, cell.batch_size)


def _accuracy(experiment: NormsExperiment, model: keras.Model, batch_size: int) -> float:
    data = experiment.data
    outputs = predict(model, data.inputs(data.test), batch_size=batch_size)
    return float(np.mean(outputs.argmax(axis=-1) == data.test.y))


_KINDS: dict[str, Callable[[NormsExperiment, keras.Model, Cell, int], float]] = {
    "precise": _precise,
    "evalnorm": _evalnorm,
    "batch": _batch,
}
