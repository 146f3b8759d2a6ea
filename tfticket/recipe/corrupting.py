"""From a noise in a recipe to wrong labels: the same ones for all that is trained with a seed."""

from __future__ import annotations

from typing import Any

import numpy as np

from tfticket import noisy
from tfticket.data import DataSet, Split
from tfticket.errors import DataError
from tfticket.noisy import Corruption, TransitionMatrix
from tfticket.recipe.noise import Noise
from tfticket.seeds import sub_seed


def training_labels(data: DataSet, noise: Noise, seed: int) -> Corruption:
    """The labels of the training data, before and after.

    Args:
        data: The data set, with the labels that it came with.
        noise: How they are made wrong.
        seed: Of the run; the noise has streams of its own.

    Raises:
        DataError: when the noise isn't for such data.
    """
    return _corrupted(data.train, data.num_classes, noise, seed)


def validation_labels(data: DataSet, noise: Noise, seed: int) -> Corruption:
    """The labels of the validation data, made wrong in the same way; see `training_labels`."""
    own = sub_seed(seed, "validation noise")
    return _corrupted(data.validation, data.num_classes, noise, own)


def relabeled(split: Split, given: np.ndarray) -> Split:
    """The same examples under other labels.

    Args:
        split: Examples.
        given: Their labels, shape (n,), integers.
    """
    return Split(split.x, given.astype(np.int32))


def receipt(corruption: Corruption) -> dict[str, Any]:
    """What was asked for and what came out, without the matrices: they'd be long as text."""
    facts = corruption.to_dict()
    return {name: facts[name] for name in facts if name not in ("nominal", "realized")}


def transition(noise: Noise, num_classes: int) -> TransitionMatrix:
    """The matrix of a noise that has one.

    Raises:
        DataError: when there is none for so many classes.
    """
    made: dict[str, Any] = {
        "symmetric": lambda: noisy.symmetric(num_classes, noise.rate),
        "symmetric_inclusive": lambda: noisy.symmetric(num_classes, noise.rate, inclusive=True),
        "pair": lambda: noisy.pair(num_classes, noise.rate),
        "cifar10_asymmetric": lambda: noisy.cifar10_asymmetric(noise.rate),
    }
    matrix: TransitionMatrix = made[noise.kind]()
    if matrix.num_classes != num_classes:
        raise DataError(
            f"{noise.kind} noise must meet data of {matrix.num_classes} classes. Received: data "
            f"of {num_classes}. Choose another noise."
        )
    return matrix


def _corrupted(split: Split, num_classes: int, noise: Noise, seed: int) -> Corruption:
    labels = split.y.astype(np.int64)
    if noise.kind == "none":
        return noisy.given_labels(labels, labels, num_classes=num_classes)
    if noise.kind == "instance":
        return noisy.instance_dependent(
            split.x, labels, num_classes=num_classes, rate=noise.rate, seed=seed
        )
    return noisy.corrupt(labels, transition(noise, num_classes), seed=seed, exact=noise.exact)
