"""What `explain` says, and the layers of a file as its rules look at them."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from tfticket.export.flatbuffer import (
    Constant,
    constants,
    has_values,
    indices,
    is_constant,
    name_of,
    operator_name,
    stored_bytes,
)
from tfticket.export.inspect.cost import Cost, count

Kind = Literal["file", "tensor", "operator"]

# Operators with weights: which input is the data, which the weights, and the axis of the units.
WEIGHTED = {
    "FULLY_CONNECTED": (0, 1, 0),
    "CONV_2D": (0, 1, 0),
    "DEPTHWISE_CONV_2D": (0, 1, 3),
    "TRANSPOSE_CONV": (2, 1, 0),
}
UNPACKING = frozenset({"DEQUANTIZE", "DENSIFY"})


@dataclass(frozen=True)
class Explanation:
    """One reason why a file isn't smaller or faster.

    Attributes:
        kind: Whether it is about the `file`, a `tensor` or an `operator`.
        name: Of the tensor; or of the operator or operators; or empty.
        rule: A short name of the reason, the same for all it applies to, such as `dense_zeros`.
        fact: What is so, and what follows from it, in sentences.
        remedy: What would help, in sentences.
    """

    kind: Kind
    name: str
    rule: str
    fact: str
    remedy: str

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


@dataclass(frozen=True, eq=False)
class Layer:
    """An operator with constant weights.

    Attributes:
        operator: `FULLY_CONNECTED`, `CONV_2D`, `DEPTHWISE_CONV_2D` or `TRANSPOSE_CONV`.
        name: Of its weights.
        tensor: Its weights as they are stored.
        zero: Where they are zero: shape (units, inputs), (units, height, width, inputs), or for
            depthwise kernels (1, height, width, units).
        stored_bytes: What the file spends on them.
        unpacked_by: `DENSIFY` or `DEQUANTIZE` where they are unpacked when the file is loaded.
        multiply_adds: Of the operator in one inference.
        output: The number of the tensor that it writes.
        data: The number of the tensor that it reads.
        source: The operator.
    """

    operator: str
    name: str
    tensor: Any
    zero: np.ndarray
    stored_bytes: int
    unpacked_by: str | None
    multiply_adds: int
    output: int
    data: int
    source: Any

    @property
    def sparsity(self) -> float:
        """Share of zeros among the weights."""
        return float(self.zero.mean())

    @property
    def units(self) -> int:
        """How many channels it makes."""
        return int(self.zero.shape[WEIGHTED[self.operator][2]])

    @property
    def silent(self) -> np.ndarray:
        """Units without any weight that isn't zero, shape (units,), boolean."""
        axis = WEIGHTED[self.operator][2]
        others = tuple(other for other in range(self.zero.ndim) if other != axis)
        return np.asarray(self.zero.all(axis=others))


@dataclass(frozen=True, eq=False)
class View:
    """A file as the rules look at it.

    Attributes:
        parsed: The `ModelT`.
        layers: Its operators with constant weights, in order.
        cost: What it computes and moves.
        stored_bytes: All that its buffers hold.
    """

    parsed: Any
    layers: tuple[Layer, ...]
    cost: Cost
    stored_bytes: int

    @classmethod
    def of(cls, parsed: Any) -> View:
        """Of a `ModelT`; its first graph is looked at."""
        tensors = [tensor for graph in parsed.subgraphs for tensor in graph.tensors]
        stored = {id(t): stored_bytes(parsed, t) for t in tensors if is_constant(parsed, t)}
        return cls(parsed, tuple(_layers(parsed)), count(parsed), sum(stored.values()))

    @property
    def graph(self) -> Any:
        """The graph that runs."""
        return self.parsed.subgraphs[0]

    def operators(self) -> Iterator[tuple[str, Any]]:
        """Name and operator, in order."""
        for operator in self.graph.operators:
            yield operator_name(self.parsed, operator), operator

    @functools.cached_property
    def constants(self) -> Mapping[int, Constant]:
        """The constants with numbers, by the `id` of their tensor."""
        return _constants(self.parsed)

    def source_of(self, number: int) -> int:
        """The number of the tensor that a constant is unpacked from; its own for another."""
        unpacked = _unpacked(self.parsed)
        while number in unpacked:
            _, number = unpacked[number]
        return number


def _constants(parsed: Any) -> dict[int, Constant]:
    readable = [t for graph in parsed.subgraphs for t in graph.tensors]
    readable = [t for t in readable if is_constant(parsed, t) and has_values(t)]
    return {id(t): c for t, c in zip(readable, constants(parsed), strict=True)}


def _unpacked(parsed: Any) -> dict[int, tuple[str, int]]:
    """What each tensor is unpacked by and from, of those that are."""
    return {
        number: (operator_name(parsed, operator), indices(operator.inputs)[0])
        for operator in parsed.subgraphs[0].operators
        if operator_name(parsed, operator) in UNPACKING
        for number in indices(operator.outputs)
    }


def _layers(parsed: Any) -> Iterator[Layer]:
    graph = parsed.subgraphs[0]
    zero = {number: constant.is_zero for number, constant in _constants(parsed).items()}
    products = {cost.output: cost.multiply_adds for cost in count(parsed).operators}
    unpacked = _unpacked(parsed)
    for operator in graph.operators:
        name = operator_name(parsed, operator)
        if name not in WEIGHTED:
            continue
        data, weights, _ = WEIGHTED[name]
        number, how = int(operator.inputs[weights]), None
        while number in unpacked:
            step, number = unpacked[number]
            how = step if how in (None, "DEQUANTIZE") else how
        tensor, output = graph.tensors[number], int(operator.outputs[0])
        if id(tensor) in zero:
            yield Layer(
                operator=name,
                name=name_of(tensor),
                tensor=tensor,
                zero=zero[id(tensor)],
                stored_bytes=stored_bytes(parsed, tensor),
                unpacked_by=how,
                multiply_adds=products.get(name_of(graph.tensors[output]), 0),
                output=output,
                data=int(operator.inputs[data]),
                source=operator,
            )
