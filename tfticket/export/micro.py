"""TensorFlow Lite Micro: whether it runs a file, the memory that takes, and what it answers.

What its kernels can do stands here as data, read off
`tensorflow/lite/micro/micro_mutable_op_resolver.h` and the reference kernels beside it,
github.com/tensorflow/tflite-micro at commit 90b983c2 of August 2026.
"""

from __future__ import annotations

import importlib.util
import re
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tfticket.errors import ExportError
from tfticket.export import flatbuffer, foreign
from tfticket.export.flatbuffer import (
    dense_bytes,
    graphs,
    indices,
    is_constant,
    name_of,
    operators,
    shape_of,
    type_name,
)
from tfticket.export.runtime import Loaded, Session

_OPERATORS = """
    ABS ADD ADD_N ARG_MAX ARG_MIN ASSIGN_VARIABLE AVERAGE_POOL_2D BATCH_MATMUL BATCH_TO_SPACE_ND
    BROADCAST_ARGS BROADCAST_TO CALL_ONCE CAST CEIL CONCATENATION CONV_2D COS CUMSUM
    DEPTHWISE_CONV_2D DEPTH_TO_SPACE DEQUANTIZE DIV DYNAMIC_UPDATE_SLICE ELU EMBEDDING_LOOKUP EQUAL
    EXP EXPAND_DIMS FILL FLOOR FLOOR_DIV FLOOR_MOD FULLY_CONNECTED GATHER GATHER_ND GREATER
    GREATER_EQUAL HARD_SWISH IF L2_NORMALIZATION L2_POOL_2D LEAKY_RELU LESS LESS_EQUAL LOG
    LOGICAL_AND LOGICAL_NOT LOGICAL_OR LOGISTIC LOG_SOFTMAX MAXIMUM MAX_POOL_2D MEAN MINIMUM
    MIRROR_PAD MUL NEG NOT_EQUAL PACK PAD PADV2 PRELU QUANTIZE READ_VARIABLE REDUCE_ALL REDUCE_MAX
    REDUCE_MIN RELU RELU6 RESHAPE RESIZE_BILINEAR RESIZE_NEAREST_NEIGHBOR REVERSE_V2 ROUND RSQRT
    SELECT_V2 SHAPE SIN SLICE SOFTMAX SPACE_TO_BATCH_ND SPACE_TO_DEPTH SPLIT SPLIT_V SQRT SQUARE
    SQUARED_DIFFERENCE SQUEEZE STRIDED_SLICE SUB SUM SVDF TANH TRANSPOSE TRANSPOSE_CONV
    UNIDIRECTIONAL_SEQUENCE_LSTM UNPACK VAR_HANDLE WHILE ZEROS_LIKE
"""
_FLOAT_ONLY = "CEIL COS EXP FLOOR FLOOR_DIV FLOOR_MOD L2_POOL_2D LOG NEG ROUND SIN SQRT SQUARE"

OPERATORS = frozenset(_OPERATORS.split())
"""The operators that it has, without custom ones."""

_IRREGULAR = {
    "BATCH_MATMUL": "BatchMatMul",
    "CUMSUM": "CumSum",
    "PADV2": "PadV2",
    "UNIDIRECTIONAL_SEQUENCE_LSTM": "UnidirectionalSequenceLSTM",
}

FLOAT_ONLY = frozenset(_FLOAT_ONLY.split())
"""Those of them whose kernels compute with float32 and nothing else."""

TYPES = frozenset({"INT8", "INT16", "INT32", "BOOL"})
"""The types of tensors in a file that computes with integers throughout."""

WEIGHTED: Mapping[str, Mapping[str, frozenset[str]]] = {
    name: {"INT8": frozenset({"INT8"}), "INT16": frozenset({"INT8"})}
    for name in ("FULLY_CONNECTED", "CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV")
}
"""For operators with weights: type of the input to the types that weights may have then."""

MAX_RANK = 6
"""Largest rank of a tensor: `RuntimeShape::kMaxSmallSize`."""

MAX_RANK_OF: Mapping[str, int] = {"BROADCAST_TO": 5, "SLICE": 5, "STRIDED_SLICE": 4}
"""The same for what these operators read."""

MAX_INPUTS_OF: Mapping[str, int] = {"CONCATENATION": 10}
"""Largest number of tensors that these operators read."""

_WEIGHTS = {"TRANSPOSE_CONV": (2, 1)}  # which inputs are the data and the weights; others (0, 1)
_ALIGNMENT = 16  # `MicroArenaBufferAlignment`
_SHOWN = 4
_PACKAGE = "tflite_micro"
_ARENA = re.compile(r"Arena allocation (total|head) (\d+) bytes")
_EXAMPLES = 50
_MOST_UNITS = 4  # its kernels round in other places; on MNIST answers differ by one


def registration_of(operator: str) -> str:
    """Return the method of `MicroMutableOpResolver` that registers an operator.

    Example:
        >>> registration_of("DEPTHWISE_CONV_2D")
        'AddDepthwiseConv2D'
    """
    return f"Add{_IRREGULAR.get(operator) or operator.title().replace('_', '')}"


def check_micro(parsed: Any, source: str) -> None:
    """Check that TensorFlow Lite Micro runs a file, as int8 throughout.

    Raises:
        ExportError: with each rule that the file breaks.
    """
    found = violations(parsed)
    if found:
        listed = "\n".join(f"- {violation}" for violation in found)
        raise ExportError(
            f"{source} must be a file that TensorFlow Lite Micro runs with int8 throughout. "
            f"Received:\n{listed}\n"
            "Export the network in the format int8 with calibration data, and take out the layers "
            "that need what is listed."
        )


def violations(parsed: Any) -> tuple[str, ...]:
    """List what `check_micro` refuses, a sentence each; empty for a file that it accepts.

    Of operators it knows which there are, which compute only with floats, how many inputs and
    sides they take, and how types of weights go with types of inputs. Weights with one scale a
    channel are fine, in dense layers too (but not on Hexagon).
    """
    rules = (_operators, _ends, _types, _hybrid, _sides, _storage)
    return tuple(violation for rule in rules for violation in rule(parsed))


def _operators(parsed: Any) -> Iterator[str]:
    if len(parsed.subgraphs) != 1:
        yield f"{len(parsed.subgraphs)} subgraphs; there must be one."
    missing = [name for name in operators(parsed) if name not in OPERATORS]
    if missing:
        yield f"operators that it doesn't have: {', '.join(missing)}."
    found = [name for name in operators(parsed) if name in FLOAT_ONLY]
    if found:
        yield f"operators that it has for floats only: {', '.join(found)}."


def _ends(parsed: Any) -> Iterator[str]:
    for graph in parsed.subgraphs:
        for what, numbers in (("input", graph.inputs), ("output", graph.outputs)):
            for tensor in (graph.tensors[number] for number in indices(numbers)):
                if type_name(tensor) != "INT8":
                    yield (
                        f"the {what} {_quoted([tensor])} of type {type_name(tensor)}; it must be "
                        "INT8."
                    )


def _types(parsed: Any) -> Iterator[str]:
    wrong: dict[str, list[Any]] = defaultdict(list)
    for graph in parsed.subgraphs:
        ends = {*indices(graph.inputs), *indices(graph.outputs)}
        for number, tensor in enumerate(graph.tensors):
            if type_name(tensor) not in TYPES and number not in ends:
                wrong[type_name(tensor)].append(tensor)
    for name, tensors in wrong.items():
        yield (
            f"tensors of type {name}: {_quoted(tensors)}; there must be none but "
            f"{', '.join(sorted(TYPES))}."
        )


def _hybrid(parsed: Any) -> Iterator[str]:
    for graph in graphs(parsed):
        for name, operator in graph.named():
            places = _WEIGHTS.get(name, (0, 1))
            if name not in WEIGHTED or len(operator.inputs) <= max(places):
                continue
            data, weights = (graph.tensor(operator.inputs[place]) for place in places)
            if type_name(weights) not in WEIGHTED[name].get(type_name(data), frozenset()):
                yield (
                    f"{name} with {type_name(data)} data and {type_name(weights)} weights "
                    f"{_quoted([weights])}; both must be INT8 (or INT16 data with INT8 weights)."
                )


def _sides(parsed: Any) -> Iterator[str]:
    dynamic = flatbuffer.dynamic_tensors(parsed)
    if dynamic:
        yield f"sides of unknown length in {_quoted(dynamic)}; all must be static."
    deep = [tensor for tensor in flatbuffer.tensors(parsed) if len(shape_of(tensor)) > MAX_RANK]
    if deep:
        yield f"more than {MAX_RANK} sides in {_quoted(deep)}."
    for graph in graphs(parsed):
        for name, operator in graph.named():
            limit = MAX_RANK_OF.get(name)
            touched = [*graph.read(operator), *graph.written(operator)]
            deep = [t for t in touched if limit is not None and len(shape_of(t)) > limit]
            if deep:
                yield f"{name} of {_quoted(deep)} with more than {limit} sides."
            most = MAX_INPUTS_OF.get(name)
            if most is not None and len(operator.inputs) > most:
                yield f"{name} of {len(operator.inputs)} tensors; it takes {most} at most."


def _storage(parsed: Any) -> Iterator[str]:
    tensors = flatbuffer.tensors(parsed)
    sparse = [tensor for tensor in tensors if tensor.sparsity is not None]
    if sparse:
        yield f"sparsely stored {_quoted(sparse)}, which it would read as dense: wrong weights."
    outside = [t for t in tensors if t.externalBuffer or parsed.buffers[t.buffer].offset > 1]
    if outside:
        yield f"{_quoted(outside)} stored outside of the file's tables, where it doesn't look."


def _quoted(tensors: Sequence[Any]) -> str:
    shown = ", ".join(f"`{name_of(tensor)}`" for tensor in tensors[:_SHOWN])
    return shown if len(tensors) <= _SHOWN else f"{shown} and {len(tensors) - _SHOWN} more"


def arena_lower_bound(parsed: Any) -> int:
    """Return the bytes that activations need at least at one moment, with the batch in the file.

    The largest sum, over the operators in their order, of all tensors that were computed or given
    before and are still needed, each in multiples of 16 bytes. The arena of TensorFlow Lite Micro
    also holds scratch buffers and some hundred bytes an operator, and can't always be packed
    without gaps: give it more than this, and ask the runtime what it took (see `run_on_micro`).

    Args:
        parsed: A `ModelT` of one subgraph, from `flatbuffer.parse`.
    """
    graph = parsed.subgraphs[0]
    first: dict[int, int] = dict.fromkeys(indices(graph.inputs), 0)
    last: dict[int, int] = {}
    for step, operator in enumerate(graph.operators):
        for number in indices(operator.outputs):
            first.setdefault(number, step)
        for number in (*indices(operator.inputs), *indices(operator.outputs)):
            last[number] = step
    end = len(graph.operators) - 1
    computed = {n: t for n, t in enumerate(graph.tensors) if not is_constant(parsed, t)}
    kept = [number for number, tensor in computed.items() if tensor.isVariable]
    for number in (*indices(graph.outputs), *kept):
        first.setdefault(number, 0)
        last[number] = end
    live = [
        sum(
            -(-dense_bytes(tensor) // _ALIGNMENT) * _ALIGNMENT
            for number, tensor in computed.items()
            if number in first and first[number] <= step <= last.get(number, first[number])
        )
        for step in range(end + 1)
    ]
    return max(live, default=0)


@dataclass(frozen=True)
class Arena:
    """The memory that TensorFlow Lite Micro took to run a file.

    Attributes:
        arena_bytes: In all, on this machine. Where pointers have 32 bits, it takes less for its own
            records.
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

    Attributes:
        given: The examples as the file takes them, shape (n, ...), int8.
        stored: Its answers as it gives them, shape (n, ...), int8.
        outputs: The same scaled back, float32.
        arena: The memory that it took.
    """

    given: np.ndarray
    stored: np.ndarray
    outputs: np.ndarray
    arena: Arena


def has_micro() -> bool:
    """Tell whether the package with the runtime (`pip install 'tfticket[micro]'`) is installed."""
    return importlib.util.find_spec(_PACKAGE) is not None


def run_on_micro(
    content: bytes, x: np.ndarray, *, source: str = "The file", timeout: float = 300.0
) -> MicroRun:
    """Run a file with the reference kernels of TensorFlow Lite Micro, in a process of its own.

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
    _require_micro()
    return _run(content, x, source, timeout, linted=True)


def _require_micro() -> None:
    if not has_micro():
        raise ExportError(
            "TensorFlow Lite Micro must be installed to run a file in it. Received: no package "
            f"{_PACKAGE}. Install it: pip install 'tfticket[micro]'"
        )


def arena_of(content: bytes, *, source: str = "The file") -> Arena:
    """Check that TensorFlow Lite Micro runs a file, and tell the memory that it takes.

    Args:
        content: The whole file: any number of inputs and outputs, int8 throughout.
        source: What to call the file in an error.

    Raises:
        ExportError: when the package isn't installed, `check_micro` refuses the file, or the
            runtime does.
    """
    _require_micro()
    where = "TensorFlow Lite Micro"
    found = foreign.ask(arena_in_child, foreign.Request([(source, content)]), where=where)
    return _arena(found.said)


def arena_in_child(request: foreign.Request) -> foreign.Answer:
    """Run a file once in a child, on zeros; the runtime says of its memory on standard error."""
    from tflite_micro import runtime  # an optional extra

    content, source = request.content, request.source
    check_micro(flatbuffer.parse(content, source=source), source)
    given = Loaded(content, source=source, delegate=False).inputs
    try:
        interpreter = runtime.Interpreter.from_bytes(content)
        for place, spec in enumerate(given):
            interpreter.set_input(np.zeros(spec.shape, spec.dtype), place)
        interpreter.invoke()
    except (RuntimeError, ValueError) as error:
        sys.exit(str(error))  # behind what the runtime itself has written
    interpreter.print_allocations()
    return foreign.Answer(None)


def _arena(said: str) -> Arena:
    sizes = {part: int(size) for part, size in _ARENA.findall(said)}
    return Arena(sizes["total"], sizes["head"])


def _run(content: bytes, x: np.ndarray, source: str, timeout: float, *, linted: bool) -> MicroRun:
    request = foreign.Request([(source, content)], {"linted": linted}, {"x": np.asarray(x)})
    found = foreign.ask(run_in_child, request, timeout=timeout, where="TensorFlow Lite Micro")
    return MicroRun(**found.arrays, arena=_arena(found.said))


def run_in_child(request: foreign.Request) -> foreign.Answer:
    """Run a file in a child; the runtime says of its memory on standard error."""
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
    given, answers = session.input.quantize(x), []
    try:
        interpreter = runtime.Interpreter.from_bytes(content)
        for example in given:
            interpreter.set_input(example[None], 0)
            interpreter.invoke()
            answers.append(interpreter.get_output(0)[0].copy())
    except (RuntimeError, ValueError) as error:
        sys.exit(str(error))  # behind what the runtime itself has written
    interpreter.print_allocations()
    stored = np.stack(answers)
    outputs = session.output.dequantize(stored)
    return foreign.Answer(None, {"given": given, "stored": stored, "outputs": outputs})


def check_on_micro(content: bytes, x: np.ndarray | None, source: str) -> MicroRun | None:
    """Check a file of ours for TensorFlow Lite Micro, and run it there where that is possible.

    Args:
        content: The whole file.
        x: Examples as the Keras model takes them, the first 50 of which are run; None to run none.
        source: What to call the file in an error.

    Returns:
        The run; None without examples or the runtime.

    Raises:
        ExportError: when it is no file for it, or answers otherwise there.
    """
    check_micro(flatbuffer.parse(content, source=source), source)
    if x is None or not has_micro():
        return None
    x = np.asarray(x[:_EXAMPLES], np.float32)
    session = Session(content, source=source, delegate=False)
    run = run_on_micro(content, x, source=source)
    units = np.abs(session.run(x) - run.outputs).max() / (session.output.scale or 1.0)
    if units > _MOST_UNITS:
        raise ExportError(
            f"{source} must answer in TensorFlow Lite Micro as it does in LiteRT, to {_MOST_UNITS} "
            f"units of its output. Received: answers that differ by {units:.0f}. Leave out the "
            "layers that were added last, to find the operator that is computed otherwise there."
        )
    return run
