"""Find the channels that can be removed from a model without a change of its outputs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from tfticket.channels.constants import Constants
from tfticket.channels.flow import Flow, Step
from tfticket.channels.roles import Role, feels_border, taps
from tfticket.channels.silent import Silent


@dataclass(frozen=True, eq=False)
class _Reader:
    """A layer that mixes channels, with the data that decide which of its inputs it needs.

    Attributes:
        step: Its place in the graph.
        sources: Numbers of the channels that it reads, shape (in,).
        targets: Numbers of those that it makes, shape (out,).
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
            _reader(step, flow, constants) for step in flow.steps if step.role is Role.MIX
        ]
        self._kept: set[int] = {int(number) for number in flow.fixed}
        self.carriers: dict[int, int] = {}
        self.removed = self._grow()
        while self._keep_one_of_each():
            self.removed = self._grow()

    def keeps(self, tensor: Any) -> np.ndarray:
        """Tell which channels of a tensor stay, boolean, shape (channels,)."""
        return ~np.isin(self._flow.channels(tensor), self.removed)

    def _grow(self) -> np.ndarray:
        """Grow the set of removed channels, each of which may leave others without a reader."""
        made = [reader.targets for reader in self._readers]
        numbers = np.unique(np.concatenate([np.zeros(0, np.int64), *made]))
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
        empty = [r.targets[0] for r in self._readers if np.isin(r.targets, self.removed).all()]
        self._kept.update(int(number) for number in empty)
        return bool(empty)


def _reader(step: Step, flow: Flow, constants: Constants | Silent) -> _Reader:
    (source,) = step.inputs
    sources = flow.channels(source)
    values = constants.of(source)
    kernel = taps(step.operation, step.operation.kernel.numpy())
    carried = ~np.isnan(values) & (values != 0) & feels_border(step.operation)
    return _Reader(
        step, sources, flow.channels(step.output), np.any(kernel != 0, axis=0), values, carried
    )
