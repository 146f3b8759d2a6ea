"""Makes the models that `fuzz` damages: `python fuzz_models.py FOLDER`."""

import sys
from pathlib import Path

import keras
import numpy as np

from tfticket.models import lenet_300_100, save_file
from tfticket.norms.swap import swap_norm
from tfticket.sparsity import Mask, sparsify

layers = keras.layers


def _models() -> dict[str, keras.Model]:
    image = keras.Input((12, 12, 3))
    x = layers.Conv2D(4, 3, activation="relu", kernel_regularizer="l2")(image)
    x = layers.BatchNormalization()(x)
    y = layers.Conv2D(4, 3, padding="same", activation=keras.activations.gelu)(x)
    x = keras.ops.relu(x + y)[:, :4]
    x = layers.GlobalAveragePooling2D()(x)
    graph = keras.Model(image, layers.Dense(4, kernel_constraint="max_norm")(x))
    graph.compile("adam", "mse")
    text = layers.TextVectorization(max_tokens=20, output_sequence_length=5)
    text.adapt(["a b c", "c d"])
    words = keras.Sequential(
        [keras.Input((), dtype="string"), text, layers.Embedding(20, 3), layers.LSTM(4)]
    )
    dense = lenet_300_100((12,), 3, width=0.05)
    kernels = {"dense1/kernel": (12, 15), "dense2/kernel": (15, 5), "output/kernel": (5, 3)}
    kept = {key: np.random.default_rng(0).random(shape) < 0.5 for key, shape in kernels.items()}
    return {
        "graph": graph,
        "words": words,
        "sparse": sparsify(dense, Mask(kept)),
        "swapped": swap_norm(graph, "group")[0],
    }


def main(folder: Path) -> None:
    """Fills the folder."""
    for name, model in _models().items():
        save_file(model, folder / f"{name}.keras")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
