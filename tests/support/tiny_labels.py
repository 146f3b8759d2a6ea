"""Data that a small network learns at once, with labels that are partly wrong."""

from __future__ import annotations

import numpy as np

from tfticket.noise import CleanSplit, Network, estimate_noise

CLASSES = 3
NETWORK = Network("lenet_300_100", width=0.1, epochs=25, batch_size=30, learning_rate=0.01)
OPTIONS = ["--model", "lenet_300_100", "--width", "0.1", "--epochs", "25"]
OPTIONS += ["--batch-size", "30", "--learning-rate", "0.01"]


def write_images(path, *, count=300, seed=0):
    """An `.npz` of gray images of 4x4 whose class is the bright row, named by `data.load`."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, CLASSES, count)
    x = rng.integers(0, 60, (count, 4, 4))
    x[np.arange(count), y] += 180
    np.savez(
        path, x_train=x.astype(np.uint8), y_train=y, x_test=x[:9].astype(np.uint8), y_test=y[:9]
    )
    return f"npz:{path}"


def split_of(given, true, *, sure=0.96):
    """What networks leave that know the true labels quite well."""
    probabilities = np.full((len(true), CLASSES), (1 - sure) / (CLASSES - 1), np.float32)
    probabilities[np.arange(len(true)), true] = sure
    agrees = given == true
    everyone = np.arange(len(true))
    return CleanSplit(
        clean=everyone[agrees],
        candidate=everyone[~agrees],
        removed=everyone[:0],
        labels=given,
        probabilities=probabilities,
        votes=np.stack([np.ones(len(true), np.int64), agrees], axis=1),
        estimate=estimate_noise(given, probabilities),
    )
