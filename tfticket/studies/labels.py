"""From the noise of a recipe to wrong labels: the same ones for all trials of a seed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from tfticket import noise as noisy
from tfticket.data import DataSet, Split, load_whole
from tfticket.errors import DataError
from tfticket.noise import Corruption, TransitionMatrix
from tfticket.noise.labels.transition import named_transition
from tfticket.recipe.noise import BY_LOOKS, Noise
from tfticket.seeds import generator, sub_seed


def training_labels(data: DataSet, noise: Noise, seed: int) -> Corruption:
    """Return the labels of the training data, before and after.

    Args:
        data: The data set, with the labels that it came with.
        noise: How they are made wrong.
        seed: Of the run; the noise has streams of its own.

    Raises:
        DataError: when the noise isn't for such data.
    """
    return _corrupted(data, data.train, data.train_ids, noise, seed)


def validation_labels(data: DataSet, noise: Noise, seed: int) -> Corruption:
    """Return the labels of the validation data, made wrong in the same way."""
    own = sub_seed(seed, "validation noise")
    return _corrupted(data, data.validation, data.validation_ids, noise, own)


def relabeled(split: Split, given: np.ndarray) -> Split:
    """Return the same examples under other labels.

    Args:
        split: Examples.
        given: Their labels, shape (n,), integers.
    """
    return replace(split, y=given.astype(np.int32))


def with_labels(data: DataSet, noise: Noise, seed: int, corruption: Corruption) -> DataSet:
    """Return the data with wrong labels for training and validation.

    Args:
        data: The data set, with the labels that it came with.
        noise: How labels are made wrong.
        seed: Of the run.
        corruption: The training labels.
    """
    held_out = validation_labels(data, noise, seed)
    return replace(
        data,
        train=relabeled(data.train, corruption.given),
        validation=relabeled(data.validation, held_out.given),
    )


def receipt(corruption: Corruption) -> dict[str, Any]:
    """Return what was asked for and what came out; the matrices would be long as text."""
    facts = corruption.to_dict()
    return {name: facts[name] for name in facts if name not in ("nominal", "realized")}


def transition(noise: Noise, num_classes: int) -> TransitionMatrix:
    """Return the transition matrix of a noise that has one.

    Raises:
        DataError: when there is none for so many classes.
    """
    matrix = (
        TransitionMatrix(np.array(noise.matrix))
        if noise.kind == "matrix"
        else named_transition(noise.kind, num_classes, noise.rate)
    )
    if matrix.num_classes != num_classes:
        raise DataError(
            f"{noise.kind} noise must meet data of {matrix.num_classes} classes. Received: data "
            f"of {num_classes}. Choose another noise."
        )
    return matrix


def _corrupted(data: DataSet, split: Split, ids: np.ndarray, noise: Noise, seed: int) -> Corruption:
    labels, num_classes = split.y.astype(np.int64), data.num_classes
    if noise.kind == "none":
        return noisy.given_labels(labels, labels, num_classes=num_classes)
    if noise.kind in BY_LOOKS:
        draw = noisy.human_like if noise.kind == "human_like" else noisy.instance_dependent
        return draw(split.x, labels, num_classes=num_classes, rate=noise.rate, seed=seed)
    if noise.path is not None:
        given = noisy.read_label_file(
            noise.path, num_classes=num_classes, class_names=data.class_names
        )
        if len(given) != data.source_count:
            raise DataError(
                f"`{noise.path}` must hold a label for each of the {data.source_count:,} training "
                f"examples of `{data.name}`, in their order. Received: {len(given):,}."
            )
        return noisy.given_labels(labels, given[ids], num_classes=num_classes)
    return noisy.corrupt(labels, transition(noise, num_classes), seed=seed, exact=noise.exact)


def foreign_data(
    noises: Iterable[Noise], data: DataSet, data_dir: Path | None
) -> dict[str, DataSet]:
    """Return name to data set of all that takes the place of examples.

    Args:
        noises: Those of a recipe.
        data: The data set whose examples give way.
        data_dir: The directory of data sets.

    Raises:
        DataError: when one can't be had, its examples have another form, or there are too few.
    """
    found: dict[str, DataSet] = {}
    for noise in noises:
        if noise.foreign is None:
            continue
        if noise.foreign not in found:
            found[noise.foreign] = load_whole(noise.foreign, data_dir=data_dir)
        other = found[noise.foreign].train
        own, needed = data.train.x, sum(_counts(data, noise))
        if (other.x.shape[1:], other.x.dtype) != (own.shape[1:], own.dtype):
            raise DataError(
                f"Examples of `{noise.foreign}` must have the form of those of `{data.name}`, "
                f"{own.shape[1:]} {own.dtype}, to take their place. Received: "
                f"{other.x.shape[1:]} {other.x.dtype}. Choose another data set, or bring it into "
                "that form in an .npz file."
            )
        if len(other) < needed:
            raise DataError(
                f"`{noise.foreign}` must have an example for each of the {needed:,} of "
                f"`{data.name}` that are replaced. Received: {len(other):,}. Lower the rate."
            )
    return found


def open_training(
    data: DataSet, noise: Noise, seed: int, foreign: Mapping[str, DataSet]
) -> tuple[np.ndarray, Corruption]:
    """Return the training inputs, some of them foreign, and their labels.

    Args:
        data: The data set.
        noise: Of the kind `open_set`.
        seed: Of the run.
        foreign: What `foreign_data` gave.

    Returns:
        Inputs, shape (n, *input_shape), and the labels, whose true ones are -1 where replaced.
    """
    count, _ = _counts(data, noise)
    chosen = _order(noise, seed, foreign)[:count]
    return _replaced(data, data.train, noise, seed, foreign, chosen)


def open_validation(
    data: DataSet, noise: Noise, seed: int, foreign: Mapping[str, DataSet]
) -> tuple[np.ndarray, Corruption]:
    """Return the same of the validation data; no foreign example is in both."""
    before, count = _counts(data, noise)
    chosen = _order(noise, seed, foreign)[before : before + count]
    own = sub_seed(seed, "validation noise")
    return _replaced(data, data.validation, noise, own, foreign, chosen)


def _replaced(
    data: DataSet,
    split: Split,
    noise: Noise,
    seed: int,
    foreign: Mapping[str, DataSet],
    chosen: np.ndarray,
) -> tuple[np.ndarray, Corruption]:
    assert noise.foreign is not None  # the rules ask for it
    return noisy.open_set(
        split.x,
        split.y.astype(np.int64),
        foreign=foreign[noise.foreign].train.x[chosen],
        num_classes=data.num_classes,
        rate=noise.rate,
        seed=seed,
    )


def _order(noise: Noise, seed: int, foreign: Mapping[str, DataSet]) -> np.ndarray:
    assert noise.foreign is not None  # the rules ask for it
    return generator(seed, "foreign examples").permutation(len(foreign[noise.foreign].train))


def _counts(data: DataSet, noise: Noise) -> tuple[int, int]:
    """Return the numbers of training and validation examples to replace."""
    return round(len(data.train) * noise.rate), round(len(data.validation) * noise.rate)
