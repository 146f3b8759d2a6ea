"""The layers of a file, as the rules that explain it look at them."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from tfticket.export import flatbuffer
from tfticket.export.flatbuffer import Constant, Graph, constant_of, is_constant, name_of
from tfticket.export.inspect.cost import Cost, count

Kind = Literal["file", "tensor", "operator"]

WEIGHTED = {
    "FULLY_CONNECTED": (0, 1, 0),
    "CONV_2D": (0, 1, 0),
    "DEPTHWISE_CONV_2D": (0, 1, 3),
    "TRANSPOSE_CONV": (2, 1, 0),
}
"""Operators with weights: which input is the data, which the weights, and the axis of the units."""


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
        """Return plain values for JSON."""
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


class View(Graph):
    """The graph of a file that runs, with its layers and its cost."""

    @classmethod
    def of(cls, parsed: Any) -> View:
        """Look at the first graph of a `ModelT`."""
        return cls(parsed, parsed.subgraphs[0])

    @functools.cached_property
    def cost(self) -> Cost:
        """What the file computes and moves."""
        return count(self.model)

    @functools.cached_property
    def stored_bytes(self) -> int:
        """All that its buffers hold."""
        return sum(
            flatbuffer.stored_bytes(self.model, tensor)
            for tensor in flatbuffer.tensors(self.model)
            if is_constant(self.model, tensor)
        )

    @functools.cached_property
    def constants(self) -> Mapping[int, Constant]:
        """The constants with numbers, by the `id` of their tensor."""
        return {
            id(tensor): constant_of(self.model, tensor)
            for tensor in flatbuffer.tensors(self.model)
            if is_constant(self.model, tensor) and flatbuffer.has_values(tensor)
        }

    @functools.cached_property
    def layers(self) -> tuple[Layer, ...]:
        """The operators with constant weights, in order."""
        return tuple(self._layers())

    def _layers(self) -> Iterator[Layer]:
        products = {cost.output: cost.multiply_adds for cost in self.cost.operators}
        for name, operator in self.named():
            if name not in WEIGHTED:
                continue
            data, weights, _ = WEIGHTED[name]
            number, unpacked_by = self.origin(int(operator.inputs[weights]))
            tensor, output = self.tensor(number), int(operator.outputs[0])
            if id(tensor) in self.constants:
                yield Layer(
                    operator=name,
                    name=name_of(tensor),
                    tensor=tensor,
                    zero=self.constants[id(tensor)].is_zero,
                    stored_bytes=flatbuffer.stored_bytes(self.model, tensor),
                    unpacked_by=unpacked_by,
                    multiply_adds=products.get(name_of(self.tensor(output)), 0),
                    output=output,
                    data=int(operator.inputs[data]),
                    source=operator,
                )
