"""How much a file computes and moves in one inference, operator by operator."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tfticket.export.flatbuffer import (
    dense_bytes,
    elements,
    indices,
    is_constant,
    name_of,
    operator_name,
    read_by,
    shape_of,
    stored_bytes,
    type_name,
    written_by,
)
from tfticket.export.micro import arena_lower_bound

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


@dataclass(frozen=True)
class OperatorCost:
    """What one operator does in one inference.

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
    """What a file does in one inference, with the batch that is in it.

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
        """Sum over the operators of one of their numbers, such as `multiply_adds`."""
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
    """Counts multiply-adds and bytes of a file.

    Operators that read nothing but constants (weights unpacked from float16, or from sparse storage
    for kernels that can't read it) run once when the file is loaded and cost nothing here; those
    that read what they wrote read all of it. Reshapes are free.

    Args:
        parsed: A `ModelT`, from `flatbuffer.parse`. Its first graph is counted.
    """
    graph = parsed.subgraphs[0]
    ready = {n for n, tensor in enumerate(graph.tensors) if is_constant(parsed, tensor)}
    counted: list[OperatorCost] = []
    uncounted: list[str] = []
    for operator in graph.operators:
        name = operator_name(parsed, operator)
        read = indices(operator.inputs)
        if read and ready.issuperset(read):
            ready.update(indices(operator.outputs))
        elif name in _UNKNOWN or ":" in name:
            uncounted.append(name)
        else:
            counted.append(_cost(parsed, graph, operator, name, ready))
    return Cost(tuple(counted), arena_lower_bound(parsed), tuple(dict.fromkeys(uncounted)))


def _cost(parsed: Any, graph: Any, operator: Any, name: str, ready: set[int]) -> OperatorCost:
    written = written_by(graph, operator)
    fixed = [graph.tensors[n] for n in indices(operator.inputs) if n in ready]
    given = [graph.tensors[n] for n in indices(operator.inputs) if n not in ready]
    products = _PRODUCTS[name](graph, operator) if name in _PRODUCTS else 0
    computes = not products and name not in _MOVING
    moves = name not in _VIEWS
    return OperatorCost(
        operator=name,
        output=name_of(written[0]) if written else "",
        multiply_adds=products,
        effective_multiply_adds=round(products * _share_computed(parsed, graph, operator, name)),
        other_operations=max(map(elements, (*given, *written)), default=0) if computes else 0,
        arithmetic=_arithmetic(graph, operator, name),
        weight_bytes=sum(_bytes_once(parsed, tensor) for tensor in fixed) if moves else 0,
        read_bytes=sum(map(dense_bytes, given)) if moves else 0,
        written_bytes=sum(map(dense_bytes, written)) if moves else 0,
    )


def _bytes_once(parsed: Any, tensor: Any) -> int:
    return stored_bytes(parsed, tensor) if is_constant(parsed, tensor) else dense_bytes(tensor)


def _share_computed(parsed: Any, graph: Any, operator: Any, name: str) -> float:
    """Of the weights, how many the kernel multiplies."""
    if name != "FULLY_CONNECTED":
        return 1.0
    weights = graph.tensors[int(operator.inputs[1])]
    if weights.sparsity is None:
        return 1.0
    data = parsed.buffers[weights.buffer].data
    return len(data) / max(dense_bytes(weights), 1)


def _arithmetic(graph: Any, operator: Any, name: str) -> str:
    """The narrowest of what is read: hybrid kernels round floats to the type of the weights."""
    types = {type_name(tensor) for tensor in read_by(graph, operator)}
    if name in _PRODUCTS and "INT16" in types:
        return "int16"
    if types & {"INT8", "UINT8", "INT4", "INT2"} and (name in _PRODUCTS or "FLOAT32" not in types):
        return "int8"
    return "int16" if types & {"INT16"} else "float32" if "FLOAT32" in types else "int32"


def _dense(graph: Any, operator: Any) -> int:
    weights = shape_of(graph.tensors[int(operator.inputs[1])])
    return _written(graph, operator) * weights[-1]


def _convolution(graph: Any, operator: Any) -> int:
    weights = shape_of(graph.tensors[int(operator.inputs[1])])  # (out, height, width, in)
    return _written(graph, operator) * math.prod(weights[1:])


def _convolution_3d(graph: Any, operator: Any) -> int:
    weights = shape_of(graph.tensors[int(operator.inputs[1])])  # (depth, height, width, in, out)
    return _written(graph, operator) * math.prod(weights[:-1])


def _depthwise(graph: Any, operator: Any) -> int:
    weights = shape_of(graph.tensors[int(operator.inputs[1])])  # (1, height, width, channels)
    return _written(graph, operator) * math.prod(weights[1:3])


def _transposed(graph: Any, operator: Any) -> int:
    weights = shape_of(graph.tensors[int(operator.inputs[1])])  # (out, height, width, in)
    return elements(graph.tensors[int(operator.inputs[2])]) * math.prod(weights[:3])


def _matrices(graph: Any, operator: Any) -> int:
    left = shape_of(graph.tensors[int(operator.inputs[0])])
    inner = left[-2 if operator.builtinOptions.adjX else -1]
    return _written(graph, operator) * inner


def _written(graph: Any, operator: Any) -> int:
    return elements(graph.tensors[int(operator.outputs[0])])


_PRODUCTS: Mapping[str, Callable[[Any, Any], int]] = {
    "FULLY_CONNECTED": _dense,
    "CONV_2D": _convolution,
    "CONV_3D": _convolution_3d,
    "DEPTHWISE_CONV_2D": _depthwise,
    "TRANSPOSE_CONV": _transposed,
    "BATCH_MATMUL": _matrices,
}
