"""Zip archives of strangers, and the arrays in them: read within limits, never by pickle."""

from __future__ import annotations

import contextlib
import os
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from tfticket.reading import UnreadableError

MOST_UNPACKED = 2**30
"""Bytes that an archive of any size may unpack to."""
MOST_EXPANSION = 100
"""How many times its own size a larger archive may unpack to; real arrays are far below."""
MOST_ENTRIES = 100_000
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # others may take gigabytes to unpack a byte
_ENCRYPTED = 0x1
_NPY = ".npy"


@contextlib.contextmanager
def open_archive(path: str | os.PathLike[str]) -> Iterator[zipfile.ZipFile]:
    """Open a zip archive, whose entries may then be read one by one.

    Args:
        path: The file.

    Raises:
        UnreadableError: when it can't be read, is no archive, or unpacks to more than
            `MOST_UNPACKED` bytes and `MOST_EXPANSION` times its size.
    """
    try:
        archive = zipfile.ZipFile(path)
    except OSError as error:
        raise UnreadableError(f"it can't be read: {error.strerror or error}") from error
    except Exception as error:  # whatever damaged bytes make zipfile raise
        raise UnreadableError(f"it isn't a zip archive: {error!s:.200}") from error
    with archive:
        _check(archive.infolist(), Path(path).stat().st_size)
        yield archive


def _check(entries: list[zipfile.ZipInfo], size: int) -> None:
    unpacked = sum(entry.file_size for entry in entries)
    if unpacked > max(MOST_UNPACKED, MOST_EXPANSION * size):
        raise UnreadableError(
            f"its {size:,} bytes unpack to {unpacked:,}, more than {MOST_EXPANSION} times as many "
            f"and than {MOST_UNPACKED:,}"
        )
    if len(entries) > MOST_ENTRIES:
        raise UnreadableError(f"it has more than {MOST_ENTRIES:,} entries")
    for entry in entries:
        if entry.compress_type not in _METHODS or entry.flag_bits & _ENCRYPTED:
            raise UnreadableError("it is encrypted, or packed otherwise than by deflate")


def read_entry(archive: zipfile.ZipFile, name: str) -> bytes:
    """The bytes of an entry of an open archive.

    Raises:
        UnreadableError: when there is none of that name, or it is damaged.
    """
    try:
        return archive.read(name)
    except KeyError as error:
        raise UnreadableError(f"it holds no {name}") from error
    except Exception as error:  # whatever damaged bytes make zipfile raise
        raise UnreadableError(f"its {name} is damaged: {error!s:.200}") from error


def arrays_in(archive: zipfile.ZipFile, prefix: str = "") -> Iterator[tuple[str, np.ndarray]]:
    """Name and array of each `.npy` entry of an open archive.

    Args:
        archive: From `open_archive`.
        prefix: Only of those whose names begin so.

    Raises:
        UnreadableError: when one is damaged, or can't be read without pickle.
    """
    for name in names_in(archive):
        if name.startswith(prefix):
            yield name, read_array(archive, name)


def names_in(archive: zipfile.ZipFile) -> list[str]:
    """Names of the arrays in an open archive, each once."""
    found = (name for name in archive.namelist() if name.endswith(_NPY))
    return [name.removesuffix(_NPY) for name in dict.fromkeys(found)]


def read_array(archive: zipfile.ZipFile, name: str) -> np.ndarray:
    """An array of an open archive; raises `UnreadableError` as `arrays_in` does."""
    try:
        with archive.open(name + _NPY) as entry:
            array = np.lib.format.read_array(entry, allow_pickle=False)
    except Exception as error:  # whatever damaged bytes make zipfile and numpy raise
        raise UnreadableError(f"its array {name} is damaged: {error!s:.200}") from error
    if array.dtype.itemsize == 0:
        raise UnreadableError(f"its array {name} holds values of no bytes")
    return array


def read_npy(path: str | os.PathLike[str]) -> np.ndarray:
    """Read the array in an `.npy` file.

    Raises:
        UnreadableError: when it can't be read, is damaged, or can't be read without pickle.
    """
    try:
        with Path(path).open("rb") as file:
            return np.lib.format.read_array(file, allow_pickle=False)
    except Exception as error:  # whatever damaged bytes make numpy raise
        raise UnreadableError(f"it holds no array: {error!s:.200}") from error
