"""Measures from which step on the networks of a recipe are linearly mode connected."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from tfticket.data import ChunkedFit
from tfticket.internals import flat_layers
from tfticket.lottery.connectivity import ConnectivityScan, scan
from tfticket.recipe.experiment import Experiment
from tfticket.recipe.progress import Progress
from tfticket.seeds import sub_seed
from tfticket.state import Snapshot
from tfticket.statistics import normalizes_by_batch

_RECALIBRATION_BATCHES = 20


def scan_connectivity(experiment: Experiment, progress: Progress) -> ConnectivityScan:
    """Trains pairs of copies of the first seed's network from each step that the recipe names.

    The copies share everything but the order of the data. Errors are those of the validation data,
    so that the recommended step owes nothing to the test data. The statistics of batch
    normalization are measured anew at each point of a line.

    Args:
        experiment: A recipe with a `connectivity` table.
        progress: Hears which step is at work.
    """
    table = experiment.recipe.connectivity
    assert table is not None  # the caller asks only when there is one
    seed = experiment.recipe.seeds[0]
    model = experiment.model(seed)
    validation = experiment.validation()

    def train(snapshot: Snapshot, order_seed: int) -> Snapshot:
        progress.message(f"Connectivity: from step {snapshot.step:,}, data order {order_seed}.")
        snapshot.restore(model)
        own_order = sub_seed(seed, "connectivity", str(order_seed))
        return _train_to(experiment, model, own_order, snapshot.step, experiment.recipe.train.steps)

    def error(model: keras.Model) -> float:
        return 1.0 - model.evaluate(validation, verbose=0, return_dict=True)["accuracy"]

    return scan(
        model,
        _states_at(experiment, model, seed, sorted(set(table.steps))),
        train=train,
        evaluate=error,
        pairs=table.pairs,
        points=table.points,
        recalibrate=_recalibration_batches(experiment, model, seed),
    )


def _states_at(
    experiment: Experiment, model: keras.Model, seed: int, steps: Sequence[int]
) -> list[Snapshot]:
    """The network at each of the steps of one training run."""
    state = Snapshot.capture(model, step=0)
    states = []
    for step in steps:
        state = _train_to(experiment, model, seed, state.step, step)
        states.append(state)
    return states


def _train_to(
    experiment: Experiment, model: keras.Model, order_seed: int, begin: int, end: int
) -> Snapshot:
    feed = experiment.feed(order_seed)
    feed.seek(begin)
    chunks = (end - begin) // feed.chunk_steps
    if chunks:
        model.fit(**feed.fit_arguments(), epochs=chunks, callbacks=[ChunkedFit(feed)], verbose=0)
    return Snapshot.capture(model, step=end)


def _recalibration_batches(
    experiment: Experiment, model: keras.Model, seed: int
) -> list[Any] | None:
    if not any(normalizes_by_batch(layer) for layer in flat_layers(model)):
        return None
    batches = experiment.feed(seed).dataset(endless=True).take(_RECALIBRATION_BATCHES)
    return [x for x, _ in batches]
