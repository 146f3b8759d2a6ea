"""Networks to export, and one of them exported once for many questions."""

from __future__ import annotations

import pickle
from dataclasses import dataclass, replace

import keras
import numpy as np
from sklearn.datasets import load_digits

from tfticket.export import ExportReport, Preprocessing, to_tflite
from tfticket.sparsity import Mask, set_mask, sparsify
from tfticket.state import prunable_variables

layers = keras.layers

EXPORTED = ("fp32", "fp16", "dynamic", "int8", "int4", "sparse_fc")
"""All formats but `sparse_fc_fast`, which so small a network has no use for."""


def digits():
    """Real images, shape (n, 8, 8, 1), in [0, 1], and their labels: first 1,000 to train on."""
    x, y = load_digits(return_X_y=True)
    return (x.reshape(-1, 8, 8, 1) / 16).astype("float32"), y.astype(int)


def convnet():
    """Convolution, normalization, a depthwise kernel, and dense layers, all with small shapes."""
    return keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Conv2D(6, 3, padding="same", use_bias=False, name="conv"),
            layers.BatchNormalization(name="norm"),
            layers.ReLU(),
            layers.DepthwiseConv2D(3, name="depthwise"),
            layers.Flatten(),
            layers.Dense(24, activation="relu", name="hidden"),
            layers.Dense(10, name="output"),
        ]
    )


def pruned(model, density=0.4, seed=0):
    """A sparsified copy with a random mask."""
    rng = np.random.default_rng(seed)
    kernels = prunable_variables(model)
    sparse = sparsify(model)
    set_mask(sparse, Mask({key: rng.random(k.shape) < density for key, k in kernels.items()}))
    return sparse


@dataclass(frozen=True)
class Exported:
    """A sparse network that has learned the digits, and its files in all formats."""

    model: keras.Model
    x: np.ndarray
    y: np.ndarray
    reports: dict[str, ExportReport]


def train_sparse():
    """A sparse network that has learned the digits, and the data."""
    keras.utils.set_random_seed(3)
    x, y = digits()
    model = pruned(convnet())
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.01), loss, jit_compile=False)
    model.fit(x[:1000], y[:1000], epochs=6, batch_size=50, verbose=0)
    return model, x, y


def train_and_export(folder):
    """Fill a folder with a trained network, its files and their reports; see `load_exported`."""
    model, x, y = train_sparse()
    reports = {
        format: to_tflite(
            model,
            folder / f"net.{format}.tflite",
            format=format,
            calibration=x[:200],
            check_on=(x[1000:1300], y[1000:1300]),
            preprocessing=Preprocessing.of(1 / 16, 0.0),
            provenance={"seed": 3},
        )
        for format in EXPORTED
    }
    model.save(folder / "model.keras")
    (folder / "reports.pickle").write_bytes(pickle.dumps(reports))


def load_exported(folder):
    """What `train_and_export` left in a folder, wherever it was moved since."""
    reports = pickle.loads((folder / "reports.pickle").read_bytes())
    reports = {
        format: replace(report, path=folder / report.path.name)
        for format, report in reports.items()
    }
    model = keras.models.load_model(folder / "model.keras", compile=False)
    return Exported(model, *digits(), reports)
