"""A data set in one file that many processes map into their memory, which then holds it once."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, BinaryIO

import numpy as np

from tfticket.data.dataset import DataSet, Split

_ALIGNMENT = 64  # bytes; as `alignment` asks for, so that nobody copies
_SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class Layout:
    """What is where in the file; small enough to be sent to each process.

    Attributes:
        places: Name of an array to its offset, shape and type.
        files: Name of a split to its `files`.
        rest: The fields of the data set that aren't in the file.
    """

    places: Mapping[str, tuple[int, tuple[int, ...], str]]
    files: Mapping[str, np.ndarray | None]
    rest: Mapping[str, Any]


def share(data: DataSet, file: BinaryIO) -> Layout:
    """Writes the examples of a data set.

    Args:
        data: The data set.
        file: Open for writing, and empty.
    """
    places = {}
    for name in _SPLITS:
        split = getattr(data, name)
        for part in ("x", "y"):
            array = np.ascontiguousarray(getattr(split, part))
            file.write(bytes(-file.tell() % _ALIGNMENT))
            places[f"{name}.{part}"] = (file.tell(), array.shape, array.dtype.str)
            file.write(array.reshape(-1).view(np.uint8).data)
    file.flush()
    rest = {each.name: getattr(data, each.name) for each in fields(data)}
    files = {name: rest.pop(name).files for name in _SPLITS}
    return Layout(places, files, rest)


def shared(layout: Layout, file: Any) -> DataSet:
    """The data set of a file, mapped into memory: what isn't changed is in memory once.

    Args:
        layout: What `share` returned.
        file: The file, open for reading, or its path.
    """
    arrays = {name: _mapped(file, *place) for name, place in layout.places.items()}
    train, validation, test = (
        Split(arrays[f"{name}.x"], arrays[f"{name}.y"], layout.files[name]) for name in _SPLITS
    )
    return DataSet(train=train, validation=validation, test=test, **layout.rest)


def _mapped(file: Any, offset: int, shape: tuple[int, ...], dtype: str) -> np.ndarray:
    if not math.prod(shape):
        return np.empty(shape, dtype)
    # Copied when written to, since TensorFlow takes no array that can't be.
    mapped = np.memmap(file, dtype=dtype, mode="c", offset=offset, shape=shape)
    return np.asarray(mapped)
