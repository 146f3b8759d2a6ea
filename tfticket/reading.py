"""Read untrusted text and archives: one reader for each format, within the limits stated here.

Whatever the bytes are, a reader returns plain values or arrays, or raises `UnreadableError`. Its
callers may rely on shallow nesting, on integers of at most 64 bits and on text that can be printed.
Nothing is unpickled. HDF5 has a reader of its own, `hdf5`.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import tomllib
import zipfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np  # listings read text and needn't wait for it

MOST_BYTES = 64 * 2**20
"""Size limit of a JSON file; the largest that Keras and tfticket write have a few MB."""
MOST_TOML_BYTES = 256 * 2**10
"""Size limit of a recipe; the largest built-in one has 5 KB."""
MOST_LEVELS = 100
"""Nesting limit of tables and lists, and of the parts of a dotted key."""
MOST_BITS = 64
"""Limit of an integer, without its sign."""
MOST_UNPACKED = 2**30
"""Bytes that an archive of any size may unpack to."""
MOST_EXPANSION = 100
"""Largest ratio of unpacked to packed size of a larger archive; real arrays are far below."""
MOST_ENTRIES = 100_000
"""Limit of the entries in an archive."""

_TOO_DEEP = f"it is nested more than {MOST_LEVELS} levels deep"
_TOO_LARGE = f"it holds a whole number of more than {MOST_BITS} bits"

_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # others may take gigabytes to unpack a byte
_ENCRYPTED = 0x1
_NPY = ".npy"

# tomllib takes time that grows with the square of the parts of a key.
_PART = r"""(?:[\w-]+|"[^"\n]*"|'[^'\n]*')"""
_LONG_KEY = re.compile(rf"(?<![\w-])(?:{_PART}[ \t]*\.[ \t]*){{{MOST_LEVELS}}}")


class UnreadableError(ValueError):
    """A file or text can't be read; the message is a clause such as `it isn't JSON: ...`."""


def read_text(path: str | os.PathLike[str], *, most_bytes: int = MOST_BYTES) -> str:
    """Read UTF-8 text.

    Raises:
        UnreadableError: when it can't be read, is larger, or isn't UTF-8.
    """
    try:
        with Path(path).open("rb") as file:
            content = file.read(most_bytes + 1)
    except OSError as error:
        raise UnreadableError(f"it can't be read: {error.strerror or error}") from error
    if len(content) > most_bytes:
        raise UnreadableError(f"it has more than {most_bytes:,} bytes")
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise UnreadableError(f"it isn't UTF-8 text: {error.reason} at {error.start:,}") from error


def read_json(path: str | os.PathLike[str]) -> Any:
    """Read the value in a JSON file; raises `UnreadableError`."""
    return parse_json(read_text(path))


def read_toml(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read the tables of a TOML file; raises `UnreadableError`."""
    return parse_toml(read_text(path, most_bytes=MOST_TOML_BYTES))


def parse_json(text: str | bytes) -> Any:
    """Parse JSON; NaN and Infinity are allowed, as Python writes them.

    Raises:
        UnreadableError: when it isn't JSON or exceeds the limits of this module.

    Example:
        >>> parse_json('{"level": 3}')
        {'level': 3}
    """
    return _parsed(json.loads, text, "JSON")


def parse_toml(text: str) -> dict[str, Any]:
    """Parse TOML.

    Raises:
        UnreadableError: when it isn't TOML or exceeds the limits of this module.

    Example:
        >>> parse_toml("levels = 3")
        {'levels': 3}
    """
    if len(text) > MOST_TOML_BYTES:
        raise UnreadableError(f"it has more than {MOST_TOML_BYTES:,} characters")
    if _LONG_KEY.search(text):
        raise UnreadableError(f"a key has more than {MOST_LEVELS} parts")
    tables: dict[str, Any] = _parsed(tomllib.loads, text, "TOML")
    return tables


def _parsed(parse: Callable[[Any], Any], text: str | bytes, name: str) -> Any:
    try:
        value = parse(text)
    except RecursionError as error:
        raise UnreadableError(_TOO_DEEP) from error
    except UnicodeDecodeError as error:
        raise UnreadableError(f"it isn't UTF-8 text: {error.reason} at {error.start:,}") from error
    except ValueError as error:
        if "int_max_str_digits" in str(error):  # Python's own limit, about 4,300 digits
            raise UnreadableError(_TOO_LARGE) from error
        raise UnreadableError(f"it isn't {name}: {error!s:.200}") from error
    check_plain(value)
    return value


def check_plain(value: Any) -> None:
    """Check plain values from any source against the limits.

    Raises:
        UnreadableError: when they are nested more than `MOST_LEVELS` deep, a whole number has more
            than `MOST_BITS` bits, or a text can't be encoded.
    """
    layer: list[Any] = [value]
    level = 0
    while layer:
        inside: list[Any] = []
        for each in layer:
            if isinstance(each, dict | list) and level == MOST_LEVELS:
                raise UnreadableError(_TOO_DEEP)
            if isinstance(each, dict):
                _check_texts(each)
                inside += each.values()
            elif isinstance(each, list):
                inside += each
            elif isinstance(each, int) and each.bit_length() > MOST_BITS:
                raise UnreadableError(_TOO_LARGE)
            elif isinstance(each, str):
                _check_texts([each])
        layer = inside
        level += 1


def _check_texts(texts: Iterable[Any]) -> None:
    for text in texts:
        if not text.isascii():
            try:
                text.encode()
            except UnicodeEncodeError as error:  # half of a pair of surrogates
                raise UnreadableError(f"it holds text that isn't Unicode: {text!a:.80}") from error


@contextlib.contextmanager
def open_archive(path: str | os.PathLike[str]) -> Iterator[zipfile.ZipFile]:
    """Open a zip archive, whose entries may then be read one by one.

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
    """Read the bytes of an entry of an open archive.

    Raises:
        UnreadableError: when it is missing or damaged.
    """
    try:
        return archive.read(name)
    except KeyError as error:
        raise UnreadableError(f"it holds no {name}") from error
    except Exception as error:  # whatever damaged bytes make zipfile raise
        raise UnreadableError(f"its {name} is damaged: {error!s:.200}") from error


def arrays_in(archive: zipfile.ZipFile, prefix: str = "") -> Iterator[tuple[str, np.ndarray]]:
    """Yield name and array of each `.npy` entry of an open archive.

    Args:
        archive: From `open_archive`.
        prefix: Read only arrays whose names begin with it.

    Raises:
        UnreadableError: when one is damaged, or can't be read without pickle.
    """
    for name in names_in(archive):
        if name.startswith(prefix):
            yield name, read_array(archive, name)


def names_in(archive: zipfile.ZipFile) -> list[str]:
    """List the names of the arrays in an open archive, each once."""
    found = (name for name in archive.namelist() if name.endswith(_NPY))
    return [name.removesuffix(_NPY) for name in dict.fromkeys(found)]


def read_array(archive: zipfile.ZipFile, name: str) -> np.ndarray:
    """Read one array of an open archive; raises `UnreadableError` as `arrays_in` does."""
    import numpy as np

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
    import numpy as np

    try:
        with Path(path).open("rb") as file:
            return np.lib.format.read_array(file, allow_pickle=False)
    except Exception as error:  # whatever damaged bytes make numpy raise
        raise UnreadableError(f"it holds no array: {error!s:.200}") from error
