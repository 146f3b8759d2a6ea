"""TensorFlow Lite Micro: what it answers to a file, and the memory that takes."""

from __future__ import annotations

import importlib.util
import os
import re
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tfticket.errors import ExportError
from tfticket.export import flatbuffer, foreign
from tfticket.export.flatbuffer import (
    dense_bytes,
    indices,
    is_constant,
    operators,
    shape_of,
    type_name,
)
from tfticket.export.micro_rules import check_micro, obstacles, storage
from tfticket.export.runtime import Arrays, Examples, Loaded

_PACKAGE = "tflite_micro"
_ARENA = re.compile(rb"Arena allocation (total|head) (\d+) bytes")
_EXAMPLES = 50
_ALIGNED = 16  # bytes
_UNITS = 255  # of the range of floats
_MOST_UNITS = 4  # its kernels round in other places; on MNIST answers differ by one
_MOST_UNITS_OF = {"int16": 4 * 2**8}  # the same share of the range
_FEWEST_ARENA_BYTES = 2**16


@dataclass(frozen=True)
class Arena:
    """The memory that TensorFlow Lite Micro took to run a file.

    Attributes:
        arena_bytes: The smallest arena that it starts in on this machine. Where pointers have 32
            bits, it takes less for its own records.
        activation_bytes: The part that holds activations and scratch buffers, which is the same
            everywhere where the same kernels run.
    """

    arena_bytes: int
    activation_bytes: int

    def summary(self) -> str:
        """Return both numbers in words."""
        return (
            f"{self.arena_bytes:,} bytes in TensorFlow Lite Micro, {self.activation_bytes:,} of "
            "them for activations"
        )


@dataclass(frozen=True, eq=False)
class MicroRun:
    """A run of a file in TensorFlow Lite Micro.

    Of several inputs or outputs there is one array for each, in the order of the file.

    Attributes:
        given: The examples as the file takes them, shape (n, ...), int8.
        stored: Its answers as it gives them, shape (n, ...), int8.
        outputs: The same scaled back, float32.
        arena: The memory that it took.
    """

    given: np.ndarray | tuple[np.ndarray, ...]
    stored: np.ndarray | tuple[np.ndarray, ...]
    outputs: np.ndarray | tuple[np.ndarray, ...]
    arena: Arena


def has_micro() -> bool:
    """Tell whether the package with the runtime (`pip install 'tfticket[micro]'`) is installed."""
    return importlib.util.find_spec(_PACKAGE) is not None


def run_on_micro(
    content: bytes,
    x: Arrays | Examples,
    *,
    source: str = "The file",
    timeout: float = 300.0,
    floats: bool = False,
) -> MicroRun:
    """Run a file with the reference kernels of TensorFlow Lite Micro, in a process of its own.

    Args:
        content: The whole file: int8 throughout.
        x: Examples as the Keras model takes them, real numbers, shape (n, ...), n >= 1; of several
            inputs in their order.
        source: What to call the file in an error.
        timeout: Seconds after which the process is ended.
        floats: Whether it may compute with floats besides.

    Returns:
        Its answers and the memory it took.

    Raises:
        ExportError: when the package isn't installed, `check_micro` refuses the file, or the
            runtime does, with its last words.
    """
    _require_micro()
    return _run(content, x, source, timeout, {"floats": floats})


def _require_micro() -> None:
    if not has_micro():
        raise ExportError(
            "TensorFlow Lite Micro must be installed to run a file in it. Received: no package "
            f"{_PACKAGE}. Install it: pip install 'tfticket[micro]'"
        )


def arena_of(content: bytes, *, source: str = "The file") -> Arena:
    """Check that TensorFlow Lite Micro runs a file of any origin, and tell the memory it takes.

    Args:
        content: The whole file: any number of inputs and outputs, of any types.
        source: What to call the file in an error.

    Raises:
        ExportError: when the package isn't installed, the runtime refuses the file, or would read
            weights wrongly, with what stands in the way.
    """
    _require_micro()
    where = "TensorFlow Lite Micro"
    found = foreign.ask(arena_in_child, foreign.Request([(source, content)]), where=where)
    return Arena(*found.value)


def arena_in_child(request: foreign.Request) -> foreign.Answer:
    """Run a file once in a child, on zeros."""
    from tflite_micro import runtime  # an optional extra

    content, source = request.content, request.source
    parsed = flatbuffer.parse(content, source=source)
    found = obstacles(parsed)
    if any(True for _ in storage(parsed)):
        raise ExportError(
            f"{source} must be stored as TensorFlow Lite Micro reads it. It has {' '.join(found)}"
        )
    try:
        interpreter = runtime.Interpreter.from_bytes(content, arena_size=_arena_size(parsed))
        graph = parsed.subgraphs[0]
        for place, number in enumerate(indices(graph.inputs)):
            tensor = graph.tensors[number]
            interpreter.set_input(np.zeros(shape_of(tensor), type_name(tensor).lower()), place)
        interpreter.invoke()
    except (RuntimeError, ValueError, TypeError) as error:
        sys.exit(with_reasons(str(error), found))  # behind what the runtime itself has written
    return foreign.Answer(_arena(interpreter, content, _arena_size(parsed)))


def with_reasons(said: str, reasons: Sequence[str]) -> str:
    """Add to what the runtime says what is known to stand in the way."""
    return f"{said.rstrip('.')}. It has {' '.join(reasons)}" if reasons else said


def _arena(interpreter: Any, content: bytes, enough: int) -> list[int]:
    """The smallest arena that the runtime starts in, and the bytes of activations.

    What it says that it took is too little where planning, which is over by then, took more.
    """
    saved = os.dup(2)
    with tempfile.TemporaryFile() as said:
        os.dup2(said.fileno(), 2)  # where it prints to
        interpreter.print_allocations()
        said.seek(0)
        sizes = {part.decode(): int(size) for part, size in _ARENA.findall(said.read())}
        low, high = sizes["total"] // _ALIGNED - 1, enough // _ALIGNED
        size = low + 1  # where most files start
        while high - low > 1:
            low, high = (low, size) if _starts(content, size * _ALIGNED) else (size, high)
            size = (low + high) // 2
        os.dup2(saved, 2)
    os.close(saved)
    return [high * _ALIGNED, sizes["head"]]


def _starts(content: bytes, size: int) -> bool:
    """True if the runtime starts in an arena; tried in a process that one too small may end."""
    from tflite_micro import runtime  # an optional extra

    child = os.fork()
    if not child:
        status = 1
        try:
            runtime.Interpreter.from_bytes(content, arena_size=size)
            status = 0
        finally:
            os._exit(status)
    return os.waitpid(child, 0)[1] == 0


def _run(
    content: bytes, x: Arrays | Examples, source: str, timeout: float, check: dict[str, bool] | None
) -> MicroRun:
    arrays = {str(place): each for place, each in enumerate(Examples.of(x).arrays)}
    request = foreign.Request([(source, content)], {"check": check}, arrays)
    found = foreign.ask(run_in_child, request, timeout=timeout, where="TensorFlow Lite Micro")
    of: dict[str, tuple[np.ndarray, ...]] = {"given": (), "stored": (), "outputs": ()}
    for name, array in found.arrays.items():
        of[name.partition(".")[0]] += (array,)
    ends = {name: arrays[0] if len(arrays) == 1 else arrays for name, arrays in of.items()}
    return MicroRun(**ends, arena=Arena(*found.value))


def run_in_child(request: foreign.Request) -> foreign.Answer:
    """Run a file in a child."""
    from tflite_micro import runtime  # an optional extra

    content, source, x = request.content, request.source, Examples(tuple(request.arrays.values()))
    parsed = flatbuffer.parse(content, source=source)
    if request.options["check"] is not None:
        check_micro(parsed, source, **request.options["check"])
    loaded = Loaded(content, source=source, delegate=False)
    shapes = [spec.shape[1:] for spec in loaded.inputs]
    if [array.shape[1:] for array in x.arrays] != shapes or not len(x):
        raise ExportError(
            f"`x` must be examples of the shape {' and '.join(map(str, shapes))}, at least one. "
            f"Received: the shape {' and '.join(str(array.shape) for array in x.arrays)}."
        )
    given = [spec.quantize(each) for spec, each in zip(loaded.inputs, x.arrays, strict=True)]
    answers = []
    try:
        interpreter = runtime.Interpreter.from_bytes(content, arena_size=_arena_size(parsed))
        for feed in Examples(tuple(given)).batches():
            for place, array in enumerate(feed):
                interpreter.set_input(array, place)
            interpreter.invoke()
            places = range(len(loaded.outputs))
            answers.append([interpreter.get_output(place).copy() for place in places])
    except (RuntimeError, ValueError) as error:
        sys.exit(str(error))  # behind what the runtime itself has written
    stored = [np.concatenate(each) for each in zip(*answers, strict=True)]
    outputs = [spec.dequantize(each) for spec, each in zip(loaded.outputs, stored, strict=True)]
    told = {"given": given, "stored": stored, "outputs": outputs}
    return foreign.Answer(
        _arena(interpreter, content, _arena_size(parsed)),
        {f"{name}.{place}": a for name, arrays in told.items() for place, a in enumerate(arrays)},
    )


def _arena_size(parsed: Any) -> int:
    """Bytes of an arena in which a file of any kind finds room, to see what it takes of it."""
    sizes = [dense_bytes(t) for t in flatbuffer.tensors(parsed) if not is_constant(parsed, t)]
    return _FEWEST_ARENA_BYTES + 4 * sum(sizes) + 1024 * sum(operators(parsed).values())


def check_on_micro(
    content: bytes, x: Arrays | Examples | None, source: str, *, floats: bool = False
) -> MicroRun | None:
    """Check a file of ours for TensorFlow Lite Micro, and run it there where that is possible.

    Args:
        content: The whole file.
        x: Examples as the Keras model takes them, the first 50 of which are run; None to run none.
        source: What to call the file in an error.
        floats: Whether it may compute with floats besides.

    Returns:
        The run; None without examples or the runtime.

    Raises:
        ExportError: when it is no file for it, or answers otherwise there.
    """
    check_micro(flatbuffer.parse(content, source=source), source, floats=floats)
    if x is None or not has_micro():
        return None
    x = Examples.of(x).first(_EXAMPLES)
    loaded = Loaded(content, source=source, delegate=False)
    run = run_on_micro(content, x, source=source, floats=floats)
    outputs = run.outputs if isinstance(run.outputs, tuple) else (run.outputs,)
    for spec, ours, theirs in zip(loaded.outputs, loaded.run_all(x), outputs, strict=True):
        unit = spec.scale or float(np.ptp(ours)) / _UNITS or 1.0
        units = np.abs(ours - theirs).max() / unit
        most = _MOST_UNITS_OF.get(spec.dtype, _MOST_UNITS)
        if units > most:
            at = f" at the output {spec.name!r}" if len(outputs) > 1 else ""
            raise ExportError(
                f"{source} must answer in TensorFlow Lite Micro as it does in LiteRT, to {most} "
                f"units of its output. Received: answers that differ by {units:.0f}{at}. Leave "
                "out the layers that were added last, to find the operator that is computed "
                "otherwise there."
            )
    return run
