"""Data sets in files: decoded ones in the user's cache folder, and one that processes share."""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import platformdirs

from tfticket.data.arrays import ALIGNMENT
from tfticket.data.cells import Cells
from tfticket.data.dataset import DataSet, Source, Split, Unreadable

_HEADER = "source.json"
_SPLITS = ("train", "validation", "test")
_FORMAT = 2  # raise it when what is stored changes its meaning


def folder() -> Path:
    """Return the folder of decoded data sets; deleting it loses nothing but time."""
    return platformdirs.user_cache_path("tfticket") / "data"


def remember(name: str, origin: Any, read: Callable[[], Source]) -> Source:
    """Return what `read` returns, memory-mapped from the cache if it was read before.

    If the cache is damaged, full or not writable, it isn't used.

    Tables aren't remembered: their cells and features would be lost.

    Args:
        name: Readable beginning of the folder's name, such as `cifar10-3.0.2`.
        origin: A JSON value that changes whenever the data does.
        read: Reads the data from its origin.
    """
    key = hashlib.sha256(json.dumps([_FORMAT, origin]).encode()).hexdigest()[:16]
    readable = "".join(c if c.isalnum() or c in ".-" else "_" for c in name)
    entry = folder() / f"{readable}-{key}"
    found = _load(entry)
    if found is not None:
        return found
    source = read()
    return _save(entry, source) or source


def stamp(root: Path, files: list[Path]) -> list[tuple[str, int, int]]:
    """Return names, sizes and modification times of files."""
    stats = [(file, file.stat()) for file in files]
    return [(str(f.relative_to(root)), s.st_size, s.st_mtime_ns) for f, s in stats]


def _load(entry: Path) -> Source | None:
    try:
        header = json.loads((entry / _HEADER).read_text())
        train, test = (
            Split(**{a: np.load(entry / f"{part}_{a}.npy", mmap_mode="r") for a in names})
            if (names := header["parts"].get(part))
            else None
            for part in ("train", "test")
        )
        rest = {**header["rest"], "class_names": tuple(header["rest"]["class_names"])}
        rest["unreadable"] = tuple(Unreadable(*each) for each in rest.get("unreadable", ()))
        return None if train is None else Source(train, test, **rest)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, EOFError):
        return None


def _arrays(split: Split) -> dict[str, np.ndarray]:
    every = {"x": split.x, "y": split.y, "files": split.files}
    return {name: array for name, array in every.items() if array is not None}


def _save(entry: Path, source: Source) -> Source | None:
    parts = {"train": source.train, "test": source.test}
    splits = {part: split for part, split in parts.items() if split is not None}
    rest = {key: getattr(source, key) for key in ("description", "class_names", "max_value")}
    rest["unreadable"] = [astuple(each) for each in source.unreadable]
    arrays = {part: _arrays(split) for part, split in splits.items()}
    header = {"parts": {part: list(each) for part, each in arrays.items()}, "rest": rest}
    temporary = None
    try:
        entry.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{entry.name}-", dir=entry.parent))
        for part, each in arrays.items():
            for name, array in each.items():
                with (temporary / f"{part}_{name}.npy").open("wb") as file:
                    np.save(file, array, allow_pickle=False)
                    file.flush()
                    os.fsync(file.fileno())
        (temporary / _HEADER).write_text(json.dumps(header))
        shutil.rmtree(entry, ignore_errors=True)  # what is there could not be loaded
        temporary.rename(entry)
    except OSError:
        # Nothing is lost: the arrays are in memory, and the next start reads them again.
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)
        return None
    return _load(entry)


@dataclass(frozen=True)
class Layout:
    """The places of arrays in a shared file; small enough to be sent to each process.

    Attributes:
        places: Name of an array to its offset, shape and type; cells of a table are bytes.
        files: Name of a split to its `files`.
        rest: The fields of the data set that aren't in the file.
    """

    places: Mapping[str, tuple[int, tuple[int, ...], str]]
    files: Mapping[str, np.ndarray | None]
    rest: Mapping[str, Any]


def share(data: DataSet, file: BinaryIO) -> Layout:
    """Write the examples of a data set to an empty file, for `shared` in other processes."""
    places = {}
    for name in _SPLITS:
        split = getattr(data, name)
        arrays = {"x": split.x, "y": split.y}
        if split.cells is not None:
            arrays["cells"] = split.cells.to_bytes()
        for part, each in arrays.items():
            array = np.ascontiguousarray(each)
            file.write(bytes(-file.tell() % ALIGNMENT))
            places[f"{name}.{part}"] = (file.tell(), array.shape, array.dtype.str)
            file.write(array.reshape(-1).view(np.uint8).data)
    file.flush()
    rest = {each.name: getattr(data, each.name) for each in fields(data)}
    files = {name: rest.pop(name).files for name in _SPLITS}
    return Layout(places, files, rest)


def shared(layout: Layout, file: Any) -> DataSet:
    """Map a data set into memory, which holds it once for all processes.

    Args:
        layout: Return value of `share`.
        file: The file, open for reading, or its path.
    """
    arrays = {name: _mapped(file, *place) for name, place in layout.places.items()}
    train, validation, test = (_split(name, arrays, layout.files[name]) for name in _SPLITS)
    return DataSet(train=train, validation=validation, test=test, **layout.rest)


def _split(name: str, arrays: Mapping[str, np.ndarray], files: np.ndarray | None) -> Split:
    cells = arrays.get(f"{name}.cells")
    return Split(
        arrays[f"{name}.x"],
        arrays[f"{name}.y"],
        files,
        None if cells is None else Cells.from_bytes(cells),
    )


def _mapped(file: Any, offset: int, shape: tuple[int, ...], dtype: str) -> np.ndarray:
    if not math.prod(shape):
        return np.empty(shape, dtype)
    # Copied when written to, since TensorFlow takes no array that can't be.
    return np.asarray(np.memmap(file, dtype=dtype, mode="c", offset=offset, shape=shape))
