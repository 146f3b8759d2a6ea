"""Legacy model files, made once for all tests, and what tf_keras reads in them."""

from __future__ import annotations

import functools
import hashlib
import os
import subprocess
import sys
from pathlib import Path

from shared_folder import filled_once

from tfticket.files import read_arrays
from tfticket.interop import child

# Of the wrapped layers of `wrapped.h5` and `stripped.h5`.
SPARSITIES = {
    "block_conv": 0.6,
    "shared": 0.75,
    "separable": 0.3,
    "hidden": 0.88,
    "half": 0.5,  # 33 weights: half of them end in exactly one half
    "ties": 0.5,  # 12 weights, 9 of them equal
    "output": 0.35,
}

_SCRIPT = Path(__file__).with_name("legacy_models.py")


def legacy_files(factory):
    """The folder of the files that `legacy_models` makes."""
    return filled_once(factory, "legacy", _fill)


def _fill(folder):
    done = subprocess.run(
        [sys.executable, str(_SCRIPT), str(folder)],
        capture_output=True,
        text=True,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": ""},
    )
    assert done.returncode == 0, done.stderr


def quick_reader(legacy):
    """`read_in_child` for files with the bytes of those in the folder, without a child.

    The process that made them has read them too, by the code of the child.
    """
    found = {hashlib.sha256(path.read_bytes()).hexdigest(): path for path in legacy.iterdir()}

    @functools.cache
    def content(path):
        return child._content(*read_arrays(path, kind="legacy model"))

    def read(path, file, *, timeout):
        made = found[hashlib.sha256(path.read_bytes()).hexdigest()]
        return content(made.with_name(f"{made.name}.npz"))

    return read
