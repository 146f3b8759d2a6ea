"""Runs one file in TensorFlow Lite Micro. Only ever run as a process of its own.

Called with a folder that holds `model.tflite` and `inputs.npy`; writes `outputs.npy`. What the
runtime says of its memory goes to standard error. The runtime ends the process where a file breaks
one of its assertions, which is why it has a process of its own.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np


def run(folder: Path) -> None:
    """Feeds each of the inputs, shape (n, ...), as the file stores them."""
    from tflite_micro import runtime  # an optional extra

    interpreter = runtime.Interpreter.from_bytes((folder / "model.tflite").read_bytes())
    outputs = []
    for stored in np.load(folder / "inputs.npy", allow_pickle=False):
        interpreter.set_input(stored[None], 0)
        interpreter.invoke()
        outputs.append(interpreter.get_output(0)[0].copy())
    np.save(folder / "outputs.npy", np.stack(outputs), allow_pickle=False)
    interpreter.print_allocations()


if __name__ == "__main__":
    run(Path(sys.argv[1]))
