"""`python -m tfticket.bench.peers.tfmot`: LeNet-300-100 pruned by tensorflow-model-optimization.

Its own way: a tf_keras model wrapped by `prune_low_magnitude` at a constant sparsity, with the
callback that it needs, trained by `fit` of NumPy arrays. What it prunes is chosen anew every 100
steps, its default. The batch size and Adam are ours, all else is by default.
"""

from __future__ import annotations

import os

os.environ["TF_USE_LEGACY_KERAS"] = "1"

import numpy as np
import tensorflow_model_optimization as tfmot

from tfticket.bench.peers.legacy_networks import compiled, lenet
from tfticket.bench.tasks import serve
from tfticket.bench.workloads import DENSITY, WORKLOADS, Workload


class Training:
    """A pruned network that is trained on and on.

    Args:
        workload: What is trained: an epoch a run.
    """

    def __init__(self, workload: Workload) -> None:
        self._workload = workload
        pruning = tfmot.sparsity.keras
        schedule = pruning.ConstantSparsity(1 - DENSITY, begin_step=0)
        network = pruning.prune_low_magnitude(
            lenet(self._workload.input_shape), pruning_schedule=schedule
        )
        self.model = compiled(network, self._workload)
        self._callbacks = [pruning.UpdatePruningStep()]
        x, self._y = self._workload.arrays()
        self._x = x.astype(np.float32) / 255

    def __call__(self) -> None:
        """Trains an epoch."""
        self.model.fit(
            self._x,
            self._y,
            batch_size=self._workload.batch_size,
            callbacks=self._callbacks,
            verbose=0,
        )


if __name__ == "__main__":
    serve(Training(WORKLOADS["lenet_300_100"]))
