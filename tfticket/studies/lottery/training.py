"""Train the networks of a recipe of the kind `lottery`: one search per seed."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

import keras
import tensorflow as tf

from tfticket.data import ChunkedFit, Feed
from tfticket.errors import ModelError
from tfticket.lottery.connectivity import ConnectivityScan, scan
from tfticket.lottery.over_seeds.store import Measure, RunStore
from tfticket.recipe.rates import forget_graphs
from tfticket.runs.progress import Progress
from tfticket.runs.rundir import RunDir
from tfticket.seeds import sub_seed
from tfticket.state import Snapshot
from tfticket.studies.training import SearchListener, statistics_batches

if TYPE_CHECKING:
    from tfticket.studies.lottery.study import LotteryStudy

_RECALIBRATION_BATCHES = 20


def search_tickets(
    study: LotteryStudy,
    run: RunDir,
    progress: Progress,
    seed: int,
    branches: Collection[str] | None = None,
    *,
    prefix: str = "",
    measure: Measure | None = None,
) -> None:
    """Train what isn't finished yet of one seed.

    Args:
        study: The study.
        run: Open for writing.
        progress: The listener.
        seed: The seed.
        branches: Tickets, or the controls to train; those need finished tickets. All if None.
        prefix: See `RunStore`.
        measure: See `RunStore`.
    """
    model = placed_model(study, seed)
    feed = study.feed(seed)
    search = study.search(
        seed,
        model,
        feed=feed,
        store=RunStore(
            run,
            seed,
            branches=branches,
            keep_slots=study.recipe.lottery.rewind == "none",
            prefix=prefix,
            measure=measure,
        ),
        listener=SearchListener(progress, seed, prefix),
        provenance={
            "recipe": study.recipe.name,
            "data": study.data.description,
            "data_fingerprint": study.data.fingerprint,
        },
    )
    if search.pending():
        model.fit(
            **placed_data(model, feed),
            epochs=search.epochs(steps_per_epoch=feed.chunk_steps),
            validation_data=study.validation(),
            callbacks=[search, ChunkedFit(feed)],
            verbose=0,
        )
    forget_graphs()


def scan_connectivity(study: LotteryStudy, progress: Progress) -> ConnectivityScan:
    """Train pairs of copies of the first seed's network from each step that the recipe names.

    The copies share everything but the order of the data. Errors are those of the validation data,
    so that the recommended step owes nothing to the test data. The statistics of batch
    normalization are measured anew at each point of a line.

    Args:
        study: Of a recipe with a `connectivity` table.
        progress: The listener.
    """
    table = study.recipe.connectivity
    assert table is not None  # the caller asks only when there is one
    seed = study.recipe.seeds[0]
    model = study.model(seed)
    validation = study.validation()

    def train(snapshot: Snapshot, order_seed: int) -> Snapshot:
        progress.message(f"Connectivity: from step {snapshot.step:,}, data order {order_seed}.")
        snapshot.restore(model)
        own_order = sub_seed(seed, "connectivity", str(order_seed))
        return _train_to(study, model, own_order, snapshot.step, study.recipe.train.steps)

    def error(model: keras.Model) -> float:
        found = model.evaluate(validation, verbose=0, return_dict=True)
        return 1.0 - float(found["accuracy"])

    return scan(
        model,
        _states_at(study, model, seed, sorted(set(table.steps))),
        train=train,
        evaluate=error,
        pairs=table.pairs,
        points=table.points,
        recalibrate=statistics_batches(
            model, study.feed(seed), _RECALIBRATION_BATCHES * study.recipe.data.batch_size
        ),
    )


def _states_at(
    study: LotteryStudy, model: keras.Model, seed: int, steps: Sequence[int]
) -> list[Snapshot]:
    """The network at each of the steps of one training run."""
    state = Snapshot.capture(model, step=0)
    states = []
    for step in steps:
        state = _train_to(study, model, seed, state.step, step)
        states.append(state)
    return states


def _train_to(
    study: LotteryStudy, model: keras.Model, order_seed: int, begin: int, end: int
) -> Snapshot:
    feed = study.feed(order_seed)
    feed.seek(begin)
    chunks = (end - begin) // feed.chunk_steps
    if chunks:
        model.fit(**feed.fit_arguments(), epochs=chunks, callbacks=[ChunkedFit(feed)], verbose=0)
    return Snapshot.capture(model, step=end)


def placed_model(study: LotteryStudy, seed: int) -> keras.Model:
    """Return the network of a seed, whose `fit` uses the devices that the recipe names.

    With `train.distribute = "mirrored"` each batch is dealt to all GPUs of the machine, or to all
    its logical processors, by `tf.distribute.MirroredStrategy`. What Keras 3.15 and TensorFlow
    2.21 can't do then is left out: many steps in one call (a placeholder isn't fed), XLA
    (variables of other devices), and batches that don't divide evenly (`evaluate` adds them up).

    Raises:
        ModelError: when there are no two devices, or batches can't be dealt evenly.
    """
    if study.recipe.train.distribute == "none":
        return study.model(seed)
    devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    if len(devices) < 2:
        raise ModelError(
            'train.distribute = "mirrored" needs two devices or more. Received: '
            f"{', '.join(device.name for device in devices)}. Leave it out."
        )
    _check_batches(study, len(devices))
    with tf.distribute.MirroredStrategy([device.name for device in devices]).scope():
        model = study.model(seed)
    model.steps_per_execution = 1
    model.jit_compile = False
    return model


def placed_data(model: keras.Model, feed: Feed) -> dict[str, Any]:
    """Return the keywords of `model.fit` with which each of its epochs is a chunk of the feed.

    For several devices batches are fetched ahead. A search sets the feed to another step between
    two chunks, so each chunk is a data set of its own then, which nothing is fetched beyond.

    Args:
        model: Of `placed_model`.
        feed: The training data.
    """
    if model.distribute_strategy.num_replicas_in_sync == 1:
        return feed.fit_arguments()
    return {"x": feed.dataset(), "shuffle": False}


def _check_batches(study: LotteryStudy, devices: int) -> None:
    sizes = {"data.batch_size": {study.recipe.data.batch_size}}
    evaluated = {"validation": study.validation(), "test": study.test()}
    for name, batches in evaluated.items():
        sizes[f"{name} batches"] = {len(y) for _, y in batches}
    for name, found in sizes.items():
        uneven = sorted(size for size in found if size % devices)
        if uneven:
            raise ModelError(
                f'train.distribute = "mirrored" needs batches that {devices} devices share evenly. '
                f"Received: {name} of {uneven[0]}. Change data.batch_size, or the number of "
                "examples by data.validation and data.limit."
            )
