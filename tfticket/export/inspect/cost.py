"""Count what a file computes and moves in one inference, operator by operator."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from tfticket.export.activations import arena_lower_bound
from tfticket.export.flatbuffer import (
    Graph,
    dense_bytes,
    elements,
    indices,
    is_constant,
    name_of,
    shape_of,
    stored_bytes,
    type_name,
)

# They only name the same numbers otherwise.
_VIEWS = frozenset({"RESHAPE", "SQUEEZE", "EXPAND_DIMS"})
_MOVERS = """
BATCH_TO_SPACE_ND BROADCAST_TO CONCATENATION DEPTH_TO_SPACE FILL GATHER GATHER_ND MIRROR_PAD PACK
PAD PADV2 REVERSE_V2 SHAPE SLICE SPACE_TO_BATCH_ND SPACE_TO_DEPTH SPLIT SPLIT_V STRIDED_SLICE TILE
TRANSPOSE UNPACK ZEROS_LIKE
"""
_MOVING = _VIEWS | set(_MOVERS.split())
_NOT_KNOWN = """
BIDIRECTIONAL_SEQUENCE_LSTM BIDIRECTIONAL_SEQUENCE_RNN CALL CALL_ONCE IF LSTM RNN
STABLEHLO_COMPOSITE SVDF UNIDIRECTIONAL_SEQUENCE_LSTM UNIDIRECTIONAL_SEQUENCE_RNN WHILE
"""
_UNKNOWN = frozenset(_NOT_KNOWN.split())
_MULTIPLYING = frozenset(
    {
        *("FULLY_CONNECTED", "CONV_2D", "CONV_3D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV"),
        "BATCH_MATMUL",
    }
)


@dataclass(frozen=True)
class OperatorCost:
    """The cost of one operator in one inference.

    Attributes:
        operator: Its name, such as `CONV_2D`.
        output: The tensor that it writes.
        multiply_adds: Products that are added up, zeros among the weights included.
        effective_multiply_adds: Those that its kernel really computes. Fewer only for a dense layer
            whose weights are stored sparsely; any other kernel multiplies by zeros too.
        other_operations: One for each number of the larger of input and output, where it computes
            something else: an addition, a maximum, a function.
        arithmetic: The type it multiplies: `float32`, `int8`, `int16`.
        weight_bytes: Of constants that it reads, each once, as they are stored; of those that are
            unpacked when the file is loaded, as they are then.
        read_bytes: Of other tensors that it reads.
        written_bytes: Of what it writes.
    """

    operator: str
    output: str
    multiply_adds: int
    effective_multiply_adds: int
    other_operations: int
    arithmetic: str
    weight_bytes: int
    read_bytes: int
    written_bytes: int


@dataclass(frozen=True)
class Cost:
    """The cost of one inference of a file, with the batch that is in it.

    Attributes:
        operators: One after the other.
        peak_activation_bytes: The most that is alive at one moment, at least.
        uncounted: Operators whose cost isn't known: custom ones, and those that call graphs or
            keep a state.
    """

    operators: tuple[OperatorCost, ...]
    peak_activation_bytes: int
    uncounted: tuple[str, ...]

    def total(self, field: str) -> int:
        """Sum up one number of the operators, such as `multiply_adds`."""
        return sum(getattr(operator, field) for operator in self.operators)

    @property
    def multiply_adds(self) -> int:
        """Of all operators, zeros included."""
        return self.total("multiply_adds")

    @property
    def effective_multiply_adds(self) -> int:
        """Of all operators, without those that a kernel skips."""
        return self.total("effective_multiply_adds")

    @property
    def weight_bytes(self) -> int:
        """Of all constants that are read."""
        return self.total("weight_bytes")

    @property
    def activation_bytes(self) -> int:
        """Of everything else that is read or written."""
        return self.total("read_bytes") + self.total("written_bytes")


def count(parsed: Any) -> Cost:
    """Count multiply-adds and bytes of the first graph of a file.

    Operators that read nothing but constants (weights unpacked from float16, or from sparse storage
    for kernels that can't read it) run once when the file is loaded and cost nothing here; those
    that read what they wrote read all of it. Reshapes are free.
    """
    graph = Graph(parsed, parsed.subgraphs[0])
    counted: list[OperatorCost] = []
    uncounted: list[str] = []
    for name, operator in graph.named():
        if graph.unpacks(operator):
            continue
        if name in _UNKNOWN or ":" in name:
            uncounted.append(name)
        else:
            counted.append(_cost(graph, operator, name, graph.ready))
    return Cost(tuple(counted), arena_lower_bound(parsed), tuple(dict.fromkeys(uncounted)))


def _cost(graph: Graph, operator: Any, name: str, ready: set[int]) -> OperatorCost:
    written = graph.written(operator)
    fixed = [graph.tensor(n) for n in indices(operator.inputs) if n in ready]
    given = [graph.tensor(n) for n in indices(operator.inputs) if n not in ready]
    products = _products(graph, operator, name)
    computes = not products and name not in _MOVING
    moves = name not in _VIEWS
    return OperatorCost(
        operator=name,
        output=name_of(written[0]) if written else "",
        multiply_adds=products,
        effective_multiply_adds=round(products * _share_computed(graph, operator, name)),
        other_operations=max(map(elements, (*given, *written)), default=0) if computes else 0,
        arithmetic=_arithmetic({type_name(tensor) for tensor in graph.read(operator)}, name),
        weight_bytes=sum(_bytes_once(graph.model, tensor) for tensor in fixed) if moves else 0,
        read_bytes=sum(map(dense_bytes, given)) if moves else 0,
        written_bytes=sum(map(dense_bytes, written)) if moves else 0,
    )


def _bytes_once(parsed: Any, tensor: Any) -> int:
    return stored_bytes(parsed, tensor) if is_constant(parsed, tensor) else dense_bytes(tensor)


def _share_computed(graph: Graph, operator: Any, name: str) -> float:
    """Of the weights, how many the kernel multiplies."""
    if name != "FULLY_CONNECTED":
        return 1.0
    weights = graph.tensor(operator.inputs[1])
    if weights.sparsity is None:
        return 1.0
    return len(graph.model.buffers[weights.buffer].data) / max(dense_bytes(weights), 1)


def _arithmetic(types: set[str], name: str) -> str:
    """The narrowest of what is read: hybrid kernels round floats to the type of the weights."""
    if name in _MULTIPLYING and "INT16" in types:
        return "int16"
    narrow = types & {"INT8", "UINT8", "INT4", "INT2"}
    if narrow and (name in _MULTIPLYING or "FLOAT32" not in types):
        return "int8"
    return "int16" if "INT16" in types else "float32" if "FLOAT32" in types else "int32"


def _products(graph: Graph, operator: Any, name: str) -> int:
    """Multiply-adds of an operator; 0 for one that doesn't multiply matrices or kernels."""
    if name not in _MULTIPLYING:
        return 0
    written = elements(graph.tensor(operator.outputs[0]))
    if name == "BATCH_MATMUL":
        left = graph.shape(operator.inputs[0])
        return written * left[-2 if operator.builtinOptions.adjX else -1]
    weights = shape_of(graph.tensor(operator.inputs[1]))
    match name:
        case "FULLY_CONNECTED":  # (out, in)
            return written * weights[-1]
        case "CONV_2D":  # (out, height, width, in)
            return written * math.prod(weights[1:])
        case "CONV_3D":  # (depth, height, width, in, out)
            return written * math.prod(weights[:-1])
        case "DEPTHWISE_CONV_2D":  # (1, height, width, channels)
            return written * math.prod(weights[1:3])
        case _:  # TRANSPOSE_CONV: (out, height, width, in)
            return elements(graph.tensor(operator.inputs[2])) * math.prod(weights[:3])
