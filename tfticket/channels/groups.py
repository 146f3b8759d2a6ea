"""Find the channels that structured pruning can remove."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

import keras
import numpy as np

from tfticket.channels.flow import Flow
from tfticket.channels.roles import Role
from tfticket.errors import ModelError
from tfticket.sparsity.channel_group import ChannelGroup, Slot
from tfticket.state import Also, named_variables, prunable_variables


def channel_groups(
    model: keras.Model, skip: Iterable[str] = (), also: Also = ()
) -> tuple[ChannelGroup, ...]:
    """List the channels of a model that can be pruned, each with all of its slices of kernels.

    A channel is made by a slice of a kernel, or of several where branches are added, and read by
    slices of others. When all of them are zero, `shrink` removes it exactly. An attention head is
    such a channel, a unit of a recurrent layer with all of its gates, and in a grouped convolution
    the channels at the same place in each group. Channels of inputs and outputs, and those that
    layers of unknown kind read or make, are left out.

    Args:
        model: A built Sequential or Functional model, sparsified or plain.
        skip: Glob patterns of keys that stay dense, with the channels that they make.
        also: Weights that aren't called `kernel`, see `prunable_variables`.

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
    return tuple(numbered_groups(Flow(model), model, skip, also).values())


def numbered_groups(
    flow: Flow, model: keras.Model, skip: Iterable[str] = (), also: Also = ()
) -> dict[int, ChannelGroup]:
    """Return the same by the number of the channel.

    Args:
        flow: The channels of the model.
        model: As for `channel_groups`, as all else.
        skip: See there.
        also: See there.
    """
    keys = {id(variable): key for key, variable in prunable_variables(model, skip, also).items()}
    names = {id(variable): key for key, variable in named_variables(model).items()}
    produced: dict[int, list[Slot]] = defaultdict(list)
    consumed: dict[int, list[Slot]] = defaultdict(list)
    scaled: dict[int, list[Slot]] = defaultdict(list)
    fixed = set(flow.fixed.tolist())
    for step in flow.steps:
        if step.rule is None:
            continue
        units = flow.units(step)
        for variable, axes in step.rule.variables(step.operation):
            if variable.name == "gamma" and step.role is Role.ALONE:
                for number, slot in _slots(units["in"], names[id(variable)], 0):
                    scaled[number].append(slot)
            if len(variable.shape) < 2 or variable.name == "bias" or step.role is Role.ALONE:
                continue
            key = keys.get(id(variable))
            target = step.rule.reads(axes, step.named)[1] if step.role is Role.MIX else None
            for place, axis in enumerate(axes):
                if axis is None:
                    continue
                for number, slot in _slots(axis.spread(units[axis.name]), key, place):
                    if place != target:
                        consumed[number].append(slot)
                    elif key is None:
                        fixed.add(number)
                    else:
                        produced[number].append(slot)
    groups = {
        number: ChannelGroup(
            name=f"{slots[0].key}:{slots[0].indices[0]}",
            produced=tuple(slots),
            consumed=tuple(slot for slot in consumed[number] if slot.key),
            scaled=tuple(scaled[number]),
        )
        for number, slots in produced.items()
        if number not in fixed
    }
    if not groups:
        raise ModelError(
            "A model must have channels that can be taken out to be pruned by channel. Received: "
            f"{model.name!r}, where {_seers(flow)} see all of them. For a layer of your own call "
            "`channels.register_rule`."
        )
    return groups


def _seers(flow: Flow) -> str:
    """Name the layers without a rule that keep channels from being removed."""
    kinds = {type(step.operation).__name__: 0 for step in flow.steps if step.role is Role.OPAQUE}
    return ", ".join(f"layers of the class {kind}" for kind in kinds) or "its inputs and outputs"


def _slots(numbers: np.ndarray, key: str | None, axis: int) -> list[tuple[int, Slot]]:
    found: dict[int, list[int]] = defaultdict(list)
    for index, number in enumerate(numbers.tolist()):
        found[number].append(index)
    return [(number, Slot(key or "", axis, tuple(indices))) for number, indices in found.items()]
