"""Channels of all tensors of a model, followed through its graph."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from tfticket.channels.roles import Role, role_of, unmasked
from tfticket.cloning import require_graph
from tfticket.internals import graph_of, nodes_of
from tfticket.wording import brief_repr


@dataclass(frozen=True, eq=False)
class Step:
    """One operation of the graph.

    Attributes:
        operation: A layer, without `Masked`, or another operation.
        role: Its effect on channels.
        inputs: Symbolic input tensors.
        outputs: Symbolic output tensors; one, unless the role is opaque.
    """

    operation: Any
    role: Role
    inputs: tuple[Any, ...]
    outputs: tuple[Any, ...]

    @property
    def output(self) -> Any:
        """The output, if there is one."""
        return self.outputs[0]


class Flow:
    """Flow of numbered channels through the graph of a model.

    A layer that mixes channels makes new ones, with new numbers. Operations on each channel pass
    the numbers on; where two tensors are added, channels become one. So equal numbers mark slices
    that must be removed together, wherever in the graph they are. Channels that an unknown
    operation reads or makes are fixed, and so are those of inputs and outputs. Layers that are
    called several times, and nested models, count as unknown.

    Args:
        model: A built Sequential or Functional model.

    Attributes:
        steps: The operations in the order of computation.
        inputs: The symbolic inputs.

    Raises:
        ModelError: for a subclassed model.

    Example:
        >>> x = inputs = keras.Input((4,))
        >>> x = keras.layers.Dense(2)(keras.layers.ReLU()(keras.layers.Dense(3)(x)))
        >>> flow = Flow(keras.Model(inputs, x))
        >>> [flow.channels(step.output).tolist() for step in flow.steps]
        [[4, 5, 6], [4, 5, 6], [7, 8]]
    """

    __repr__ = brief_repr

    def __init__(self, model: keras.Model) -> None:
        require_graph(model, instead="Rebuild it with the functional API.")
        graph = graph_of(model)
        self._parents = np.zeros(0, np.int64)
        self._numbers: dict[int, np.ndarray] = {}
        self._fixed: set[int] = set()
        self.inputs: tuple[Any, ...] = tuple(graph.inputs)
        for tensor in self.inputs:
            self._fix(self._new(tensor))
        self.steps = list(_steps(graph))
        for step in self.steps:
            self._follow(step)
        for tensor in graph.outputs:
            self._fix(self._numbers[id(tensor)])

    def channels(self, tensor: Any) -> np.ndarray:
        """Return the channel number of each index of a tensor's last axis, int, shape (n,)."""
        return self._roots(self._numbers[id(tensor)])

    @property
    def fixed(self) -> np.ndarray:
        """Sorted numbers of the channels that can't be removed."""
        return np.unique(self._roots(np.array(sorted(self._fixed), np.int64)))

    def _follow(self, step: Step) -> None:
        if step.role is Role.OPAQUE:
            for tensor in step.inputs:
                self._fix(self._numbers[id(tensor)])
            for tensor in step.outputs:
                self._fix(self._new(tensor))
            return
        numbers = [self._numbers[id(tensor)] for tensor in step.inputs]
        if step.role is Role.MIX:
            self._new(step.output)
            return
        if step.role is Role.MERGE:
            for other in numbers[1:]:
                self._unite(numbers[0], other)
        made = {
            Role.CONCATENATE: lambda: np.concatenate(numbers),
            Role.DEPTHWISE: lambda: np.repeat(numbers[0], step.operation.depth_multiplier),
            Role.FLATTEN: lambda: np.tile(numbers[0], step.output.shape[-1] // len(numbers[0])),
        }.get(step.role, lambda: numbers[0])
        self._numbers[id(step.output)] = made()

    def _new(self, tensor: Any) -> np.ndarray:
        count = tensor.shape[-1] if len(tensor.shape) > 1 and tensor.shape[-1] is not None else 1
        first = len(self._parents)
        numbers = np.arange(first, first + count)
        self._parents = np.concatenate([self._parents, numbers])
        self._numbers[id(tensor)] = numbers
        return numbers

    def _fix(self, numbers: np.ndarray) -> None:
        self._fixed.update(int(number) for number in numbers)

    def _unite(self, ours: np.ndarray, theirs: np.ndarray) -> None:
        for first, second in zip(self._roots(ours), self._roots(theirs), strict=True):
            low, high = sorted((self._root(first), self._root(second)))
            self._parents[high] = low

    def _root(self, number: int) -> int:
        while self._parents[number] != number:
            number = self._parents[number]
        return int(number)

    def _roots(self, numbers: np.ndarray) -> np.ndarray:
        while len(numbers) and not np.array_equal(self._parents[numbers], numbers):
            numbers = self._parents[numbers]
        return numbers


def _steps(graph: Any) -> Iterator[Step]:
    nodes = [node for node in nodes_of(graph) if not node.is_input]
    calls = Counter(id(node.operation) for node in nodes)
    for node in nodes:
        inputs = node.input_tensors
        role = role_of(node.operation, inputs) if calls[id(node.operation)] == 1 else Role.OPAQUE
        if not _one_to_one(role, inputs, node.outputs):
            role = Role.OPAQUE
        yield Step(unmasked(node.operation), role, tuple(inputs), tuple(node.outputs))


def _one_to_one(role: Role, inputs: Sequence[Any], outputs: Sequence[Any]) -> bool:
    many = role in (Role.MERGE, Role.CONCATENATE, Role.OPAQUE)
    known = all(tensor.shape[-1] is not None for tensor in (*inputs, *outputs) if tensor.shape)
    return known and len(outputs) == 1 and (many or len(inputs) == 1)
