"""Sizes of the tensors of a file, and which of them an operator reads."""

from __future__ import annotations

import math
from typing import Any

from ai_edge_litert import schema_py_generated as schema

from tfticket.export.flatbuffer import is_constant

_BITS = {
    schema.TensorType.FLOAT64: 64,
    schema.TensorType.INT64: 64,
    schema.TensorType.UINT64: 64,
    schema.TensorType.COMPLEX64: 64,
    schema.TensorType.COMPLEX128: 128,
    schema.TensorType.FLOAT32: 32,
    schema.TensorType.INT32: 32,
    schema.TensorType.UINT32: 32,
    schema.TensorType.FLOAT16: 16,
    schema.TensorType.BFLOAT16: 16,
    schema.TensorType.INT16: 16,
    schema.TensorType.UINT16: 16,
    schema.TensorType.INT8: 8,
    schema.TensorType.UINT8: 8,
    schema.TensorType.BOOL: 8,
    schema.TensorType.INT4: 4,
    schema.TensorType.INT2: 2,
}


def shape_of(tensor: Any) -> tuple[int, ...]:
    """Its sides; () for a scalar. A side of unknown length counts as 1."""
    sides = () if tensor.shape is None else tensor.shape
    return tuple(max(int(side), 1) for side in sides)


def elements(tensor: Any) -> int:
    """How many numbers it has, stored or not."""
    return math.prod(shape_of(tensor))


def dense_bytes(tensor: Any) -> int:
    """Bytes of all its numbers in memory; 0 for types of no fixed size, such as strings."""
    return math.ceil(elements(tensor) * _BITS.get(tensor.type, 0) / 8)


def stored_bytes(model: Any, tensor: Any) -> int:
    """Bytes that the file spends on its numbers, and on saying where they are if it's sparse."""
    data = model.buffers[tensor.buffer].data
    return (0 if data is None else len(data)) + index_bytes(tensor)


def index_bytes(tensor: Any) -> int:
    """Bytes that say where the numbers of a sparsely stored tensor belong; 0 for another."""
    if tensor.sparsity is None:
        return 0
    levels = tensor.sparsity.dimMetadata or []
    vectors = [part for level in levels for part in (level.arraySegments, level.arrayIndices)]
    return sum(vector.values.nbytes for vector in vectors if vector is not None)


def read_by(graph: Any, operator: Any) -> list[Any]:
    """The tensors that an operator reads, without those it leaves out (such as no bias)."""
    return [graph.tensors[index] for index in indices(operator.inputs)]


def written_by(graph: Any, operator: Any) -> list[Any]:
    """The tensors that an operator writes."""
    return [graph.tensors[index] for index in indices(operator.outputs)]


def indices(numbers: Any) -> list[int]:
    """The tensors of a list in the file, without the gaps (-1)."""
    return [] if numbers is None else [int(number) for number in numbers if number >= 0]


def activations(model: Any, graph: Any) -> dict[int, Any]:
    """The tensors of a graph that are computed, or given, when it runs, by their number."""
    return {
        number: tensor
        for number, tensor in enumerate(graph.tensors)
        if not is_constant(model, tensor)
    }
