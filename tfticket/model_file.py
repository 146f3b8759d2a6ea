"""Inspect an untrusted `.keras` file before Keras or tf_keras loads it.

Its configuration names classes and functions, which the libraries look up and may import, down to
the last nested object. Its other content is read within limits.
"""

from __future__ import annotations

import functools
import os
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from tfticket.hdf5 import inspect_hdf5
from tfticket.reading import UnreadableError, arrays_in, open_archive, parse_json, read_entry

VALUES = frozenset(
    {
        "Ellipsis", "TensorShape", "__bytes__", "__ellipsis__", "__keras_tensor__", "__numpy__",
        "__slice__", "__tensor__", "__tuple__",
    }
)  # fmt: skip
"""Names of classes that encode plain values and aren't looked up."""

_KERAS = ("keras", "tf_keras")
# Of the settings of its layers, those that are the length of a weight.
_SIZES = frozenset(
    {"depth_multiplier", "filters", "input_dim", "key_dim", "num_heads", "output_dim", "units"}
)
_ALWAYS = 10_000  # also in a model that was saved before it had weights
_CONFIG, _METADATA = "config.json", "metadata.json"
# Of a table of words, which Keras unpacks to some 60 times as much memory: two million words.
_MOST_VOCABULARY = 16 * 2**20


class NamedObject(NamedTuple):
    """Class or function that a configuration names.

    Attributes:
        module: Its module; empty if the configuration names none.
        name: Name of the class or function.
        registered: Name that it is registered by, such as `package>name`; empty without one.
        kind: `class`, `function` or `lambda`.
    """

    module: str
    name: str
    registered: str
    kind: str

    def __str__(self) -> str:
        """Format it as `its_module.Name`."""
        return ".".join(filter(None, (self.module, self.name)))


@dataclass(frozen=True)
class ModelFile:
    """Description of the model in a `.keras` file.

    Attributes:
        config: Configuration of the model: `class_name`, `config`, ...
        keras_version: Version of Keras that wrote it; empty if the file doesn't say.
    """

    config: Mapping[str, Any]
    keras_version: str


def read_model_file(path: str | os.PathLike[str]) -> ModelFile:
    """Read the description of the model in a `.keras` file, and check its other content.

    Raises:
        UnreadableError: when it isn't such a file, is damaged, or exceeds the limits.
    """
    place = Path(path).resolve()
    try:
        found = place.stat()
    except OSError as error:
        raise UnreadableError(f"it can't be read: {error.strerror}") from error
    return _read(place, found.st_mtime_ns, found.st_size)


@functools.lru_cache(maxsize=16)
def _read(path: Path, _changed: int, _size: int) -> ModelFile:
    with open_archive(path) as archive:
        config = parse_json(read_entry(archive, _CONFIG))
        if not isinstance(config, dict) or "class_name" not in config or "config" not in config:
            raise UnreadableError(f"its {_CONFIG} describes no model")
        metadata = {}
        if _METADATA in archive.namelist():
            metadata = parse_json(read_entry(archive, _METADATA))
        if not isinstance(metadata, dict):
            raise UnreadableError(f"its {_METADATA} holds no table")
        for entry in archive.infolist():
            if entry.filename.endswith(".txt") and entry.file_size > _MOST_VOCABULARY:
                raise UnreadableError(
                    f"its {entry.filename:.200} has {entry.file_size:,} bytes; a vocabulary may "
                    f"have {_MOST_VOCABULARY:,}"
                )
        with tempfile.TemporaryDirectory(prefix="tfticket-") as folder:
            values = sum(_values(archive, name, Path(folder)) for name in archive.namelist())
    check_sizes(config, values)
    return ModelFile(config, str(metadata.get("keras_version", "")))


def _values(archive: zipfile.ZipFile, name: str, folder: Path) -> int:
    """Count the values in an entry, which is read whole."""
    suffix = Path(name).suffix
    if suffix not in (".h5", ".npz"):
        return 0
    unpacked = folder / f"weights{suffix}"
    unpacked.write_bytes(read_entry(archive, name))
    if suffix == ".h5":
        return inspect_hdf5(unpacked).values
    with open_archive(unpacked) as inner:
        return sum(array.size for _, array in arrays_in(inner))


def check_sizes(config: Any, values: int) -> None:
    """Check the sizes of layers in a configuration against the number of stored weights.

    A layer has at least one weight for each of its units, and weights are allocated before their
    values are read: a wrong size could take all memory.

    Args:
        config: Configuration of the model, as plain values.
        values: Number of values in its weights.

    Raises:
        UnreadableError: when a layer has more units than that.
    """
    for each in _tables(config):
        inner = each.get("config")
        if "class_name" not in each or not isinstance(inner, dict) or _package(each) not in _KERAS:
            continue
        for key in _SIZES & inner.keys():
            number = inner[key]
            if isinstance(number, int | float) and number > max(values, _ALWAYS):
                raise UnreadableError(
                    f"a {each['class_name']!s:.40} in it has {key} = {number:,}, but all weights "
                    f"together are {values:,} values"
                )


def _tables(config: Any) -> Iterator[Mapping[str, Any]]:
    """Yield each table in nested plain values."""
    waiting = [config]
    while waiting:
        each = waiting.pop()
        if isinstance(each, list):
            waiting += each
        elif isinstance(each, dict):
            waiting += each.values()
            yield each


def _package(described: Mapping[str, Any]) -> str:
    return str(described.get("module") or "keras").partition(".")[0]


def named_objects(config: Any) -> Iterator[NamedObject]:
    """Find every class and function that a configuration names, however deeply nested.

    Args:
        config: Plain values, as `parse_json` returns them.

    Example:
        >>> config = {"class_name": "Dense", "module": "keras.layers", "config": {"units": 3}}
        >>> [str(each) for each in named_objects({"layers": [config]})]
        ['keras.layers.Dense']
    """
    for each in _tables(config):
        if "class_name" in each and each["class_name"] not in (*VALUES, None):
            yield _named(each)


def _named(described: Mapping[str, Any]) -> NamedObject:
    name, kind = str(described["class_name"]), "class"
    if name in ("function", "__lambda__"):
        kind = name.strip("_")
        name = str(described.get("config"))
    module = str(described.get("module") or "")
    registered = str(described.get("registered_name") or "")
    return NamedObject(module, name, registered, kind)


def foreign_objects(config: Any, is_allowed: Callable[[NamedObject], bool]) -> list[str]:
    """List the objects in a configuration that aren't allowed, each once, in words.

    Args:
        config: See `named_objects`.
        is_allowed: Tells whether an object may be looked up.
    """
    found = (each for each in named_objects(config) if not is_allowed(each))
    return list(dict.fromkeys("a lambda" if e.kind == "lambda" else f"{e!s:.100}" for e in found))
