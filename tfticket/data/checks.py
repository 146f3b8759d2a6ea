"""Validation of what was read, once, before anything is trained on it."""

from __future__ import annotations

import dataclasses

import numpy as np

from tfticket.data.arrays import pieces
from tfticket.data.dataset import Source, Split
from tfticket.errors import DataError

_WHOLE = 2**24  # up to here float32 holds each whole number


def checked(name: str, source: Source, *, channel_axis: bool = True) -> Source:
    """Return the source in canonical form: x uint8 or float32, y int32 of rank 1, class names.

    Whole numbers that float32 can't represent, such as hashes, are int64.

    Args:
        name: Name of the data for the messages.
        source: Arrays as they were read.
        channel_axis: Whether examples of two sides are images, which get a channel axis; if not,
            images that have only one channel lose theirs.

    Raises:
        DataError: when x and y don't fit together, a value is not finite, labels are no integers
            or are out of range, or there is only one class.
    """
    splits = [split for split in (source.train, source.test) if split is not None]
    wide = any(_is_wide(split.x) for split in splits)

    def examples(part: str, split: Split) -> Split:
        x, y = _numbers(name, part, split, source, wide=wide)
        if channel_axis and x.ndim == 3:
            x = x[..., np.newaxis]
        elif not channel_axis and x.ndim == 4 and x.shape[-1] == 1:
            x = x[..., 0]
        return Split(x, y, split.files)

    train = examples("training", source.train)
    test = None if source.test is None else examples("test", source.test)
    kinds = [(s.x.shape[1:], s.x.dtype.name) for s in (train, test) if s is not None]
    if len(set(kinds)) > 1:
        raise DataError(
            f"Training and test inputs of `{name}` must have one shape and type. Received: "
            f"{' and '.join(f'{shape} {dtype}' for shape, dtype in kinds)}."
        )
    if source.regression:
        return dataclasses.replace(source, train=train, test=test)
    class_names = source.class_names or _classes_of(name, train.y)
    if len(class_names) < 2:
        raise DataError(
            f"`{name}` must have two classes or more. Received: "
            f"{len(class_names)} ({', '.join(class_names) or 'none'})."
        )
    for part, split in (("training", train), ("test", test)):
        if split is not None and split.y.max() >= len(class_names):
            raise DataError(
                f"Labels of `{name}` must be below its number of classes, {len(class_names)}. "
                f"Received: the {part} label {split.y.max()} at example {int(np.argmax(split.y))}."
            )
    return dataclasses.replace(source, train=train, test=test, class_names=class_names)


def _is_wide(x: np.ndarray) -> bool:
    if x.dtype.kind not in "iu" or not x.size or x.dtype.itemsize <= 2:
        return False
    return bool(x.min() < -_WHOLE or x.max() > _WHOLE)


def _numbers(
    name: str, part: str, split: Split, source: Source, *, wide: bool
) -> tuple[np.ndarray, np.ndarray]:
    x, y = split.x, split.y
    if source.segmentation:
        y = _labels(name, part, y.reshape(-1)).reshape(y.shape)
    elif not source.regression:
        y = _labels(name, part, y)
    if x.dtype == object or not np.issubdtype(x.dtype, np.number):
        raise DataError(
            f"Inputs of `{name}` must be one array of numbers. Received: {part} inputs of type "
            f"{x.dtype}."
        )
    if x.ndim < 2 or len(x) != len(y):
        raise DataError(
            f"Inputs of `{name}` must have shape (examples, ...), one example a label. Received: "
            f"{part} inputs of shape {x.shape} and {len(y)} labels."
        )
    if not len(y) or not x[0].size:
        raise DataError(f"`{name}` must not be empty. Received: {part} inputs of shape {x.shape}.")
    if x.dtype.kind in "iu" and wide:
        if x.max() > np.iinfo(np.int64).max:
            raise DataError(
                f"Inputs of `{name}` must be numbers below 2**63. Received: {x.max()}. Give "
                "hashes as int64."
            )
        x = x.astype(np.int64, copy=False)
    elif x.dtype != np.uint8:
        x = _finite_float32(name, part, x)
    return x, y


def _finite_float32(name: str, part: str, x: np.ndarray) -> np.ndarray:
    if np.issubdtype(x.dtype, np.complexfloating):
        raise DataError(f"Inputs of `{name}` must be real numbers. Received: {part} {x.dtype}.")
    with np.errstate(over="ignore"):
        x = x.astype(np.float32, copy=False)
    for piece in pieces(x):
        finite = np.isfinite(x[piece])
        if not finite.all():
            example = piece.start + int(np.argmin(finite.reshape(len(finite), -1).all(axis=1)))
            raise DataError(
                f"Inputs of `{name}` must be finite 32-bit numbers. Received: NaN, infinity or a "
                f"number too large in {part} example {example}. Remove or mend such examples."
            )
    return x


def _labels(name: str, part: str, y: np.ndarray) -> np.ndarray:
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if y.ndim != 1 or not np.issubdtype(y.dtype, np.integer):
        raise DataError(
            f"Labels of `{name}` must be integers, one an example, not names, floats or one-hot "
            f"rows. Received: {part} labels of type {y.dtype} and shape {y.shape}. "
            "`np.unique(labels, return_inverse=True)` turns names into integers, "
            "`labels.argmax(axis=1)` one-hot rows."
        )
    if len(y) and (y.min() < 0 or y.max() > np.iinfo(np.int32).max):
        raise DataError(
            f"Labels of `{name}` must be 0 or more. Received: {part} labels from {y.min()} to "
            f"{y.max()}."
        )
    return y.astype(np.int32)


def _classes_of(name: str, y: np.ndarray) -> tuple[str, ...]:
    present = np.unique(y)
    if present[-1] != len(present) - 1:
        missing = sorted(set(range(int(present[-1]))) - set(present.tolist()))
        raise DataError(
            f"Training labels of `{name}` must be 0 to (number of classes - 1), each at least "
            f"once. Received: labels up to {present[-1]} without {missing[:5]}. "
            "`np.unique(labels, return_inverse=True)` closes such gaps."
        )
    return tuple(str(label) for label in present)
