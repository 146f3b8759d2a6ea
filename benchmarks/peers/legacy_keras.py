"""`python -m benchmarks.peers.legacy_keras NETWORK | tfmot`: tf_keras, and tfmot upon it.

tf_keras is the Keras that TensorFlow had until version 2.15.

- `conv2`, `resnet20`: `fit` without masks. Batches come from a `tf.data` pipeline without
  autotuning, whose thread can stall the end of an epoch, and without shuffling, which only spares
  it work. All else is by default.
- `tfmot`: LeNet-300-100 pruned by tensorflow-model-optimization in its own way: wrapped by
  `prune_low_magnitude` at a constant sparsity, with the callback that it needs, trained by `fit` of
  NumPy arrays. It selects the weights to prune anew every 100 steps, its default. The batch size
  and Adam are ours, all else is by default.
"""

from __future__ import annotations

import os

os.environ["TF_USE_LEGACY_KERAS"] = "1"

import sys
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras

from benchmarks.tasks import serve
from benchmarks.workloads import CLASSES, DENSITY, WORKLOADS, Workload

layers = tf_keras.layers


class Training:
    """A network that is trained further at each call.

    Args:
        workload: What to train, and how long a run is.
    """

    def __init__(self, workload: Workload) -> None:
        self._steps = workload.steps
        build = {"conv2": conv2, "resnet20": resnet20}[workload.network]
        self.model = compiled(build(workload.input_shape), workload)
        options = tf.data.Options()
        options.autotune.enabled = False
        self._batches = (
            tf.data.Dataset.from_tensor_slices(workload.arrays())
            .repeat()
            .batch(workload.batch_size, drop_remainder=True)
            .map(lambda x, y: (tf.cast(x, tf.float32) / 255, y))
            .prefetch(2)
            .with_options(options)
        )

    def __call__(self) -> None:
        """Train the steps of a run."""
        self.model.fit(self._batches, steps_per_epoch=self._steps, verbose=0)


class PrunedTraining:
    """LeNet-300-100 pruned by tfmot and trained further at each call.

    Args:
        workload: What to train; a run is an epoch.
    """

    def __init__(self, workload: Workload) -> None:
        import tensorflow_model_optimization as tfmot  # takes long, and only this one needs it

        self._batch_size = workload.batch_size
        pruning = tfmot.sparsity.keras
        network = pruning.prune_low_magnitude(
            lenet(workload.input_shape),
            pruning_schedule=pruning.ConstantSparsity(1 - DENSITY, begin_step=0),
        )
        self.model = compiled(network, workload)
        self._callbacks = [pruning.UpdatePruningStep()]
        x, self._y = workload.arrays()
        self._x = x.astype(np.float32) / 255

    def __call__(self) -> None:
        """Train an epoch."""
        self.model.fit(
            self._x, self._y, batch_size=self._batch_size, callbacks=self._callbacks, verbose=0
        )


def lenet(input_shape: tuple[int, ...]) -> Any:
    """Build LeNet-300-100."""
    return tf_keras.Sequential(
        [
            layers.Flatten(input_shape=input_shape),
            layers.Dense(300, "relu"),
            layers.Dense(100, "relu"),
            layers.Dense(CLASSES),
        ]
    )


def conv2(input_shape: tuple[int, ...]) -> Any:
    """Build Conv-2."""
    return tf_keras.Sequential(
        [
            layers.Conv2D(64, 3, padding="same", activation="relu", input_shape=input_shape),
            layers.Conv2D(64, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dense(256, "relu"),
            layers.Dense(256, "relu"),
            layers.Dense(CLASSES),
        ]
    )


def resnet20(input_shape: tuple[int, ...]) -> Any:
    """Build ResNet-20 for CIFAR."""

    def normalized(x: Any, channels: int, size: int, strides: int) -> Any:
        x = layers.Conv2D(channels, size, strides, padding="same", use_bias=False)(x)
        return layers.BatchNormalization()(x)

    inputs = layers.Input(input_shape)
    x = layers.ReLU()(normalized(inputs, 16, 3, 1))
    for channels in (16, 32, 64):
        for block in range(3):
            strides = 2 if block == 0 and channels > 16 else 1
            y = layers.ReLU()(normalized(x, channels, 3, strides))
            y = normalized(y, channels, 3, 1)
            shortcut = normalized(x, channels, 1, strides) if strides > 1 else x
            x = layers.ReLU()(layers.Add()([y, shortcut]))
    x = layers.GlobalAveragePooling2D()(x)
    return tf_keras.Model(inputs, layers.Dense(CLASSES)(x))


def compiled(model: Any, workload: Workload) -> Any:
    """Compile the model with Adam and accuracy, all else by default, and return it."""
    model.compile(
        tf_keras.optimizers.Adam(workload.learning_rate),
        tf_keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    return model


if __name__ == "__main__":
    if sys.argv[1] == "tfmot":
        serve(PrunedTraining(WORKLOADS["lenet_300_100"]))
    else:
        serve(Training(WORKLOADS[sys.argv[1]]), warm_up=3)
