"""Run a file in TensorFlow Lite Micro itself, on this machine."""

from __future__ import annotations

import importlib.util
import re
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tfticket.errors import ExportError
from tfticket.export import flatbuffer
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
    check_micro(flatbuffer.parse(content, source=source), source)
    session = Session(content, source=source, delegate=False)
    if tuple(x.shape[1:]) != session.input.shape[1:] or not len(x):
        raise ExportError(
            f"`x` must be examples of the shape {session.input.shape[1:]}, at least one. "
            f"Received: the shape {x.shape}."
        )
    with tempfile.TemporaryDirectory(prefix="tfticket-") as name:
        folder = Path(name)
        (folder / "model.tflite").write_bytes(content)
        np.save(folder / "inputs.npy", session.input.quantize(x), allow_pickle=False)
        said = _run(folder, source, timeout)
        stored = np.load(folder / "outputs.npy", allow_pickle=False)
    arena = {part: int(size) for part, size in _ARENA.findall(said)}
    return MicroRun(session.output.dequantize(stored), arena["total"], arena["head"])


def _run(folder: Path, source: str, timeout: float) -> str:
    command = [sys.executable, "-m", "tfticket.export._micro_child", str(folder)]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", check=False, timeout=timeout
        )
    except subprocess.TimeoutExpired as error:
        raise ExportError(
            f"{source} must run in TensorFlow Lite Micro within {timeout:g} s. It took longer. "
            "Give it more time or fewer examples."
        ) from error
    if done.returncode:
        raise ExportError(f"{source} must run in TensorFlow Lite Micro. It doesn't: {_why(done)}")
    return done.stderr


def _why(done: subprocess.CompletedProcess[str]) -> str:
    """The runtime's own words, which stand before Python's traceback."""
    words, _, trace = done.stderr.partition("Traceback (most recent call last)")
    lines = [line for line in (words.strip() or trace.strip()).splitlines() if line.strip()]
    said = "; ".join(lines[-2:]) or "it says nothing"
    if done.returncode < 0:
        said += f" (ended by {signal.Signals(-done.returncode).name})"
    return f"{said}."
