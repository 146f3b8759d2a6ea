"""Scaling of inputs, `x * scale + offset`: measured, or chosen by what the inputs are."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from tfticket.data.arrays import pieces
from tfticket.errors import DataError

Normalize = Literal["auto", "none", "unit", "standard"]
NORMALIZE: tuple[Normalize, ...] = get_args(Normalize)

_CHUNK = 1024
_BYTE = 255.0
_ALIKE = 10.0  # columns of one vocabulary; those of a table differ by more
_SMALLEST = np.finfo(np.float32).tiny  # a deviation whose reciprocal is still finite


@dataclass(frozen=True, eq=False)
class Normalization:
    """A scaling of inputs.

    Attributes:
        kind: `none`, `unit` or `standard`.
        scale: Factor, float32, shape () or (channels,); a column is a channel.
        offset: What is added after the factor, float32, shape as `scale`.
        words: Type, range and scaling of the inputs, in a sentence.
        key: Equal keys, and equal training inputs, mean equal numbers.
    """

    kind: Normalize
    scale: np.ndarray
    offset: np.ndarray
    words: str
    key: str


def normalization(
    normalize: str,
    source: np.ndarray,
    train: np.ndarray,
    max_value: float | None,
    *,
    table: bool = False,
) -> Normalization:
    """Choose and measure the scaling of inputs.

    `auto` chooses by what the inputs are. Whole numbers in a known range are scaled to [0, 1] if
    they are pixels of images: bytes by 1/255, others by the largest number of as many bits.
    Nonnegative whole numbers of rank 2 whose columns have similar ranges are taken for ids or
    counts and not scaled, unless they are features of a table. Whatever else leaves [-1, 1] is
    standardized: features by column, images by channel.

    Args:
        normalize: One of `NORMALIZE`.
        source: All inputs of the source's training data, shape (n, ...): `auto` must not depend on
            the split.
        train: Inputs to train on, of which means and deviations are measured.
        max_value: The value that `unit` scales to 1, if the source knows it.
        table: Whether the columns are features of a table.

    Raises:
        DataError: when `normalize` is unknown.
    """
    if normalize not in NORMALIZE:
        raise DataError(
            f"`normalize` must be one of {', '.join(NORMALIZE)}. Received: {normalize!r}."
        )
    seen = _Seen.of(source)
    kind, high = _suited(seen, max_value, table=table) if normalize == "auto" else (normalize, None)
    scale, offset, done = np.array(1.0), np.array(0.0), "taken as they are"
    if kind == "unit":
        low, top = (0.0, high) if high is not None else _unit_range(seen, train, max_value)
        scale = np.array(1.0 / (top - low) if top > low else 1.0)
        offset = -low * scale
        if (low, top) != (0.0, 1.0):
            done = f"scaled so that {low:g} to {top:g} become 0 to 1"
    elif kind == "standard":
        mean, deviation = _moments(train)
        scale = 1.0 / np.where(deviation > _SMALLEST, deviation, 1.0)
        offset = -mean * scale
        each = "column" if seen.features else "channel"
        done = f"standardized: each {each} less its mean, divided by its deviation"
    return Normalization(
        kind,
        scale.astype(np.float32),
        offset.astype(np.float32),
        f"Inputs are {seen.words}, {done}.",
        kind if high is None else f"{kind} {high:g}",
    )


@dataclass(frozen=True)
class _Seen:
    """Properties of inputs that decide on their scaling.

    Attributes:
        low: The smallest number.
        high: The largest.
        bytes: Whether they are of the type uint8.
        whole: Whether all are whole numbers.
        features: Whether an example is a row of numbers, not an image.
        alike: Whether the columns that aren't constant have similar ranges.
    """

    low: float
    high: float
    bytes: bool
    whole: bool
    features: bool
    alike: bool

    @classmethod
    def of(cls, x: np.ndarray) -> _Seen:
        """Read all numbers, shape (n, ...), in pieces."""
        features = x.ndim == 2
        axis = 0 if features else None
        lows, highs, whole = np.inf, -np.inf, True
        for piece in pieces(x):
            part = x[piece]
            lows, highs = np.minimum(lows, part.min(axis)), np.maximum(highs, part.max(axis))
            whole = whole and (part.dtype.kind in "iu" or bool((part == np.rint(part)).all()))
        low, high, spans = float(np.min(lows)), float(np.max(highs)), np.subtract(highs, lows)
        middle = float(np.median(spans[spans > 0])) if high > low else 0.0
        return cls(low, high, x.dtype == np.uint8, whole, features, high - low <= _ALIKE * middle)

    @property
    def words(self) -> str:
        """Type and range, for the middle of a sentence."""
        kind = "bytes" if self.bytes else "whole numbers" if self.whole else "numbers"
        return f"{kind} from {self.low:g} to {self.high:g}"


def _suited(seen: _Seen, max_value: float | None, *, table: bool) -> tuple[Normalize, float | None]:
    """Choose for `auto`: the kind, and the number that becomes 1 if not the one of `unit`."""
    if max_value is not None:
        return "unit", None
    if seen.low >= -1 and seen.high <= 1:
        return "none", None
    if seen.bytes:
        return "unit", None
    if table or not seen.whole or seen.low < 0:
        return "standard", None
    if not seen.features:
        return "unit", 2.0 ** int(seen.high).bit_length() - 1
    if (seen.low, seen.high) == (0, _BYTE):  # images, flattened
        return "unit", _BYTE
    return ("none" if seen.alike else "standard"), None


def _unit_range(seen: _Seen, train: np.ndarray, max_value: float | None) -> tuple[float, float]:
    if max_value is not None:
        return 0.0, max_value
    if seen.bytes:
        return 0.0, _BYTE
    low, high = float(train.min()), float(train.max())
    return (0.0, 1.0) if low >= 0 and high <= 1 else (low, high)


def _moments(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and standard deviation by channel (last axis), without a float copy."""
    count = x.size // x.shape[-1]
    total = np.sum([c.sum(axis=1, dtype=np.float64) for c in _channel_rows(x)], axis=0)
    mean = (total / count)[:, np.newaxis]

    def deviation(dtype: npt.DTypeLike) -> np.ndarray:
        squares = [
            np.square(c.astype(dtype, copy=False) - mean.astype(dtype)).sum(1, dtype=np.float64)
            for c in _channel_rows(x)
        ]
        root: np.ndarray = np.sqrt(np.sum(squares, axis=0) / count)
        return root

    with np.errstate(over="ignore"):
        found = deviation(np.float32)
    return total / count, found if np.isfinite(found).all() else deviation(np.float64)


def _channel_rows(x: np.ndarray) -> Iterator[np.ndarray]:
    # One contiguous row a channel: four times as fast to sum as a strided last axis.
    for start in range(0, len(x), _CHUNK):
        yield x[start : start + _CHUNK].reshape(-1, x.shape[-1]).T.astype(np.float32, order="C")
