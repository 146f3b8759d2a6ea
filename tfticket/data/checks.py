"""Validation of what was read, once, before anything is trained on it."""

from __future__ import annotations

import dataclasses

import numpy as np

from tfticket.data.arrays import pieces
from tfticket.data.dataset import Source, Split
from tfticket.errors import DataError
from tfticket.labels import MISSING, numbered

MISSING_LABELS = ("refuse", "keep")
"""Treatments of examples without a label."""

_WHOLE = 2**24  # up to here float32 holds each whole number


def checked(
    name: str, source: Source, *, channel_axis: bool = True, missing_labels: str = "refuse"
) -> Source:
    """Return the source in canonical form: x uint8 or float32, y int32 of rank 1, class names.

    Whole numbers that float32 can't represent, such as hashes, are int64. Names of classes become
    numbers, see `labels.numbered`.

    Args:
        name: Name of the data for the messages.
        source: Arrays as they were read.
        channel_axis: Whether examples of two sides are images, which get a channel axis; if not,
            images that have only one channel lose theirs.
        missing_labels: `refuse` raises an error when labels are missing, `keep` has them as -1.

    Raises:
        DataError: when x and y don't fit together, a value is not finite, labels are neither names
            nor whole numbers, are missing or out of range, or there is only one class.
    """
    if missing_labels not in MISSING_LABELS:
        raise DataError(
            f"`missing_labels` must be {' or '.join(MISSING_LABELS)}. Received: {missing_labels!r}."
        )
    splits = [split for split in (source.train, source.test) if split is not None]
    wide = any(_is_wide(split.x) for split in splits)
    class_names = source.class_names

    def examples(part: str, split: Split) -> Split:
        nonlocal class_names
        y = split.y
        if source.segmentation:
            y = _classes(y.reshape(-1), class_names, name, part)[0].reshape(y.shape)
        elif not source.regression:
            y, class_names = _classes(y, class_names, name, part)
            _check_present(y, name, part, keep=missing_labels == "keep")
        x = _numbers(name, part, split.x, len(y), wide=wide)
        if channel_axis and x.ndim == 3:
            x = x[..., np.newaxis]
        elif not channel_axis and x.ndim == 4 and x.shape[-1] == 1:
            x = x[..., 0]
        return dataclasses.replace(split, x=x, y=y)

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
    if len(class_names) < 2:
        raise DataError(
            f"`{name}` must have two classes or more. Received: "
            f"{len(class_names)} ({', '.join(class_names) or 'none'})."
        )
    return dataclasses.replace(source, train=train, test=test, class_names=class_names)


def _is_wide(x: np.ndarray) -> bool:
    if x.dtype.kind not in "iu" or not x.size or x.dtype.itemsize <= 2:
        return False
    return bool(x.min() < -_WHOLE or x.max() > _WHOLE)


def _numbers(name: str, part: str, x: np.ndarray, labels: int, *, wide: bool) -> np.ndarray:
    if x.dtype == object or not np.issubdtype(x.dtype, np.number):
        raise DataError(
            f"Inputs of `{name}` must be one array of numbers. Received: {part} inputs of type "
            f"{x.dtype}."
        )
    if x.ndim < 2 or len(x) != labels:
        raise DataError(
            f"Inputs of `{name}` must have shape (examples, ...), one example a label. Received: "
            f"{part} inputs of shape {x.shape} and {labels} labels."
        )
    if not len(x) or not x[0].size:
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
    return x


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


def _classes(
    y: np.ndarray, class_names: tuple[str, ...], name: str, part: str
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Return labels as numbers, int32, and the names of the classes."""
    numbers, names = numbered(y, class_names, name=f"The {part} labels of `{name}`")
    if not names and part == "training":
        names = _classes_of(name, numbers[numbers != MISSING])
    return numbers.astype(np.int32), names


def _check_present(y: np.ndarray, name: str, part: str, *, keep: bool) -> None:
    missing = y == MISSING
    if not missing.any() or (keep and (part == "test" or not missing.all())):
        return
    count = f"None of the {len(y):,}" if missing.all() else f"{int(missing.sum()):,} of {len(y):,}"
    raise DataError(
        f"{count} {part} examples of `{name}` have {'a' if missing.all() else 'no'} label; the "
        f"first without is example {int(np.argmax(missing))}. Missing are empty cells, NaN and, "
        "among numbers, -1. Remove these examples or label them, for which `tfticket noise clean` "
        "makes suggestions. If -1 is a class, number the classes from 0."
    )


def _classes_of(name: str, y: np.ndarray) -> tuple[str, ...]:
    if not y.size:
        return ()
    present = np.unique(y)
    if present[-1] != len(present) - 1:
        missing = sorted(set(range(int(present[-1]))) - set(present.tolist()))
        raise DataError(
            f"Training labels of `{name}` must be 0 to (number of classes - 1), each at least "
            f"once. Received: labels up to {present[-1]} without {missing[:5]}. "
            "`np.unique(labels, return_inverse=True)` closes such gaps."
        )
    return tuple(str(label) for label in present)
