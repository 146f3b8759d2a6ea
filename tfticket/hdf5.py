"""HDF5 files of strangers: a child process reads a file whole before this process does.

The library crashes, or never ends, on about 1 in 100 files with a few wrong bytes. This module is
also the script that the child runs.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfticket import children
from tfticket.reading import MOST_EXPANSION, MOST_UNPACKED, UnreadableError

if TYPE_CHECKING:
    import h5py

_SECONDS = 3.0
_BYTES_A_SECOND = 20e6  # slower than any disk, or than unpacking gzip
_PATIENCE = 10  # on a busy machine a process gets this fraction of the time
_MEMORY = 2**32  # beside the largest array
_ENVIRONMENT = {"HDF5_PLUGIN_PRELOAD": "::", "OPENBLAS_NUM_THREADS": "1"}  # no filters from outside


@dataclass(frozen=True)
class Inspected:
    """Content of an HDF5 file.

    Attributes:
        attributes: Name to text of the attributes of its root; empty for those that aren't text.
        values: Number of values in all of its arrays.
    """

    attributes: Mapping[str, str]
    values: int


def inspect_hdf5(path: str | os.PathLike[str]) -> Inspected:
    """Read everything in an HDF5 file, in a child process.

    Raises:
        UnreadableError: when it can't be read, refers to other files, would take too much memory or
            time, or crashes the library.
    """
    size = Path(path).stat().st_size
    seconds = _SECONDS + size / _BYTES_A_SECOND
    most = max(MOST_UNPACKED, MOST_EXPANSION * size)
    try:
        done = subprocess.run(
            children.command("tfticket.hdf5", str(path), str(int(seconds)), str(most)),
            capture_output=True,
            check=False,
            env={**os.environ, **_ENVIRONMENT},
            timeout=_PATIENCE * seconds,
        )
    except subprocess.TimeoutExpired as error:
        raise UnreadableError(f"the HDF5 in it takes more than {seconds:.0f} s to read") from error
    if done.returncode == -signal.SIGXCPU:
        raise UnreadableError(f"the HDF5 in it takes more than {seconds:.0f} s to read")
    if done.returncode < 0:
        name = signal.Signals(-done.returncode).name
        raise UnreadableError(f"the HDF5 in it is damaged: reading it ends in {name}")
    try:
        found = json.loads(done.stdout)
    except ValueError as error:
        last = done.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        raise UnreadableError(f"the HDF5 in it can't be read: {last:.200}") from error
    if "problem" in found:
        raise UnreadableError(f"the HDF5 in it {found['problem']}")
    return Inspected(found["attributes"], found["values"])


class _ProblemError(Exception):
    """The reason why a file isn't read, as the end of a sentence about it."""


def _main(path: str, seconds: str, most_bytes: str) -> None:
    """Print JSON: `attributes` and `values`, see `Inspected`; or `problem`.

    Args:
        path: The file.
        seconds: Limit of processor time.
        most_bytes: Limit of the size of all arrays.
    """
    import h5py

    resource.setrlimit(resource.RLIMIT_CPU, (int(seconds), int(seconds) + 1))
    memory = _MEMORY + int(most_bytes)
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    try:
        with h5py.File(path, "r") as file:
            values = _read(file, int(most_bytes))
            attributes = {name: _text(value) for name, value in file.attrs.items()}
        text = json.dumps({"attributes": attributes, "values": values})
    except _ProblemError as error:
        text = json.dumps({"problem": str(error)})
    except Exception as error:  # whatever damaged bytes make h5py raise
        text = json.dumps({"problem": f"is damaged: {str(error).partition(chr(10))[0]:.200}"})
    print(text)


def _read(file: h5py.File, most_bytes: int) -> int:
    """Read all attributes and arrays, each once, and count the values."""
    import h5py

    waiting: list[Any] = [file]
    seen, left, values = set(), most_bytes, 0
    while waiting:
        each = waiting.pop()
        address = h5py.h5o.get_info(each.id).addr
        if address in seen:
            continue
        seen.add(address)
        dict(each.attrs)
        if isinstance(each, h5py.Dataset):
            if each.external or each.is_virtual:
                raise _ProblemError("refers to other files, which models don't")
            left -= each.nbytes
            if left < 0:
                raise _ProblemError(f"unpacks to more than {most_bytes:,} bytes")
            each[()]
            values += each.size or 0
        elif isinstance(each, h5py.Group):
            for name in each:
                if not isinstance(each.get(name, getlink=True), h5py.HardLink):
                    raise _ProblemError("refers to other files or places, which models don't")
                waiting.append(each[name])
    return values


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode()
    return value if isinstance(value, str) else ""


if __name__ == "__main__":
    _main(*sys.argv[1:])
