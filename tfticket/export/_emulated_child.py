"""Runs a file in a folder on the inputs in it: `python -m tfticket.export._emulated_child DIR`.

A child process of `emulate`, under qemu; TensorFlow isn't imported, since that would take minutes.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from tfticket.errors import ExportError
from tfticket.export.runtime import Session


def main(folder: Path) -> None:
    """Reads `model.tflite` and `inputs.npy`, writes `outputs.npy`."""
    try:
        session = Session((folder / "model.tflite").read_bytes(), source="The file")
        outputs = session.run(np.load(folder / "inputs.npy", allow_pickle=False))
    except ExportError as error:
        sys.exit(str(error))
    np.save(folder / "outputs.npy", outputs, allow_pickle=False)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
