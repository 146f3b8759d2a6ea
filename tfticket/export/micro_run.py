"""Run a file in TensorFlow Lite Micro itself, on this machine."""

from __future__ import annotations

import importlib.util
import re
import sys
from dataclasses import dataclass

import numpy as np

from tfticket.errors import ExportError
from tfticket.export import flatbuffer, foreign
from tfticket.export.micro import check_micro
from tfticket.export.runtime import Session

_PACKAGE = "tflite_micro"
_ARENA = re.compile(r"Arena allocation (total|head) (\d+) bytes")


@dataclass(frozen=True, eq=False)
class MicroRun:
    """What TensorFlow Lite Micro did with a file.

    Attributes:
        outputs: Its answers, shape (n, ...), float32; integers are scaled back.
        arena_bytes: Memory that it took in all on this machine. Where pointers have 32 bits, it
            takes less for its own records.
        activation_bytes: The part of it that holds activations and scratch buffers, which is the
            same everywhere where the same kernels run.
    """

    outputs: np.ndarray
    arena_bytes: int
    activation_bytes: int


def has_micro() -> bool:
    """Whether the package with the runtime (`pip install 'tfticket[micro]'`) is installed."""
    return importlib.util.find_spec(_PACKAGE) is not None


def run_on_micro(
    content: bytes, x: np.ndarray, *, source: str = "The file", timeout: float = 300.0
) -> MicroRun:
    """Runs a file with the reference kernels of TensorFlow Lite Micro, in a process of its own.

    Args:
        content: The whole file: one input, one output, int8 throughout.
        x: Examples as the Keras model takes them, real numbers, shape (n, ...), n >= 1.
        source: What to call the file in an error.
        timeout: Seconds after which the process is ended.

    Returns:
        Its answers and the memory it took.

    Raises:
        ExportError: when the package isn't installed, `check_micro` refuses the file, or the
            runtime does, with its last words.
    """
    if not has_micro():
        raise ExportError(
            "TensorFlow Lite Micro must be installed to run a file in it. Received: no package "
            f"{_PACKAGE}. Install it: pip install 'tfticket[micro]'"
        )
    return _run(content, x, source, timeout, linted=True)


def _run(content: bytes, x: np.ndarray, source: str, timeout: float, *, linted: bool) -> MicroRun:
    request = foreign.Request([(source, content)], {"linted": linted}, {"x": np.asarray(x)})
    found = foreign.ask("micro", request, timeout=timeout, where="TensorFlow Lite Micro")
    arena = {part: int(size) for part, size in _ARENA.findall(found.said)}
    return MicroRun(found.arrays["outputs"], arena["total"], arena["head"])


def run_in_child(request: foreign.Request) -> foreign.Answer:
    """What `run_on_micro` asks a child; the runtime says of its memory on standard error."""
    from tflite_micro import runtime  # an optional extra

    content, source, x = request.content, request.source, request.arrays["x"]
    if request.options["linted"]:
        check_micro(flatbuffer.parse(content, source=source), source)
    session = Session(content, source=source, delegate=False)
    if tuple(x.shape[1:]) != session.input.shape[1:] or not len(x):
        raise ExportError(
            f"`x` must be examples of the shape {session.input.shape[1:]}, at least one. "
            f"Received: the shape {x.shape}."
        )
    outputs = []
    try:
        interpreter = runtime.Interpreter.from_bytes(content)
        for stored in session.input.quantize(x):
            interpreter.set_input(stored[None], 0)
            interpreter.invoke()
            outputs.append(interpreter.get_output(0)[0].copy())
    except (RuntimeError, ValueError) as error:
        sys.exit(str(error))  # behind what the runtime itself has written
    interpreter.print_allocations()
    return foreign.Answer(None, {"outputs": session.output.dequantize(np.stack(outputs))})
