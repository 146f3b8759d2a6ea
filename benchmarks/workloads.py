"""Workloads of the benchmarks: a network, data of a shape, and a number of steps.

The data are random bytes in the shape of a data set, for all contenders: the time of a step doesn't
depend on what the images show, and nobody has to download them. Nothing here needs TensorFlow, so
that peers in other processes don't pay for importing it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

CLASSES = 10
DENSITY = 0.2  # of masks: 80 % of the weights are pruned
RATE = 0.2  # of searches: pruned share of the weights that are left


@dataclass(frozen=True)
class Workload:
    """A network and one run of its training.

    Attributes:
        network: Name of a network of the zoo.
        input_shape: Shape of an image, channels last.
        examples: Images in the training data.
        batch_size: Images in a batch.
        steps: Steps of a run.
        chunk_steps: Steps in one call of our training function.
        learning_rate: Of Adam.
    """

    network: str
    input_shape: tuple[int, int, int]
    examples: int
    batch_size: int
    steps: int
    chunk_steps: int
    learning_rate: float = 1.2e-3

    def arrays(self) -> tuple[np.ndarray, np.ndarray]:
        """Return uint8 images, shape (examples, *input_shape), and int32 labels, always alike."""
        rng = np.random.default_rng(0)
        x = rng.integers(0, 256, (self.examples, *self.input_shape), "uint8")
        return x, rng.integers(0, CLASSES, self.examples, "int32")

    def batches(self, rng: np.random.Generator) -> np.ndarray:
        """Return the indices of a run's batches, shape (steps, batch_size), int32."""
        count = self.steps * self.batch_size
        rounds = -(-count // self.examples)
        order = np.concatenate([rng.permutation(self.examples) for _ in range(rounds)])
        return order[:count].reshape(self.steps, self.batch_size).astype(np.int32)


def random_masks(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
    """Return boolean arrays, True = kept, with a share of `DENSITY` True."""
    rng = np.random.default_rng(1)
    return {name: rng.random(shape) < DENSITY for name, shape in shapes.items()}


WORKLOADS: dict[str, Workload] = {
    workload.network: workload
    for workload in (
        Workload("lenet_300_100", (28, 28, 1), 60_000, 60, steps=1000, chunk_steps=100),
        Workload("conv2", (32, 32, 3), 5000, 60, steps=20, chunk_steps=20),
        Workload("resnet20", (32, 32, 3), 5000, 128, steps=10, chunk_steps=10),
    )
}
