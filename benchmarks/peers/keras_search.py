"""`python -m benchmarks.peers.keras_search NETWORKS`: our search in Keras alone.

As one writes it by the documentation of Keras: a loop in which a network gets its initial weights
and a constraint that multiplies by a mask, is compiled, trained by `fit` of NumPy arrays, and
evaluated, all by default. Networks, steps and data are ours.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import keras
import numpy as np

from benchmarks.workloads import CLASSES, RATE, WORKLOADS
from tfticket import data


class Keep(keras.constraints.Constraint):
    """A constraint that multiplies by a mask.

    Args:
        mask: 1 where a weight is kept, else 0.
    """

    def __init__(self, mask: np.ndarray) -> None:
        self.mask = keras.ops.convert_to_tensor(mask, "float32")

    def __call__(self, w: keras.KerasTensor) -> keras.KerasTensor:
        """Return the weight with its pruned entries at zero."""
        return w * self.mask


def search(digits: data.DataSet, networks: int, folder: Path) -> list[float]:
    """Save the tickets in the folder and return the test accuracies."""
    workload = WORKLOADS["lenet_300_100"]
    x, y, x_test, y_test = (
        digits.train.x.astype("float32") * digits.scale,
        digits.train.y,
        digits.test.x.astype("float32") * digits.scale,
        digits.test.y,
    )
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input(digits.input_shape),
            keras.layers.Flatten(),
            keras.layers.Dense(300, "relu", kernel_initializer="glorot_normal"),
            keras.layers.Dense(100, "relu", kernel_initializer="glorot_normal"),
            keras.layers.Dense(CLASSES, kernel_initializer="glorot_normal"),
        ]
    )
    hidden = [layer.kernel for layer in model.layers[1:3]]
    initial = model.get_weights()
    masks = [np.ones(kernel.shape, bool) for kernel in hidden]
    accuracies = []
    for level in range(networks):
        if level:
            masks = pruned([kernel.numpy() for kernel in hidden], masks)
        model.set_weights(initial)
        for kernel, mask in zip(hidden, masks, strict=True):
            kernel.assign(kernel * mask)
            kernel.constraint = Keep(mask)
        model.compile(
            keras.optimizers.Adam(workload.learning_rate),
            keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            metrics=["accuracy"],
        )
        np.savez(folder / f"level_{level:02}.npz", *masks, *model.get_weights())
        model.fit(x, y, batch_size=workload.batch_size, verbose=0)
        accuracies.append(model.evaluate(x_test, y_test, verbose=0)[1])
    return accuracies


def pruned(weights: list[np.ndarray], masks: list[np.ndarray]) -> list[np.ndarray]:
    """Return masks without a share of the smallest weights of all layers together."""
    alive = np.concatenate([np.abs(w[mask]) for w, mask in zip(weights, masks, strict=True)])
    threshold = np.sort(alive)[round(RATE * alive.size)]
    return [mask & (np.abs(w) >= threshold) for w, mask in zip(weights, masks, strict=True)]


def main(networks: int) -> None:
    """Search, and print the test accuracies."""
    with tempfile.TemporaryDirectory() as folder:
        accuracies = search(data.load_whole("mnist"), networks, Path(folder))
    print(*(f"{accuracy:.4f}" for accuracy in accuracies))


if __name__ == "__main__":
    main(int(sys.argv[1]))
