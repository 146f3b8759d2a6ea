"""`python -m tfticket.bench.peers.legacy_fit NETWORK`: `fit` of tf_keras, without masks.

Batches come from a `tf.data` pipeline without autotuning, whose thread can stall the end of an
epoch, and without shuffling, which only spares it work. All else is by default.
"""

from __future__ import annotations

import os

os.environ["TF_USE_LEGACY_KERAS"] = "1"

import sys

import tensorflow as tf

from tfticket.bench.peers import legacy_networks
from tfticket.bench.tasks import serve
from tfticket.bench.workloads import WORKLOADS, Workload


class Training:
    """A network that is trained on and on.

    Args:
        workload: What is trained, and how long a run is.
    """

    def __init__(self, workload: Workload) -> None:
        self._workload = workload
        build = {"conv2": legacy_networks.conv2, "resnet20": legacy_networks.resnet20}
        network = build[workload.network](workload.input_shape)
        self.model = legacy_networks.compiled(network, workload)
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
        """Trains the steps of a run."""
        self.model.fit(self._batches, steps_per_epoch=self._workload.steps, verbose=0)


if __name__ == "__main__":
    serve(Training(WORKLOADS[sys.argv[1]]), warm_up=3)
