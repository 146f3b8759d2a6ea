"""Find the channels that structured pruning can remove."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

import keras
import numpy as np

from tfticket.channels.flow import Flow
from tfticket.channels.roles import Role, kernel_axes, unmasked
from tfticket.errors import ModelError
from tfticket.sparsity.channel_group import ChannelGroup, Slot
from tfticket.state import prunable_variables


def channel_groups(model: keras.Model, skip: Iterable[str] = ()) -> tuple[ChannelGroup, ...]:
    """List the channels of a model that can be pruned, each with all of its slices of kernels.

    A channel is made by a slice of a kernel, or of several where branches are added, and read by
    slices of others. When all of them are zero, `shrink` removes it exactly. Channels of inputs and
    outputs, and those that layers of unknown kind read or make, are left out.

    Args:
        model: A built Sequential or Functional model, sparsified or plain.
        skip: Glob patterns of keys that stay dense, with the channels that they make.

    Returns:
        The groups, in the order in which the graph makes them.

    Raises:
        ModelError: for a subclassed model, or when no channel can be pruned.

    Example:
        >>> hidden, out = keras.layers.Dense(3, name="hidden"), keras.layers.Dense(2, name="out")
        >>> first, *_ = channel_groups(keras.Sequential([keras.Input((4,)), hidden, out]))
        >>> first.produced[0].key, first.consumed[0].key
        ('hidden/kernel', 'out/kernel')
    """
    keys = {id(variable): key for key, variable in prunable_variables(model, skip).items()}
    flow = Flow(model)
    produced: dict[int, list[Slot]] = defaultdict(list)
    consumed: dict[int, list[Slot]] = defaultdict(list)
    fixed = set(flow.fixed.tolist())
    for step in flow.steps:
        if step.role not in (Role.MIX, Role.DEPTHWISE):
            continue
        layer = unmasked(step.operation)
        key = keys.get(id(layer.kernel))
        mixes = step.role is Role.MIX
        sources, targets = kernel_axes(layer) if mixes else (layer.kernel.ndim - 2, -1)
        for number, slot in _slots(flow.channels(step.inputs[0]), key, sources):
            consumed[number].append(slot)
        for number, slot in _slots(flow.channels(step.output), key, targets) if mixes else ():
            produced[number].append(slot)
            if key is None:
                fixed.add(number)
    groups = tuple(
        ChannelGroup(
            name=f"{slots[0].key}:{slots[0].indices[0]}",
            produced=tuple(slots),
            consumed=tuple(slot for slot in consumed[number] if slot.key in keys.values()),
        )
        for number, slots in produced.items()
        if number not in fixed
    )
    if not groups:
        raise ModelError(
            "A model must have channels that can be taken out to be pruned by channel. Received: "
            f"{model.name!r}, where layers of unknown kind see all of them."
        )
    return groups


def _slots(numbers: np.ndarray, key: str | None, axis: int) -> list[tuple[int, Slot]]:
    found: dict[int, list[int]] = defaultdict(list)
    for index, number in enumerate(numbers.tolist()):
        found[number].append(index)
    return [(number, Slot(key or "", axis, tuple(indices))) for number, indices in found.items()]
