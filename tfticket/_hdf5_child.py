"""The child of `hdf5`: reads everything in an HDF5 file, and prints the texts of its root."""

from __future__ import annotations

import json
import resource
import sys
from typing import Any

import h5py

_MEMORY = 2**32  # beside the largest array


class _ProblemError(Exception):
    """Why the file isn't read, as the end of a sentence about it."""


def main(path: str, seconds: str, most_bytes: str) -> None:
    """Prints JSON: `attributes`, name to text, and the number of `values`; or `problem`.

    Args:
        path: The file.
        seconds: Of processor time that reading may take.
        most_bytes: That all of its arrays may have.
    """
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
    """Reads all attributes and arrays, each once, and raises what that raises; counts values."""
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
    main(*sys.argv[1:])
