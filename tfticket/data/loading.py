"""`load`: from the name of a data set to arrays that are checked, split and ready to feed."""

from __future__ import annotations

import difflib
import hashlib
import os
from collections.abc import Callable, Iterator

import numpy as np

from tfticket.data import folder, sources, tfds
from tfticket.data.alignment import aligned_rows
from tfticket.data.checks import checked
from tfticket.data.dataset import DataSet, Source, Split
from tfticket.data.mapped import pieces
from tfticket.errors import DataError
from tfticket.seeds import generator

PathLike = str | os.PathLike[str]

NAMES = ("digits", "mnist1d", "mnist", "fashion_mnist", "cifar10", "cifar100", "linear")
_WITHOUT_FILES = {
    "digits": sources.read_digits,
    "mnist1d": sources.read_mnist1d,
    "linear": sources.read_linear,
}
_PREFIXES: dict[str, Callable[[str, PathLike | None], Source]] = {
    "tfds:": tfds.read,
    "folder:": folder.read,
    "npz:": sources.read_npz,
}
_TEST_SHARE = 0.2
_CHUNK = 1024


def load(
    name: str,
    *,
    data_dir: PathLike | None = None,
    validation: int | float = 0.1,
    seed: int = 0,
    normalize: str = "unit",
    limit: int | None = None,
) -> DataSet:
    """Loads a data set by name.

    `digits` comes with scikit-learn and `mnist1d` is generated; neither needs a network. The named
    sets of TensorFlow Datasets are looked for in `data_dir`, `$TFDS_DATA_DIR` and
    `~/tensorflow_datasets`, downloaded when they are in none of these, and kept decoded in the
    user's cache folder.

    The validation examples are drawn from the training data by `seed`, never from the test data. A
    source without test data gives a fifth of its examples for that, the same for every seed.

    Args:
        name: `digits`, `mnist1d` (see `sources.read_mnist1d`), `mnist`, `fashion_mnist`, `cifar10`,
            `cifar100`, `linear` (a regression, see `sources.read_linear`), `tfds:NAME` (any image
            classification set of TensorFlow Datasets, as `NAME`, `NAME/CONFIG` or with
            `:VERSION`), `folder:PATH` (one folder of images a class, see `folder.read`) or
            `npz:PATH` (see `sources.read_npz`).
        data_dir: Where data sets of TensorFlow Datasets lie, and the folder that a relative PATH
            starts from.
        validation: How much of the training data is held out: a count of at least 1, or a share in
            (0, 1).
        seed: Seed of the run; decides which examples are held out.
        normalize: `unit` scales values to [0, 1] (bytes by 1/255; floats only when they leave that
            range); `standard` to mean 0 and deviation 1 a channel, measured on `train`.
        limit: Keep at most so many examples of each split.

    Returns:
        The data set.

    Raises:
        DataError: when the name is unknown, the data is nowhere to be found, or can't be used.
    """
    source = checked(name, _read(name, data_dir))
    content = _fingerprint(source)
    everything, test, description = source.train, source.test, source.description
    pool = np.arange(len(everything))
    if test is None:
        pool, test = _hold_out_test(name, everything)
        description = f"{description} {len(test):,} examples were held out as test data."
    held_out = _validation_count(name, validation, len(pool))
    order = generator(seed, "validation").permutation(len(pool))
    if limit is not None and limit < 1:
        raise DataError(f"`limit` must be at least 1. Received: limit={limit}.")
    train_ids = np.sort(pool[order[held_out:][:limit]])
    validation_ids = np.sort(pool[order[:held_out][:limit]])
    train = _take(everything, train_ids)
    scale, offset = _normalization(normalize, train.x, source.max_value)
    options = (held_out, seed, normalize, limit)
    return DataSet(
        name=name,
        train=train,
        validation=_take(everything, validation_ids),
        test=_take(test, np.arange(len(test))[:limit]),
        num_classes=len(source.class_names),
        class_names=source.class_names,
        input_shape=tuple(int(size) for size in train.x.shape[1:]),
        scale=scale,
        offset=offset,
        description=description,
        train_ids=train_ids,
        validation_ids=validation_ids,
        source_count=len(everything),
        fingerprint=hashlib.sha256(f"{content}{options}".encode()).hexdigest(),
    )


def load_whole(
    name: str,
    *,
    data_dir: PathLike | None = None,
    normalize: str = "unit",
    limit: int | None = None,
) -> DataSet:
    """Loads all labeled examples of a source in their order, to look at the labels themselves.

    Nothing is held out: an example's place in `train` is its place in the source's training data.
    `validation` is empty, and so is `test` where the source has no test data of its own.

    Args:
        name: As for `load`.
        data_dir: As for `load`.
        normalize: As for `load`.
        limit: Keep only so many examples, the first ones.

    Raises:
        DataError: when the name is unknown, the data is nowhere to be found, or can't be used.
    """
    source = checked(name, _read(name, data_dir))
    if limit is not None and limit < 1:
        raise DataError(f"`limit` must be at least 1. Received: limit={limit}.")
    train = Split(source.train.x[:limit], source.train.y[:limit])
    nothing = Split(train.x[:0], train.y[:0])
    scale, offset = _normalization(normalize, train.x, source.max_value)
    options = ("whole", normalize, limit)
    return DataSet(
        name=name,
        train=train,
        validation=nothing,
        test=nothing if source.test is None else source.test,
        num_classes=len(source.class_names),
        class_names=source.class_names,
        input_shape=tuple(int(size) for size in train.x.shape[1:]),
        scale=scale,
        offset=offset,
        description=source.description,
        train_ids=np.arange(len(train)),
        validation_ids=np.arange(0),
        source_count=len(source.train),
        fingerprint=hashlib.sha256(f"{_fingerprint(source)}{options}".encode()).hexdigest(),
    )


def _read(name: str, data_dir: PathLike | None) -> Source:
    if name in _WITHOUT_FILES:
        return _WITHOUT_FILES[name]()
    if name in NAMES:
        return tfds.read(name, data_dir)
    for prefix, read in _PREFIXES.items():
        if name.startswith(prefix) and name != prefix:
            return read(name.removeprefix(prefix), data_dir)
    close = difflib.get_close_matches(name.lower(), NAMES, n=1, cutoff=0.5)
    raise DataError(
        f"A data set must be one of {', '.join(NAMES)}, tfds:NAME, folder:PATH, npz:PATH. "
        f"Received: {name!r}." + (f" Did you mean {close[0]!r}?" if close else "")
    )


def _fingerprint(source: Source) -> str:
    sha = hashlib.sha256()
    for split in (source.train, source.test):
        for array in () if split is None else (split.x, split.y):
            sha.update(f"{array.dtype.str}{array.shape}".encode())
            for piece in pieces(array):
                sha.update(np.ascontiguousarray(array[piece]).data)
    return sha.hexdigest()


def _hold_out_test(name: str, split: Split) -> tuple[np.ndarray, Split]:
    """The places that are left, rising, and the test data."""
    count = round(len(split) * _TEST_SHARE)
    if not 0 < count < len(split):
        raise DataError(
            f"`{name}` must have examples to train and to test on. Received: {len(split)}."
        )
    # Not by the run's seed: runs with other seeds must be comparable on the same test examples.
    order = generator(0, "test").permutation(len(split))
    return np.sort(order[count:]), _take(split, order[:count])


def _take(split: Split, chosen: np.ndarray) -> Split:
    chosen = np.sort(chosen)  # the source's order
    return Split(aligned_rows(split.x, chosen), aligned_rows(split.y, chosen))


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


def _normalization(
    normalize: str, x: np.ndarray, max_value: float | None
) -> tuple[np.ndarray, np.ndarray]:
    if normalize == "unit":
        low, high = 0.0, 255.0 if x.dtype == np.uint8 else 1.0
        if max_value is not None:
            high = max_value
        elif x.dtype != np.uint8 and (x.min() < 0 or x.max() > 1):
            low, high = float(x.min()), float(x.max())
        factor = 1.0 / (high - low) if high > low else 1.0
        return np.array(factor, np.float32), np.array(-low * factor, np.float32)
    if normalize == "standard":
        mean, deviation = _moments(x)
        scale = 1.0 / np.where(deviation > 0, deviation, 1.0)
        return scale.astype(np.float32), (-mean * scale).astype(np.float32)
    raise DataError(f"`normalize` must be unit or standard. Received: {normalize!r}.")


def _moments(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation by channel (the last axis), without a float copy of the data."""
    count = x.size // x.shape[-1]
    total = np.sum([c.sum(axis=1, dtype=np.float64) for c in _channel_rows(x)], axis=0)
    mean = (total / count)[:, np.newaxis].astype(np.float32)
    squares = [np.square(c - mean).sum(axis=1, dtype=np.float64) for c in _channel_rows(x)]
    return total / count, np.sqrt(np.sum(squares, axis=0) / count)


def _channel_rows(x: np.ndarray) -> Iterator[np.ndarray]:
    # One contiguous row a channel: four times as fast to sum as a strided last axis.
    for start in range(0, len(x), _CHUNK):
        yield x[start : start + _CHUNK].reshape(-1, x.shape[-1]).T.astype(np.float32, order="C")
