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
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tfticket.errors import ExportError
from tfticket.export import flatbuffer, foreign
from tfticket.export.activations import arena_lower_bound as arena_lower_bound
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
from tfticket.export.runtime import Arrays, Examples, Loaded

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
    "custom:TFLite_Detection_PostProcess": "DetectionPostprocess",
    "PADV2": "PadV2",
    "UNIDIRECTIONAL_SEQUENCE_LSTM": "UnidirectionalSequenceLSTM",
}

FLOAT_ONLY = frozenset(_FLOAT_ONLY.split())
"""Those of them whose kernels compute with float32 and nothing else."""

TYPES = frozenset({"INT8", "INT16", "INT32", "INT64", "BOOL", "RESOURCE"})
"""The types of tensors in a file that computes with integers throughout; biases of int16 layers are
INT64, and states RESOURCE."""

ENDS = ("INT8", "INT16", "UINT8")
"""The types that such a file can take and give."""

_CUSTOM = frozenset({"custom:TFLite_Detection_PostProcess"})
_CALLING = frozenset({"CALL_ONCE", "IF", "WHILE"})  # they run other subgraphs

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
_SHOWN = 4
_PACKAGE = "tflite_micro"
_ARENA = re.compile(r"Arena allocation (total|head) (\d+) bytes")
_EXAMPLES = 50
_MOST_UNITS = 4  # its kernels round in other places; on MNIST answers differ by one
_MOST_UNITS_OF = {"int16": 4 * 2**8}  # the same share of the range
_FEWEST_ARENA_BYTES = 2**16


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
    return (*obstacles(parsed), *reservations(parsed))


def obstacles(parsed: Any) -> tuple[str, ...]:
    """List why TensorFlow Lite Micro can't run a file, or would read its weights wrongly."""
    rules = (_operators, _unknown_types, _hybrid, _ranks, _storage)
    return tuple(obstacle for rule in rules for obstacle in rule(parsed))


def reservations(parsed: Any) -> tuple[str, ...]:
    """List what doesn't compute with integers throughout, or has sides of unknown length.

    It runs such a file, with floats, and with the sides that the file stores.
    """
    rules = (_graphs, _float_operators, _ends, _floats, _float_layers, _unknown_sides)
    return tuple(reservation for rule in rules for reservation in rule(parsed))


def _operators(parsed: Any) -> Iterator[str]:
    missing = [name for name in operators(parsed) if name not in OPERATORS | _CUSTOM]
    if missing:
        yield f"operators that it doesn't have: {', '.join(missing)}."


def _graphs(parsed: Any) -> Iterator[str]:
    if len(parsed.subgraphs) > 1 and not _CALLING & operators(parsed).keys():
        yield f"{len(parsed.subgraphs)} subgraphs; there must be one, or one that calls the others."


def _float_operators(parsed: Any) -> Iterator[str]:
    found = [name for name in operators(parsed) if name in FLOAT_ONLY]
    if found:
        yield f"operators that it has for floats only: {', '.join(found)}."


def _ends(parsed: Any) -> Iterator[str]:
    graph = parsed.subgraphs[0]
    for what, numbers in (("input", graph.inputs), ("output", graph.outputs)):
        for tensor in (graph.tensors[number] for number in indices(numbers)):
            if type_name(tensor) not in (*ENDS, "INT32", "BOOL"):
                yield (
                    f"the {what} {_quoted([tensor])} of type {type_name(tensor)}; it must be "
                    f"{', '.join(ENDS)} (or INT32 or BOOL for what isn't rounded)."
                )


def _unknown_types(parsed: Any) -> Iterator[str]:
    known = TYPES | {"FLOAT32", "UINT8"}
    yield from _of_types(parsed, lambda name: name not in known, "it has no kernels for them.")


def _floats(parsed: Any) -> Iterator[str]:
    rule = f"there must be none but {', '.join(sorted(TYPES))}."
    yield from _of_types(parsed, lambda name: name in ("FLOAT32", "UINT8"), rule)


def _of_types(parsed: Any, wrong: Callable[[str], bool], rule: str) -> Iterator[str]:
    found: dict[str, list[Any]] = defaultdict(list)
    for graph in parsed.subgraphs:
        ends = {*indices(graph.inputs), *indices(graph.outputs)}
        for number, tensor in enumerate(graph.tensors):
            if wrong(type_name(tensor)) and number not in ends:
                found[type_name(tensor)].append(tensor)
    for name, tensors in found.items():
        yield f"tensors of type {name}: {_quoted(tensors)}; {rule}"


def _hybrid(parsed: Any) -> Iterator[str]:
    for (name, data, weights), tensors in _weights(parsed).items():
        same_floats = data == weights == "FLOAT32"
        if weights not in WEIGHTED[name].get(data, frozenset()) and not same_floats:
            yield (
                f"{name} with {data} data and {weights} weights {_quoted(tensors)}; both must be "
                "INT8 (or INT16 data with INT8 weights)."
            )


def _float_layers(parsed: Any) -> Iterator[str]:
    for (name, data, weights), tensors in _weights(parsed).items():
        if data == weights == "FLOAT32":
            yield (
                f"{name} with FLOAT32 data and FLOAT32 weights {_quoted(tensors)}; both must be "
                "INT8 (or INT16 data with INT8 weights)."
            )


def _weights(parsed: Any) -> dict[tuple[str, str, str], list[Any]]:
    """The weights of layers, by operator, type of the data and type of the weights."""
    found: dict[tuple[str, str, str], list[Any]] = defaultdict(list)
    for graph in graphs(parsed):
        for name, operator in graph.named():
            places = _WEIGHTS.get(name, (0, 1))
            if name in WEIGHTED and len(operator.inputs) > max(places):
                data, weights = (graph.tensor(operator.inputs[place]) for place in places)
                found[name, type_name(data), type_name(weights)].append(weights)
    return found


def _unknown_sides(parsed: Any) -> Iterator[str]:
    dynamic = flatbuffer.dynamic_tensors(parsed)
    if dynamic:
        yield f"sides of unknown length in {_quoted(dynamic)}; all must be static."


def _ranks(parsed: Any) -> Iterator[str]:
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
    content: bytes, x: Arrays | Examples, *, source: str = "The file", timeout: float = 300.0
) -> MicroRun:
    """Run a file with the reference kernels of TensorFlow Lite Micro, in a process of its own.

    Args:
        content: The whole file: int8 throughout.
        x: Examples as the Keras model takes them, real numbers, shape (n, ...), n >= 1; of several
            inputs in their order.
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
    return _arena(found.said)


def arena_in_child(request: foreign.Request) -> foreign.Answer:
    """Run a file once in a child, on zeros; the runtime says of its memory on standard error."""
    from tflite_micro import runtime  # an optional extra

    content, source = request.content, request.source
    parsed = flatbuffer.parse(content, source=source)
    found = obstacles(parsed)
    if any(True for _ in _storage(parsed)):
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
    interpreter.print_allocations()
    return foreign.Answer(None)


def with_reasons(said: str, reasons: Sequence[str]) -> str:
    """Add to what the runtime says what is known to stand in the way."""
    return f"{said.rstrip('.')}. It has {' '.join(reasons)}" if reasons else said


def _arena(said: str) -> Arena:
    sizes = {part: int(size) for part, size in _ARENA.findall(said)}
    return Arena(sizes["total"], sizes["head"])


def _run(
    content: bytes, x: Arrays | Examples, source: str, timeout: float, *, linted: bool
) -> MicroRun:
    arrays = {str(place): each for place, each in enumerate(Examples.of(x).arrays)}
    request = foreign.Request([(source, content)], {"linted": linted}, arrays)
    found = foreign.ask(run_in_child, request, timeout=timeout, where="TensorFlow Lite Micro")
    of: dict[str, tuple[np.ndarray, ...]] = {"given": (), "stored": (), "outputs": ()}
    for name, array in found.arrays.items():
        of[name.partition(".")[0]] += (array,)
    ends = {name: arrays[0] if len(arrays) == 1 else arrays for name, arrays in of.items()}
    return MicroRun(**ends, arena=_arena(found.said))


def run_in_child(request: foreign.Request) -> foreign.Answer:
    """Run a file in a child; the runtime says of its memory on standard error."""
    from tflite_micro import runtime  # an optional extra

    content, source, x = request.content, request.source, Examples(tuple(request.arrays.values()))
    parsed = flatbuffer.parse(content, source=source)
    if request.options["linted"]:
        check_micro(parsed, source)
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
    interpreter.print_allocations()
    stored = [np.concatenate(each) for each in zip(*answers, strict=True)]
    outputs = [spec.dequantize(each) for spec, each in zip(loaded.outputs, stored, strict=True)]
    told = {"given": given, "stored": stored, "outputs": outputs}
    return foreign.Answer(
        None,
        {f"{name}.{place}": a for name, arrays in told.items() for place, a in enumerate(arrays)},
    )


def _arena_size(parsed: Any) -> int:
    """Bytes of an arena in which a file of any kind finds room, to see what it takes of it."""
    sizes = [dense_bytes(t) for t in flatbuffer.tensors(parsed) if not is_constant(parsed, t)]
    return _FEWEST_ARENA_BYTES + 4 * sum(sizes) + 1024 * sum(operators(parsed).values())


def check_on_micro(content: bytes, x: Arrays | Examples | None, source: str) -> MicroRun | None:
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
    x = Examples.of(x).first(_EXAMPLES)
    loaded = Loaded(content, source=source, delegate=False)
    run = run_on_micro(content, x, source=source)
    outputs = run.outputs if isinstance(run.outputs, tuple) else (run.outputs,)
    for spec, ours, theirs in zip(loaded.outputs, loaded.run_all(x), outputs, strict=True):
        units = np.abs(ours - theirs).max() / (spec.scale or 1.0)
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
