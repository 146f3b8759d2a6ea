"""Rules for files that TensorFlow Lite Micro can run.

What its kernels can do stands here as data, read off
`tensorflow/lite/micro/micro_mutable_op_resolver.h` and the reference kernels beside it,
github.com/tensorflow/tflite-micro at commit 90b983c2 of August 2026.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from tfticket.errors import ExportError
from tfticket.export import flatbuffer
from tfticket.export.flatbuffer import graphs, indices, name_of, operators, shape_of, type_name

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


def registration_of(operator: str) -> str:
    """Return the method of `MicroMutableOpResolver` that registers an operator.

    Example:
        >>> registration_of("DEPTHWISE_CONV_2D")
        'AddDepthwiseConv2D'
    """
    return f"Add{_IRREGULAR.get(operator) or operator.title().replace('_', '')}"


def check_micro(parsed: Any, source: str, *, floats: bool = False) -> None:
    """Check that TensorFlow Lite Micro runs a file, as int8 throughout.

    Args:
        parsed: The file.
        source: What to call it in an error.
        floats: Whether it may compute with floats besides.

    Raises:
        ExportError: with each rule that the file breaks.
    """
    found = obstacles(parsed) if floats else violations(parsed)
    if found:
        listed = "\n".join(f"- {violation}" for violation in found)
        throughout = "" if floats else " with int8 throughout"
        raise ExportError(
            f"{source} must be a file that TensorFlow Lite Micro runs{throughout}. "
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
    rules = (_operators, _unknown_types, _hybrid, _ranks, storage)
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


def storage(parsed: Any) -> Iterator[str]:
    """Yield what it would read wrongly as it is stored."""
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
