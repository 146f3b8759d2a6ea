"""`shrink`: the same answers from fewer units."""

from __future__ import annotations

from dataclasses import dataclass

import keras
import numpy as np

from tfticket.channels.constants import Constants
from tfticket.channels.flow import Flow
from tfticket.channels.rebuild import rebuild
from tfticket.channels.removal import Removal
from tfticket.channels.roles import Role
from tfticket.cloning import HALF, in_full_precision
from tfticket.internals import flat_layers
from tfticket.sparsity.convert import masked_layers, strip
from tfticket.state import kernels_of, named_layers

_COLLAPSED_FROM = 4  # a layer of three units may well end with one


@dataclass(frozen=True)
class LayerChange:
    """What became of one layer.

    Attributes:
        key: The layer's key.
        before: How many units or channels it had.
        after: How many it has.
    """

    key: str
    before: int
    after: int


@dataclass(frozen=True, eq=False)
class Shrunk:
    """A smaller model that answers the same.

    Attributes:
        model: A plain Keras model for inference.
        layers: Each layer that makes channels, with their number before and after; none when no
            weight of the model is zero.
        parameters_before: How many numbers the model had.
        parameters_after: How many it has.
        max_difference: Largest difference of an answer to made-up inputs, over the largest answer.
        alarms: What looks like a collapse, in words; empty when all is well.
    """

    model: keras.Model
    layers: tuple[LayerChange, ...]
    parameters_before: int
    parameters_after: int
    max_difference: float
    alarms: tuple[str, ...]

    @property
    def removed(self) -> int:
        """How many channels went, over all layers."""
        return sum(change.before - change.after for change in self.layers)


def shrink(model: keras.Model) -> Shrunk:
    """Takes dead units out of a model; at inference it answers as before, up to rounding.

    Two kinds go: units that nothing reads, since all weights that lead on are zero, and units that
    give the same number whatever comes in, since all weights that lead in are zero. What the latter
    add to the next layer goes into its bias; where zero padding forbids that, one of them carries
    the constants of all. A residual sum's channel goes when it is dead in every branch. Layers of
    unknown kind (attention, recurrent, group normalization, models inside the model, ...), layers
    that are called several times and the channels these see stay as they are.

    Tickets of unstructured pruning have few such units at the accuracy of the dense network; those
    of `structure = "channel"` consist of them. The copy is compared with the model before it is
    given back.

    Args:
        model: A built Sequential or Functional model, sparsified or plain. It isn't changed.

    Returns:
        The smaller model, which computes in float32, and what became of each layer.

    Raises:
        ModelError: for a subclassed model.
        InvariantError: when the answers differ, which would be a mistake of this function.
    """
    plain = model if _is_plain(model) else _plain_copy(model)
    if not any((kernel.numpy() == 0).any() for kernel in kernels_of(plain).values()):
        return _as_it_is(_plain_copy(model))
    flow = Flow(plain)
    constants = Constants(flow)
    removal = Removal(flow, constants)
    smaller, _, difference = rebuild(plain, flow, constants, removal)
    keys = {id(layer): key for key, layer in named_layers(plain).items()}
    changes = []
    for step in flow.steps:
        if step.role is Role.MIX:
            kept = removal.keeps(step.output)
            key = keys[id(step.operation)]
            changes.append(LayerChange(key, len(kept), int(np.count_nonzero(kept))))
    dead = bool(flow.steps) and not np.isnan(constants.of(flow.steps[-1].outputs[0])).any()
    return Shrunk(
        model=smaller,
        layers=tuple(changes),
        parameters_before=plain.count_params(),
        parameters_after=smaller.count_params(),
        max_difference=difference,
        alarms=_alarms(changes, dead),
    )


def _is_plain(model: keras.Model) -> bool:
    """Whether it can be read as it is; a copy takes half of the time that all of this takes."""
    half = any(layer.compute_dtype in HALF for layer in flat_layers(model))
    return not half and not masked_layers(model)


def _plain_copy(model: keras.Model) -> keras.Model:
    return in_full_precision(strip(model))


def _as_it_is(plain: keras.Model) -> Shrunk:
    """What is given back where no weight is zero, so that nothing can be dead."""
    size = plain.count_params()
    return Shrunk(plain, (), size, size, 0.0, ())


def _alarms(changes: list[LayerChange], dead: bool) -> tuple[str, ...]:
    found = [
        f"`{change.key}` collapsed: {change.after} of its {change.before} units is left, so that "
        "all that the network knows passes through it. Prune it less, or by layer."
        for change in changes
        if change.after < 2 and change.before >= _COLLAPSED_FROM
    ]
    if dead:
        found.append("The network is dead: it gives the same answer whatever comes in.")
    return tuple(found)
