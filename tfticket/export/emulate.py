"""Run a file on an emulated processor without AVX, where other kernels are used than here.

On x86 with AVX the runtime never uses its sparse convolutions, so what goes wrong in them is seen
nowhere but on a phone. A processor of 2008 has no AVX, and qemu-user runs the ordinary runtime as
if on one. It tells which answers come out, never how long they take.
"""

from __future__ import annotations

import platform
import shutil
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tfticket.errors import ExportError
from tfticket.export import foreign
from tfticket.export.labels import check_finite
from tfticket.export.runtime import Arrays, Examples, Loaded

CPU = "Nehalem"
_PROGRAMS = ("qemu-x86_64", "qemu-x86_64-static")
_MACHINES = ("x86_64", "AMD64")
_TOLERANCE = 1e-5


@dataclass(frozen=True)
class Emulated:
    """Comparison of answers on an emulated processor with those without delegates here.

    Attributes:
        cpu: The processor.
        count: How many inputs there were.
        relative_difference: Largest difference of an output, divided by the largest output.
    """

    cpu: str
    count: int
    relative_difference: float


def why_not() -> str | None:
    """Return why nothing can be emulated here, in words; None when it can."""
    if platform.machine() not in _MACHINES or platform.system() != "Linux":
        return f"a processor without AVX can be emulated on x86-64 Linux only, not {_here()}"
    if _program() is None:
        return "qemu-user is not installed (Debian: apt-get install qemu-user-static)"
    return None


def run_without_avx(
    content: bytes, x: Arrays | Examples, *, source: str, timeout: float = 300.0
) -> np.ndarray:
    """Run a file on a processor without AVX, with the default delegate.

    Args:
        content: The whole file.
        x: Examples as real numbers, shape (n, ...).
        source: What to call the file in an error.
        timeout: Seconds to wait.

    Returns:
        One row an example, shape (n, ...), float32; several outputs one behind the other.

    Raises:
        ExportError: when `why_not` has a reason, or the file doesn't run there.
    """
    reason, program = why_not(), _program()
    if reason is not None or program is None:
        raise ExportError(
            f"An emulator is needed to run a file as if on another processor. Received: {reason}."
        )
    arrays = {str(place): each for place, each in enumerate(Examples.of(x).arrays)}
    request = foreign.Request([(source, content)], arrays=arrays)
    command = [program, "-cpu", CPU]
    try:
        answer = foreign.ask(run_in_child, request, timeout=timeout, under=command)
    except ExportError as error:
        raise ExportError(
            f"{source} must run on an emulated processor without AVX ({CPU}). {error}"
        ) from error
    return answer.arrays["outputs"]


def run_in_child(request: foreign.Request) -> foreign.Answer:
    """Run a file in a child, which runs under an emulator."""
    loaded = Loaded(request.content, source=request.source)
    x = Examples(tuple(request.arrays.values()))
    return foreign.Answer(None, {"outputs": _joined(loaded.run_all(x))})


def _joined(outputs: Sequence[np.ndarray]) -> np.ndarray:
    """One output as it is, and several flattened and side by side."""
    if len(outputs) == 1:
        return outputs[0]
    return np.concatenate([each.reshape(len(each), -1) for each in outputs], axis=1)


def check_without_avx(content: bytes, x: Arrays | Examples, *, source: str) -> Emulated:
    """Compare the answers on a processor without AVX with those of the plain kernels here.

    Args:
        content: The bytes of a file that computes in float32.
        x: Examples as real numbers, shape (n, ...); a few are enough.
        source: What to call the file in an error.

    Raises:
        ExportError: when nothing can be emulated, the file doesn't run there, or answers otherwise.
    """
    x = Examples.of(x)
    expected = _joined(Loaded(content, source=source, delegate=False).run_all(x))
    outputs = run_without_avx(content, x, source=source)
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
