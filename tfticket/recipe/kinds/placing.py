"""On which devices the networks of a search are trained."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from tfticket.data import Feed
from tfticket.errors import ModelError
from tfticket.recipe.experiment import Experiment


def placed_model(experiment: Experiment, seed: int) -> keras.Model:
    """The network of a seed, whose `fit` takes the devices that the recipe says.

    With `train.distribute = "mirrored"` each batch is dealt to all GPUs of the machine, or to all
    its logical processors, by `tf.distribute.MirroredStrategy`. What Keras 3.15 and TensorFlow
    2.21 can't do then is left out: many steps in one call (a placeholder isn't fed), XLA
    (variables of other devices), and batches that don't divide evenly (`evaluate` adds them up).

    Args:
        experiment: The recipe with its data.
        seed: The seed.

    Raises:
        ModelError: when there are no two devices, or batches can't be dealt evenly.
    """
    if experiment.recipe.train.distribute == "none":
        return experiment.model(seed)
    devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    if len(devices) < 2:
        raise ModelError(
            'train.distribute = "mirrored" needs two devices or more. Received: '
            f"{', '.join(device.name for device in devices)}. Leave it out."
        )
    _check_batches(experiment, len(devices))
    with tf.distribute.MirroredStrategy([device.name for device in devices]).scope():
        model = experiment.model(seed)
    model.steps_per_execution = 1
    model.jit_compile = False
    return model


def placed_data(model: keras.Model, feed: Feed) -> dict[str, Any]:
    """What `model.fit` takes as keywords, so that each of its epochs is a chunk of the feed.

    For several devices batches are fetched ahead. A search sets the feed to another step between
    two chunks, so each chunk is a data set of its own then, which nothing is fetched beyond.

    Args:
        model: Of `placed_model`.
        feed: The training data.
    """
    if model.distribute_strategy.num_replicas_in_sync == 1:
        return feed.fit_arguments()
    return {"x": feed.dataset(), "shuffle": False}


def _check_batches(experiment: Experiment, devices: int) -> None:
    sizes = {"data.batch_size": {experiment.recipe.data.batch_size}}
    evaluated = {"validation": experiment.validation(), "test": experiment.test()}
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
