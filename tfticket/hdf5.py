"""HDF5 files of strangers: read whole by a child before anything reads them here.

Damaged ones crash the library, or keep it busy for ever: about 1 in 100 with a few wrong bytes.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tfticket import children
from tfticket.archives import MOST_EXPANSION, MOST_UNPACKED
from tfticket.reading import UnreadableError

_SECONDS = 3.0
_BYTES_A_SECOND = 20e6  # slower than any disk, or what was packed by gzip
_PATIENCE = 10  # a busy machine gives a process this much less than its time
_ENVIRONMENT = {"HDF5_PLUGIN_PRELOAD": "::", "OPENBLAS_NUM_THREADS": "1"}  # no filters from outside


@dataclass(frozen=True)
class Inspected:
    """What an HDF5 file holds.

    Attributes:
        attributes: Name to text of the attributes of its root; the empty text for those that are no
            text.
        values: How many numbers its arrays have together.
    """

    attributes: Mapping[str, str]
    values: int


def inspect_hdf5(path: str | os.PathLike[str]) -> Inspected:
    """Read everything in an HDF5 file, in a process of its own.

    Args:
        path: The file.

    Raises:
        UnreadableError: when it can't be read, refers to other files, would take too much memory or
            time, or crashes the library.
    """
    size = Path(path).stat().st_size
    seconds = _SECONDS + size / _BYTES_A_SECOND
    most = max(MOST_UNPACKED, MOST_EXPANSION * size)
    try:
        done = subprocess.run(
            children.command("tfticket._hdf5_child", str(path), str(int(seconds)), str(most)),
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
