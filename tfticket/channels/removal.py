"""Find the channels that can be removed from a model without a change of its outputs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from tfticket.channels.constants import Constants
from tfticket.channels.flow import Flow, Step
from tfticket.channels.roles import Role, feels_border
from tfticket.channels.rules import is_affine
from tfticket.channels.silent import Silent


@dataclass(frozen=True, eq=False)
class _Reader:
    """Weights that lead from units to units, with the data that decide which of them are needed.

    Attributes:
        step: The layer's place in the graph.
        sources: Numbers of the units that are read, shape (in,).
        targets: Numbers of those that are made, shape (out,).
        reads: Whether any weight leads from a source to a target, shape (in, out).
        values: What the sources are where they are constant, else NaN, shape (in,).
        carried: The constants that can't go into a bias, since they end at a border; shape (in,).
    """

    step: Step
    sources: np.ndarray
    targets: np.ndarray
    reads: np.ndarray
    values: np.ndarray
    carried: np.ndarray


class Removal:
    """The channels that can be removed.

    A channel can be removed when each layer that reads it either has only zero weights from it to
    channels that stay, or needs no input since the channel is constant: its effect is added to the
    bias. In a convolution that pads with zeros a constant ends at the border; there one constant
    channel, the carrier, stays for all of them. Each layer keeps a channel.

    Args:
        flow: The channels of a model.
        constants: The constant channels with their values.

    Attributes:
        removed: Numbers of the removed channels, sorted.
        carriers: By the `id` of the step of each layer that has one: the index of the input channel
            that carries the constants.
    """

    def __init__(self, flow: Flow, constants: Constants | Silent) -> None:
        self._flow = flow
        self._readers = [
            reader
            for step in flow.steps
            if step.role is Role.MIX
            for reader in _readers(step, flow, constants)
        ]
        self._made = [numbers for step in flow.steps for numbers in flow.made(step).values()]
        self._kept: set[int] = {int(number) for number in flow.fixed}
        self.carriers: dict[int, int] = {}
        self.removed = self._grow()
        while self._keep_one_of_each():
            self.removed = self._grow()

    def keeps(self, tensor: Any) -> np.ndarray:
        """Tell which channels of a tensor stay, boolean, shape (channels,)."""
        return ~np.isin(self._flow.channels(tensor), self.removed)

    def keeps_units(self, step: Step) -> dict[str, np.ndarray]:
        """Tell which units of a layer stay, by the names of its rule."""
        return {name: ~np.isin(n, self.removed) for name, n in self._flow.units(step).items()}

    def _grow(self) -> np.ndarray:
        """Grow the set of removed channels, each of which may leave others without a reader."""
        numbers = np.unique(np.concatenate([np.zeros(0, np.int64), *self._made]))
        removed = np.zeros(0, np.int64)
        while True:
            needed = [reader.sources[self._needs(reader, removed)] for reader in self._readers]
            stay = np.concatenate([*needed, np.array(sorted(self._kept), np.int64)])
            grown = np.setdiff1d(numbers, stay)
            if len(grown) == len(removed):
                return grown.astype(np.int64)
            removed = grown

    def _needs(self, reader: _Reader, removed: np.ndarray) -> np.ndarray:
        live = ~np.isin(reader.targets, removed)
        used = reader.reads[:, live].any(axis=1)
        carried = used & reader.carried
        if carried.any():
            self._name_carrier(reader, carried)
        needed: np.ndarray = used & np.isnan(reader.values)
        return needed

    def _name_carrier(self, reader: _Reader, carried: np.ndarray) -> None:
        if id(reader.step) not in self.carriers:
            largest = np.argmax(np.where(carried, np.abs(np.nan_to_num(reader.values)), -1.0))
            self.carriers[id(reader.step)] = int(largest)
            self._kept.add(int(reader.sources[largest]))

    def _keep_one_of_each(self) -> bool:
        empty = [made[0] for made in self._made if np.isin(made, self.removed).all()]
        self._kept.update(int(number) for number in empty)
        return bool(empty)


def _readers(step: Step, flow: Flow, constants: Constants | Silent) -> Iterator[_Reader]:
    assert step.rule is not None
    units, affine = flow.units(step), is_affine(step.operation)
    for variable, axes in step.rule.variables(step.operation):
        places, target = step.rule.reads(axes, step.named)
        for place in places:
            source, made = axes[place], None if target is None else axes[target]
            if source is None or made is None or target is None:
                continue
            sources, targets = source.spread(units[source.name]), made.spread(units[made.name])
            kernel = np.moveaxis(variable.numpy(), (place, target), (0, 1))
            reads = np.any(kernel != 0, axis=tuple(range(2, kernel.ndim)))
            values = constants.of(step.inputs[0]) if affine else np.full(len(sources), np.nan)
            carried = np.zeros(len(sources), bool)
            if affine and feels_border(step.operation):
                carried = ~np.isnan(values) & (values != 0)
            yield _Reader(step, sources, targets, reads, values, carried)
