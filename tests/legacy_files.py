"""Legacy model files, made once for all tests of a process."""

from __future__ import annotations

import functools
import hashlib
import os
import subprocess
import sys
from pathlib import Path

from tfticket.interop.child import read_in_child

_READ = {}

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


@functools.cache
def legacy_files(base):
    """The folder of the files that `legacy_models` makes, below `base`."""
    folder = base / "legacy"
    folder.mkdir()
    done = subprocess.run(
        [sys.executable, str(_SCRIPT), str(folder)],
        capture_output=True,
        text=True,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": ""},
    )
    assert done.returncode == 0, done.stderr
    return folder


def read_once(path, file, *, timeout):
    """`read_in_child`, which starts no second child for the same bytes."""
    key = hashlib.sha256(path.read_bytes()).hexdigest()
    if key not in _READ:
        _READ[key] = read_in_child(path, file, timeout=timeout)
    return _READ[key]
