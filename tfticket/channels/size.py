"""Parameters and multiply-adds of a network, also without some of its channels."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from tfticket.channels.flow import Flow, Step
from tfticket.channels.roles import Role
from tfticket.channels.rules import is_transposed


@dataclass(frozen=True)
class Size:
    """Size of a network.

    Attributes:
        parameters: Number of parameters, batch statistics among them.
        multiply_adds: Multiplications, each with an addition, that weights take part in for one
            example, and those of attention.

    Example:
        >>> Size(parameters=15, multiply_adds=12).parameters
        15
    """

    parameters: int
    multiply_adds: int


def size_of(model: keras.Model) -> Size:
    """Count the parameters and the multiply-adds of a network.

    Counted are dense layers, convolutions, recurrent layers, attention, and layers with a rule of
    yours; axes of unknown length count as 1.

    Args:
        model: A built Sequential or Functional model.

    Raises:
        ModelError: for a subclassed model.

    Example:
        >>> size_of(keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)]))
        Size(parameters=15, multiply_adds=12)
    """
    return Meter(Flow(model), model).without(np.zeros(0, np.int64))


class Meter:
    """Measures what is left of a network without some of its channels, before it is made.

    Args:
        flow: The channels of the model.
        model: The model.
    """

    def __init__(self, flow: Flow, model: keras.Model) -> None:
        self._flow = flow
        self._steps = [step for step in flow.steps if step.rule is not None]
        self._others = model.count_params() - sum(
            math.prod(variable.shape)
            for step in self._steps
            if step.rule is not None
            for variable, _ in step.rule.variables(step.operation)
        )

    def without(self, removed: np.ndarray) -> Size:
        """Return the size without the channels of these numbers."""
        parameters, products = self._others, 0
        for step in self._steps:
            assert step.rule is not None
            keeps = {
                name: ~np.isin(numbers, removed) for name, numbers in self._flow.units(step).items()
            }
            for variable, axes in step.rule.variables(step.operation):
                sides = [
                    side if axis is None else int(axis.spread(keeps[axis.name]).sum())
                    for side, axis in zip(variable.shape, axes, strict=True)
                ]
                parameters += math.prod(sides)
                reads = bool(step.rule.reads(axes, step.named)[0])  # an embedding is looked up
                multiplies = step.role is Role.DEPTHWISE or (step.role is Role.MIX and reads)
                if multiplies and len(sides) > 1:
                    names = [axis.name for axis in axes if axis and axis.name in step.named]
                    products += math.prod(sides) * _positions(step, (names or ["in"])[0])
            if isinstance(step.operation, keras.layers.MultiHeadAttention):
                products += int(keeps["heads"].sum()) * _attention(step)
        return Size(parameters, products)


def _positions(step: Step, name: str) -> int:
    """Count the positions at which a weight is used."""
    convolves = hasattr(step.operation, "kernel_size") and not is_transposed(step.operation)
    tensor = step.output if convolves else step.named.get(name, step.inputs[0])
    return math.prod(side or 1 for side in tensor.shape[1:-1])


def _attention(step: Step) -> int:
    """Count the multiply-adds between queries, keys and values for each head."""
    layer: Any = step.operation
    products: int = layer.key_dim + (layer.value_dim or layer.key_dim)
    return products * _positions(step, "query") * _positions(step, "value")
