"""Open-set noise: examples of another data set take the place of some, under the old labels."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from tfticket import noise as noisy
from tfticket.data import DataSet, Split, load_whole
from tfticket.errors import DataError
from tfticket.noise import Corruption
from tfticket.recipe.noise import Noise
from tfticket.seeds import generator, sub_seed


def foreign_data(
    noises: Iterable[Noise], data: DataSet, data_dir: Path | None
) -> dict[str, DataSet]:
    """Name to data set of all that takes the place of examples.

    Args:
        noises: Those of a recipe.
        data: The data set whose examples give way.
        data_dir: Where data sets lie.

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
    """The training inputs, some of them foreign, and their labels.

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
    """The same of the validation data; no foreign example is in both. See `open_training`."""
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
    """How many training and validation examples are replaced."""
    return round(len(data.train) * noise.rate), round(len(data.validation) * noise.rate)
