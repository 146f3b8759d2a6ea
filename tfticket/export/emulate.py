"""Run a file on an emulated processor without AVX, where other kernels are used than here.

On x86 with AVX the runtime never uses its sparse convolutions, so what goes wrong in them is seen
nowhere but on a phone. A processor of 2008 has no AVX, and qemu-user runs the ordinary runtime as
if on one. It tells which answers come out, never how long they take.
"""

from __future__ import annotations

import platform
import shutil
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tfticket.errors import ExportError
from tfticket.export.runtime import Session
from tfticket.export.verify import check_finite

CPU = "Nehalem"
_PROGRAMS = ("qemu-x86_64", "qemu-x86_64-static")
_MACHINES = ("x86_64", "AMD64")
_TOLERANCE = 1e-5


@dataclass(frozen=True)
class Emulated:
    """How a file's answers on an emulated processor compare with those without delegates here.

    Attributes:
        cpu: The processor.
        count: How many inputs there were.
        relative_difference: Largest difference of an output, divided by the largest output.
    """

    cpu: str
    count: int
    relative_difference: float


def why_not() -> str | None:
    """Why nothing can be emulated here, in words; None when it can."""
    if platform.machine() not in _MACHINES or platform.system() != "Linux":
        return f"a processor without AVX can be emulated on x86-64 Linux only, not {_here()}"
    if _program() is None:
        return "qemu-user is not installed (Debian: apt-get install qemu-user-static)"
    return None


def run_without_avx(
    content: bytes, x: np.ndarray, *, source: str, timeout: float = 300.0
) -> np.ndarray:
    """The answers of a file on a processor without AVX, with the default delegate.

    Args:
        content: The whole file.
        x: Examples as real numbers, shape (n, ...).
        source: What to call the file in an error.
        timeout: Seconds to wait.

    Returns:
        Shape (n, ...), float32.

    Raises:
        ExportError: when `why_not` has a reason, or the file doesn't run there.
    """
    reason, program = why_not(), _program()
    if reason is not None or program is None:
        raise ExportError(
            f"An emulator is needed to run a file as if on another processor. Received: {reason}."
        )
    with tempfile.TemporaryDirectory(prefix="tfticket-") as name:
        folder = Path(name)
        (folder / "model.tflite").write_bytes(content)
        np.save(folder / "inputs.npy", x, allow_pickle=False)
        _run([program, "-cpu", CPU], folder, source, timeout)
        return np.load(folder / "outputs.npy", allow_pickle=False)


def check_without_avx(
    content: bytes, x: np.ndarray, *, source: str, timeout: float = 300.0
) -> Emulated:
    """Holds the answers on a processor without AVX against those of the plain kernels here.

    Args:
        content: The bytes of a file that computes in float32.
        x: Examples as real numbers, shape (n, ...); a few are enough.
        source: What to call the file in an error.
        timeout: Seconds to wait.

    Raises:
        ExportError: when nothing can be emulated, the file doesn't run there, or answers otherwise.
    """
    expected = Session(content, source=source, delegate=False).run(x)
    outputs = run_without_avx(content, x, source=source, timeout=timeout)
    who = f"{source}, run on an emulated processor without AVX ({CPU}),"
    check_finite(outputs, who)
    largest = max(float(np.abs(expected).max()), float(np.finfo(np.float32).tiny))
    difference = float(np.abs(outputs - expected).max()) / largest
    if difference > _TOLERANCE:
        raise ExportError(
            f"{who} must answer as it does without delegates, to {_TOLERANCE:g} of its largest "
            f"output. Received: outputs that differ by {difference:.2g} of it. A phone would be "
            "wrong too. Choose a dense format."
        )
    return Emulated(CPU, len(x), difference)


def _program() -> str | None:
    return next(filter(None, map(shutil.which, _PROGRAMS)), None)


def _here() -> str:
    return f"{platform.system()} on {platform.machine()}"


def _run(emulator: list[str], folder: Path, source: str, timeout: float) -> None:
    command = [*emulator, sys.executable, "-m", "tfticket.export._emulated_child", str(folder)]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", check=False, timeout=timeout
        )
    except subprocess.TimeoutExpired as error:
        raise ExportError(
            f"{source} must run on an emulated processor within {timeout:g} s. It took longer. "
            "Give it more time or fewer examples."
        ) from error
    if done.returncode:
        raise ExportError(
            f"{source} must run on an emulated processor without AVX ({CPU}). It doesn't: "
            f"{_why(done)}"
        )


def _why(done: subprocess.CompletedProcess[str]) -> str:
    if done.returncode < 0:
        return f"its process was ended by {signal.Signals(-done.returncode).name}."
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    return lines[-1] if lines else "it gave no reason."
