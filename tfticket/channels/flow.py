"""Channels of all tensors of a model, followed through its graph."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np

from tfticket.channels.roles import Role, role_of, unmasked
from tfticket.channels.rules import Rule, activation_of, is_elementwise, rule_of
from tfticket.cloning import require_graph
from tfticket.errors import ModelError
from tfticket.internals import call_parameters, graph_of, nodes_of
from tfticket.wording import brief_repr


@dataclass(frozen=True, eq=False)
class Step:
    """One operation of the graph.

    Attributes:
        operation: A layer, without `Masked`, or another operation.
        role: Its effect on channels.
        inputs: Symbolic input tensors.
        outputs: Symbolic output tensors; one, unless the role is opaque.
        rule: The rule of the layer, if one is known and the role isn't opaque.
        named: The inputs by the names that rules give them: arguments of `call`, `in` the first.
    """

    operation: Any
    role: Role
    inputs: tuple[Any, ...]
    outputs: tuple[Any, ...]
    rule: Rule | None = None
    named: Mapping[str, Any] = field(default_factory=dict)

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
        self._inside: dict[int, dict[str, np.ndarray]] = {}
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

    def units(self, step: Step) -> dict[str, np.ndarray]:
        """Return the numbers of the units of a layer, by the names of its rule."""
        given = {name: self._numbers[id(tensor)] for name, tensor in step.named.items()}
        own = self._inside.get(id(step), {"out": self._numbers[id(step.output)]})
        return {name: self._roots(numbers) for name, numbers in (given | own).items()}

    def made(self, step: Step) -> dict[str, np.ndarray]:
        """Return those of them that the layer makes."""
        units = self.units(step) if step.role is Role.MIX else {}
        return {name: numbers for name, numbers in units.items() if name not in step.named}

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
            self._make(step)
            return
        if step.role is Role.MERGE:
            for other in numbers[1:]:
                self._unite(numbers[0], other)
        made = {
            Role.CONCATENATE: lambda: np.concatenate(numbers),
            Role.DEPTHWISE: lambda: np.repeat(numbers[0], step.output.shape[-1] // len(numbers[0])),
            Role.FLATTEN: lambda: np.tile(numbers[0], step.output.shape[-1] // len(numbers[0])),
        }.get(step.role, lambda: numbers[0])
        self._numbers[id(step.output)] = made()

    def _make(self, step: Step) -> None:
        """Number the units that a layer makes, by its rule."""
        rule = step.rule
        assert rule is not None
        named = {each.name for _, axes in rule.variables(step.operation) for each in axes if each}
        for tensor in step.inputs:
            if not any(tensor is each for name, each in step.named.items() if name in named):
                self._fix(self._numbers[id(tensor)])
        given = {name: self._numbers[id(tensor)] for name, tensor in step.named.items()}
        made = {}
        for name, count in _counts(step, {k: len(v) for k, v in given.items()}).items():
            made[name] = self._numbered(count)
        self._inside[id(step)] = made
        self._numbers[id(step.output)] = np.concatenate([made[name] for name in rule.outputs])
        if not is_elementwise(activation_of(step.operation)):  # softmax sees all of them
            self._fix(self._numbers[id(step.output)])
        for name, groups in rule.together.items():
            first, *others = np.split((given | made)[name], groups)
            for other in others:
                self._unite(first, other)

    def _new(self, tensor: Any) -> np.ndarray:
        count = tensor.shape[-1] if len(tensor.shape) > 1 and tensor.shape[-1] is not None else 1
        self._numbers[id(tensor)] = self._numbered(count)
        return self._numbers[id(tensor)]

    def _numbered(self, count: int) -> np.ndarray:
        numbers = np.arange(len(self._parents), len(self._parents) + count)
        self._parents = np.concatenate([self._parents, numbers])
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


def _counts(step: Step, given: Mapping[str, int]) -> dict[str, int]:
    """Count the units that a layer makes, by name; all weights must agree."""
    assert step.rule is not None
    counts: dict[str, int] = {}
    for variable, axes in step.rule.variables(step.operation):
        for axis, size in zip(axes, variable.shape, strict=True):
            if axis is None:
                continue
            count, rest = divmod(size * axis.groups, axis.times)
            expected = given.get(axis.name, counts.setdefault(axis.name, count))
            if rest or count != expected:
                raise ModelError(
                    f"The rule of {type(step.operation).__name__} doesn't fit "
                    f"{step.operation.name!r}: `{variable.path}` has an axis of length {size} for "
                    f"{axis.times} x {axis.name!r}, of which there are {expected}. Register the "
                    "rule with the axes that the weights have."
                )
    made = {name: count for name, count in counts.items() if name not in given}
    total = sum(made.get(name, 0) for name in step.rule.outputs)
    if total != step.output.shape[-1]:
        raise ModelError(
            f"The rule of {type(step.operation).__name__} doesn't fit {step.operation.name!r}: the "
            f"layer has {step.output.shape[-1]} output channels, and the axes "
            f"{list(step.rule.outputs)} are {total} long. Register the rule with the axes that the "
            "weights have."
        )
    return made


def _steps(graph: Any) -> Iterator[Step]:
    nodes = [node for node in nodes_of(graph) if not node.is_input]
    calls = Counter(id(node.operation) for node in nodes)
    for node in nodes:
        inputs, role, rule = node.input_tensors, Role.OPAQUE, None
        named = _named(node)
        if calls[id(node.operation)] == 1:
            rule = rule_of(unmasked(node.operation), named)
            role = role_of(node.operation, inputs, rule, _constants(node))
        if not _one_to_one(role, inputs, node.outputs) or (rule and not _known(rule, node, named)):
            role = Role.OPAQUE
        yield Step(
            unmasked(node.operation),
            role,
            tuple(inputs),
            tuple(node.outputs),
            None if role is Role.OPAQUE else rule,
            named,
        )


def _constants(node: Any) -> list[Any]:
    """List what an operation was called on beside tensors of the graph."""
    given = (*node.arguments.args, *node.arguments.kwargs.values())
    return [each for each in given if not isinstance(each, keras.KerasTensor)]


def _named(node: Any) -> dict[str, Any]:
    """Return the tensors that a layer was called on, by the names that rules give them."""
    if not isinstance(node.operation, keras.Layer):
        return {}
    arguments = node.arguments
    given = dict(zip(call_parameters(node.operation), arguments.args, strict=False))
    named = {"in": arguments.args[0], **given} if arguments.args else given
    named |= arguments.kwargs
    return {name: each for name, each in named.items() if isinstance(each, keras.KerasTensor)}


def _known(rule: Rule, node: Any, named: Mapping[str, Any]) -> bool:
    """Tell whether each input has a name, and all arguments that a rule names are tensors."""
    arguments = {"in", *call_parameters(node.operation)}
    found = {id(tensor) for tensor in named.values()}
    every = all(id(tensor) in found for tensor in node.input_tensors)
    return every and rule.names & arguments <= named.keys()


def _one_to_one(role: Role, inputs: Sequence[Any], outputs: Sequence[Any]) -> bool:
    many = role in (Role.MIX, Role.MERGE, Role.CONCATENATE, Role.OPAQUE)
    known = all(tensor.shape[-1] is not None for tensor in (*inputs, *outputs) if tensor.shape)
    return known and len(outputs) == 1 and (many or len(inputs) == 1)
