"""`load`: from the name of a data set to arrays that are checked, split and ready to feed."""

from __future__ import annotations

import dataclasses
import hashlib
import os
from collections.abc import Callable
from typing import Any

import numpy as np

from tfticket.data import folder, sources, tables, tfds
from tfticket.data.arrays import pieces
from tfticket.data.checks import checked
from tfticket.data.dataset import DataSet, Source, Split
from tfticket.data.normalization import normalization
from tfticket.errors import DataError
from tfticket.seeds import generator
from tfticket.wording import did_you_mean

PathLike = str | os.PathLike[str]

NAMES = ("digits", "mnist1d", "mnist", "fashion_mnist", "cifar10", "cifar100", "linear",
         "friedman1", "shapes")  # fmt: skip
_WITHOUT_FILES = {
    "digits": sources.read_digits,
    "mnist1d": sources.read_mnist1d,
    "linear": sources.read_linear,
    "friedman1": sources.read_friedman1,
    "shapes": sources.read_shapes,
}
_PREFIXES = ("tfds", "folder", "npz", "csv", "parquet")
_TEST_SHARE = 0.2


def load(
    name: str,
    *,
    data_dir: PathLike | None = None,
    validation: int | float = 0.1,
    seed: int = 0,
    normalize: str = "auto",
    limit: int | None = None,
    input_shape: tuple[int | None, ...] | None = None,
    label_column: str | None = None,
) -> DataSet:
    """Load a data set by name: read, checked, split and ready to feed.

    `digits` comes with scikit-learn and `mnist1d` is generated; neither needs a network. The named
    sets of TensorFlow Datasets are looked for in `data_dir`, `$TFDS_DATA_DIR` and
    `~/tensorflow_datasets`, downloaded if they are in none of these, and kept decoded in the user's
    cache folder.

    The validation examples are drawn from the training data by `seed`, never from the test data. If
    a source has no test data, a fifth of its examples become test data, the same for every seed.

    Args:
        name: `digits`, `mnist1d` (see `sources.read_mnist1d`), `mnist`, `fashion_mnist`, `cifar10`,
            `cifar100`, `linear` and `friedman1` (regressions, see `sources.read_linear` and
            `read_friedman1`), `shapes` (a label a pixel, see `sources.read_shapes`), `tfds:NAME`
            (any image classification set of TensorFlow Datasets, as `NAME`, `NAME/CONFIG` or with
            `:VERSION`), `folder:PATH` (one folder of images a class, see `folder.read`),
            `npz:PATH` (see `sources.read_npz`), `csv:PATH` or `parquet:PATH` (a table with a column
            of labels, see `tables.read`).
        data_dir: Folder of data sets of TensorFlow Datasets, and the folder that a relative PATH
            starts from.
        validation: Part of the training data that is held out: a count of at least 1, or a share in
            (0, 1).
        seed: Seed of the run; decides which examples are held out.
        normalize: Scaling of the inputs. `none` leaves them as they are, for a model that was
            trained on the numbers of the source, or that scales them itself. `unit` scales to
            [0, 1] (bytes by 1/255; others only when they leave that range). `standard` scales to
            mean 0 and deviation 1 by channel or column, measured on `train`. `auto` chooses by what
            the inputs are, for a network that is to be trained: see `normalization`.
        limit: Most examples to keep of each split.
        input_shape: Shape of an example that a model takes. Arrays of shape (n, a, b) are gray
            images, which get a channel axis, unless it has two sides: then they are series, or the
            model takes images without that axis.
        label_column: Name of the column of labels in a table, as `csv:PATH?label=NAME` has it.

    Raises:
        DataError: when the name is unknown, the data can't be found, can't be used, or examples
            have no label.

    Example:
        >>> data = load("digits", validation=100)
        >>> data.train.x.shape, len(data.validation), len(data.test), data.num_classes
        ((1338, 8, 8, 1), 100, 359, 10)
    """
    source = checked(
        name,
        _read(
            name,
            data_dir,
            label_column=label_column,
            known=lambda count: _hold_out_test(name, count)[0],
        ),
        channel_axis=input_shape is None or len(input_shape) != 2,
    )
    pool, test, words = np.arange(len(source.train)), source.test, ""
    if test is None:
        pool, held = _hold_out_test(name, len(source.train))
        test = source.train.take(held)
        words = f" {len(test):,} examples were held out as test data."
    held_out = _validation_count(name, validation, len(pool))
    order = generator(seed, "validation").permutation(len(pool))
    _check_limit(limit)
    train_ids = np.sort(pool[order[held_out:][:limit]])
    validation_ids = np.sort(pool[order[:held_out][:limit]])
    return _data_set(
        name,
        dataclasses.replace(source, description=source.description + words),
        options=(held_out, seed),
        normalize=normalize,
        limit=limit,
        train=source.train.take(train_ids),
        validation=source.train.take(validation_ids),
        test=test.take(np.arange(len(test))[:limit]),
        train_ids=train_ids,
        validation_ids=validation_ids,
    )


def load_whole(
    name: str,
    *,
    data_dir: PathLike | None = None,
    normalize: str = "auto",
    limit: int | None = None,
    label_column: str | None = None,
    missing_labels: str = "refuse",
    unreadable: str = "refuse",
) -> DataSet:
    """Load all examples of a source in their order, to look at the labels themselves.

    Nothing is held out: an example's place in `train` is its place in the source's training data.
    `validation` is empty, and so is `test` if the source has no test data of its own.

    Args:
        name: As for `load`.
        data_dir: As for `load`.
        normalize: As for `load`.
        limit: Use only the first `limit` examples.
        label_column: As for `load`.
        missing_labels: `refuse` raises an error when an example has no label, `keep` has its label
            as -1.
        unreadable: `refuse` raises an error when files of a folder can't be read, `skip` leaves
            them out and lists them in `unreadable` of the data set; ids count the others.

    Raises:
        DataError: when the name is unknown, the data can't be found, or can't be used.

    Example:
        >>> data = load_whole("digits", limit=500)
        >>> len(data.train), len(data.validation), data.source_count
        (500, 0, 1797)
    """
    source = checked(
        name,
        _read(name, data_dir, label_column=label_column, unreadable=unreadable),
        missing_labels=missing_labels,
    )
    _check_limit(limit)
    train, nothing = source.train.first(limit), source.train.first(0)
    return _data_set(
        name,
        source,
        options=("whole",),
        normalize=normalize,
        limit=limit,
        train=train,
        validation=nothing,
        test=nothing if source.test is None else source.test,
        train_ids=np.arange(len(train)),
        validation_ids=np.arange(0),
    )


def _data_set(
    name: str,
    source: Source,
    *,
    options: tuple[object, ...],
    normalize: str,
    limit: int | None,
    train: Split,
    **splits: Any,
) -> DataSet:
    """Describe, normalize and fingerprint what was split.

    Args:
        name: What it was loaded by.
        source: What was read; its description is part of the data set's.
        options: How it was split, for the fingerprint.
        normalize: As for `load`.
        limit: As for `load`.
        train: The examples to train on.
        **splits: The other splits, and the ids.
    """
    fed = normalization(
        normalize, source.train.x, train.x, source.max_value, table=bool(source.features)
    )
    options = (*options, fed.key, limit)
    description = f"{source.description} {fed.words}"
    if source.standardized:
        mean, deviation = train.y.mean(axis=0), train.y.std(axis=0)
        train, splits = (
            _scaled(train, mean, deviation),
            {
                key: _scaled(each, mean, deviation) if isinstance(each, Split) else each
                for key, each in splits.items()
            },
        )
        shown = [", ".join(f"{value:.4g}" for value in each) for each in (mean, deviation)]
        description += f" Targets are standardized: less {shown[0]}, divided by {shown[1]}."
    return DataSet(
        name=name,
        train=train,
        **splits,
        num_classes=len(source.class_names),
        class_names=source.class_names,
        input_shape=tuple(int(size) for size in train.x.shape[1:]),
        scale=fed.scale,
        offset=fed.offset,
        description=description,
        source_count=len(source.train),
        fingerprint=hashlib.sha256(f"{_fingerprint(source)}{options}".encode()).hexdigest(),
        normalize=fed.kind,
        feeding=fed.words,
        unreadable=source.unreadable,
        features=source.features,
    )


def _scaled(split: Split, mean: np.ndarray, deviation: np.ndarray) -> Split:
    """Return a split with targets less a mean, divided by a deviation."""
    return dataclasses.replace(split, y=((split.y - mean) / deviation).astype(np.float32))


def _check_limit(limit: int | None) -> None:
    if limit is not None and limit < 1:
        raise DataError(f"`limit` must be at least 1. Received: limit={limit}.")


def _read(
    name: str,
    data_dir: PathLike | None,
    *,
    label_column: str | None = None,
    unreadable: str = "refuse",
    known: Callable[[int], np.ndarray] | None = None,
) -> Source:
    """Read a source.

    Args:
        name: As for `load`.
        data_dir: As for `load`.
        label_column: As for `load`.
        unreadable: As for `load_whole`.
        known: Of a table with so many rows, the places of those that its features are fitted on;
            None for all.
    """
    prefix, _, path = name.partition(":")
    is_table = prefix in ("csv", "parquet") and path
    if label_column is not None and not is_table:
        raise DataError(
            f"Only tables (csv:PATH, parquet:PATH) have a label column. Received: {name} with "
            f"label_column={label_column!r}."
        )
    if name in _WITHOUT_FILES:
        return _WITHOUT_FILES[name]()
    if name in NAMES:
        return tfds.read(name, data_dir)
    if prefix not in _PREFIXES or not path:
        raise DataError(
            f"No data set named {name!r}.{did_you_mean(name, NAMES)} It must be one of "
            f"{', '.join(NAMES)}, tfds:NAME, folder:PATH, npz:PATH, csv:PATH, parquet:PATH."
        )
    if is_table:
        return tables.read(name, data_dir, label_column=label_column, known=known)
    if prefix == "folder":
        return folder.read(path, data_dir, unreadable=unreadable)
    return (tfds.read if prefix == "tfds" else sources.read_npz)(path, data_dir)


def _fingerprint(source: Source) -> str:
    sha = hashlib.sha256()
    for split in (source.train, source.test):
        for array in () if split is None else (split.x, split.y):
            sha.update(f"{array.dtype.str}{array.shape}".encode())
            for piece in pieces(array):
                sha.update(np.ascontiguousarray(array[piece]).data)
    return sha.hexdigest()


def _hold_out_test(name: str, examples: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the places that are left, rising, and those of the test data."""
    count = round(examples * _TEST_SHARE)
    if not 0 < count < examples:
        raise DataError(
            f"`{name}` must have examples to train and to test on. Received: {examples}."
        )
    # Not by the run's seed: runs with other seeds must be comparable on the same test examples.
    order = generator(0, "test").permutation(examples)
    return np.sort(order[count:]), np.sort(order[:count])


def _validation_count(name: str, validation: int | float, available: int) -> int:
    share = isinstance(validation, float)
    count = round(validation * available) if share else int(validation)
    if (share and not 0 < validation < 1) or count < 1:
        raise DataError(
            "`validation` must be a count of at least 1 or a share between 0 and 1 that comes to "
            f"at least 1 example. Received: {validation} of {available:,} examples."
        )
    if count >= available:
        raise DataError(
            f"`validation` must leave something to train on. Received: {validation:,} of the "
            f"{available:,} training examples of `{name}`. Take fewer, or a share such as 0.1."
        )
    return count
