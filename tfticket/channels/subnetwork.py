"""The living part of a pruned network: a smaller network to train and write back."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from tfticket.channels.flow import Flow, Step
from tfticket.channels.rebuild import kept_indices, places_in, resized
from tfticket.channels.removal import Removal
from tfticket.channels.roles import Role, taps
from tfticket.channels.silent import Silent
from tfticket.cloning import Copy, clone
from tfticket.remaking import remade
from tfticket.state import kernels_of


class Part:
    """A variable of the whole network, and the variable of the subnetwork with some of its values.

    Args:
        whole: Variable of the whole network.
        part: Variable of the subnetwork.
        places: Index of the values of `part` in `whole`: `whole[places]`.
    """

    def __init__(self, whole: keras.Variable, part: keras.Variable, places: Any) -> None:
        self.whole = whole
        self.part = part
        self.places = places
        # To write by a mask is four times as fast as to write by indices, and this is done often.
        self._inside = np.zeros(whole.shape, bool)
        self._inside[places] = True

    def pull(self) -> None:
        """Copy the values from the whole network."""
        self.part.assign(self.whole.numpy()[self.places])

    def push(self) -> None:
        """Write the values back; the others stay."""
        values = np.array(self.whole.value)
        values[self._inside] = np.array(self.part.value).ravel()
        self.whole.value.assign(values)


@dataclass(frozen=True, eq=False)
class Subnetwork:
    """A smaller network that is trained as the whole one would be.

    Attributes:
        model: The smaller model, not compiled.
        parts: Its variables.
    """

    model: keras.Model
    parts: tuple[Part, ...]


class DenseOfSome(keras.layers.Dense):
    """A dense layer that reads some of its inputs.

    Args:
        places: Which, indices of the last axis.
        **kwargs: As for `keras.layers.Dense`.
    """

    def __init__(self, *, places: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.places = [int(place) for place in places]

    def build(self, input_shape: Any) -> None:
        """Make a kernel for the inputs that are read."""
        super().build((*input_shape[:-1], len(self.places)))
        self.input_spec = None

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """As a dense layer, of what it reads."""
        if training:
            return super().call(keras.ops.take(inputs, self.places, axis=-1), training=training)
        # Of many examples all inputs are multiplied sooner than some are taken.
        rows = keras.ops.expand_dims(self.places, -1)
        shape = (inputs.shape[-1], self.units)
        outputs = keras.ops.matmul(inputs, keras.ops.scatter(rows, self.kernel, shape))
        return self.activation(outputs + self.bias if self.use_bias else outputs)


class Living:
    """The living part of a model, which training can change and which its outputs depend on.

    The rest are units that nothing reads, silent units (see `Silent`), and inputs of dense layers
    without a weight left. Their weights have zero gradients in the whole network, so they don't
    change, if nothing but the gradient moves weights (no decay, no earlier momentum). Then training
    the subnetwork is training the whole, up to the order in which floats are added. Moving
    statistics of units that nothing reads aren't updated.

    Args:
        model: A built Sequential or Functional model of plain layers; weights that are zero are
            taken for pruned ones.

    Attributes:
        left_out: Number of kernel weights outside of it.
    """

    def __init__(self, model: keras.Model) -> None:
        flow = Flow(model)
        self._model = model
        self._removal = Removal(flow, Silent(flow))
        self._steps = {id(step.operation): step for step in flow.steps}
        self._read = {id(step.operation): _read(step, self._removal) for step in _mixing(flow)}
        self._kept = {
            layer: kept_indices(step, self._removal, self._read.get(layer))
            for layer, step in self._steps.items()
            if step.role is not Role.OPAQUE
        }
        self.left_out = sum(_left_out(self._steps[layer], k) for layer, k in self._kept.items())

    def same_as(self, other: Living) -> bool:
        """Tell whether the same part is alive in another state of the same model."""
        return all(
            np.array_equal(indices, theirs)
            for layer, kept in self._kept.items()
            for name, axes in kept.items()
            for (_, indices), (_, theirs) in zip(axes, other._kept[layer][name], strict=True)
        )

    def subnetwork(self) -> Subnetwork:
        """Make a network of the living part; its parts don't have their values yet."""
        copied = clone(
            self._model, self._convert, instead="Rebuild it with the functional API.", same=None
        )
        parts: list[Part] = []
        for old, new in copied.layers:
            assert new is not None  # `_convert` leaves none out
            parts += _parts(old, new, self._kept.get(id(old), {}))
        return Subnetwork(copied.model, tuple(parts))

    def _convert(self, layer: keras.Layer, copy: Copy) -> keras.Layer:
        if id(layer) not in self._kept:
            return copy(layer)
        return _some(resized(self._steps[id(layer)], self._removal), self._read.get(id(layer)))


def _mixing(flow: Flow) -> Iterator[Step]:
    return (step for step in flow.steps if step.role is Role.MIX)


def _read(step: Step, removal: Removal) -> np.ndarray | None:
    """Tell which of the kept inputs a dense layer has weights for; None for another layer."""
    if type(step.operation) is not keras.layers.Dense:
        return None
    stay, live = removal.keeps(step.inputs[0]), removal.keeps(step.output)
    kernel = taps(step.operation, step.operation.kernel.numpy())[0]
    read = np.any(kernel[np.ix_(stay, live)] != 0, axis=1)
    return read if read.any() else np.ones(len(read), bool)


def _some(layer: Any, read: np.ndarray | None) -> Any:
    if read is None or read.all():
        return layer
    return remade(layer, kind=DenseOfSome, places=np.flatnonzero(read))


def _parts(
    old: keras.Layer, new: keras.Layer, kept: Mapping[int, Sequence[tuple[int, np.ndarray]]]
) -> Iterator[Part]:
    for whole, part in zip(old.variables, new.variables, strict=True):
        yield Part(whole, part, places_in(whole, kept))


def _left_out(step: Step, kept: Mapping[int, Sequence[tuple[int, np.ndarray]]]) -> int:
    """Count the weights of the kernels of a layer that are left out."""
    left = 0
    for kernel in kernels_of(step.operation).values():
        sides = list(kernel.shape)
        for axis, indices in kept.get(id(kernel), ()):
            sides[axis] = len(indices)
        left += math.prod(kernel.shape) - math.prod(sides)
    return left
