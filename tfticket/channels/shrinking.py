"""`shrink`: remove dead units without a change of the outputs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import keras
import numpy as np

from tfticket.channels.constants import Constants
from tfticket.channels.flow import Flow, Step
from tfticket.channels.rebuild import rebuild
from tfticket.channels.removal import Removal
from tfticket.channels.roles import Role
from tfticket.cloning import HALF, in_full_precision
from tfticket.internals import flat_layers
from tfticket.sparsity.convert import masked_layers, strip
from tfticket.state import kernels_of, named_layers
from tfticket.wording import brief_repr

_COLLAPSED_FROM = 4  # a layer of three units may well end with one


@dataclass(frozen=True)
class LayerChange:
    """Change of one layer by `shrink`.

    Attributes:
        key: Key of the layer; with a name behind it for units inside, `attention/heads`.
        before: Number of units or channels before.
        after: Number of units or channels left.

    Example:
        >>> LayerChange("hidden", before=300, after=120).after
        120
    """

    key: str
    before: int
    after: int


@dataclass(frozen=True, eq=False)
class Shrunk:
    """Smaller model with the same outputs, as returned by `shrink`.

    Attributes:
        model: A plain Keras model for inference.
        layers: Change of each layer that makes channels; empty when no weight of the model is zero.
        parameters_before: Number of parameters before.
        parameters_after: Number of parameters left.
        max_difference: Largest difference of outputs on synthetic inputs, over the largest output.
        alarms: Sentences about collapsed layers; usually empty.

    Example:
        >>> shrunk = shrink(keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)]))
        >>> shrunk.parameters_before, shrunk.parameters_after, shrunk.removed
        (15, 15, 0)
    """

    model: keras.Model
    layers: tuple[LayerChange, ...]
    parameters_before: int
    parameters_after: int
    max_difference: float
    alarms: tuple[str, ...]

    __repr__ = brief_repr

    @property
    def removed(self) -> int:
        """Number of channels removed from all layers."""
        return sum(change.before - change.after for change in self.layers)


def shrink(model: keras.Model) -> Shrunk:
    """Remove dead units of a model; at inference its outputs stay the same up to rounding.

    Two kinds are removed: units whose outgoing weights are all zero, and units whose incoming
    weights are all zero, so that their output is constant. Constants are added to the bias of the
    next layer; where zero padding forbids that, one unit carries the constants of all. A channel of
    a residual sum is removed when it is dead in every branch. Attention heads, units of recurrent
    layers, channels of grouped convolutions and of layers with a rule of yours (`register_rule`)
    are removed when nothing reads them. Layers of unknown kind (group normalization, nested models,
    ...), layers that are called several times, and their channels stay as they are.

    Tickets of unstructured pruning have few dead units at the accuracy of the dense network; those
    of `structure = "channel"` prune nothing else. The copy is compared with the model before it is
    returned.

    Args:
        model: A built Sequential or Functional model, sparsified or plain; it isn't changed.

    Returns:
        The smaller model, which computes in float32, and the change of each layer.

    Raises:
        ModelError: for a subclassed model.
        InvariantError: when outputs differ, which would be a mistake of this function.

    Example:
        >>> hidden, out = keras.layers.Dense(3, name="hidden"), keras.layers.Dense(2, name="out")
        >>> model = keras.Sequential([keras.Input((4,)), hidden, out])
        >>> weights = np.array([[1.0, 2.0], [0.0, 0.0], [3.0, 4.0]])  # nothing reads unit 1
        >>> out.set_weights([weights, np.zeros(2)])
        >>> shrink(model).model.get_layer("hidden").units
        2
    """
    plain = model if _is_plain(model) else _plain_copy(model)
    if not any((kernel.numpy() == 0).any() for kernel in kernels_of(plain).values()):
        return _as_it_is(_plain_copy(model))
    flow = Flow(plain)
    constants = Constants(flow)
    removal = Removal(flow, constants)
    smaller, _, difference = rebuild(plain, flow, constants, removal)
    keys = {id(layer): key for key, layer in named_layers(plain).items()}
    changes: list[LayerChange] = []
    for step in flow.steps:
        if step.role is Role.MIX:
            changes += _changes(step, removal, keys[id(step.operation)])
    dead = bool(flow.steps) and not np.isnan(constants.of(flow.steps[-1].outputs[0])).any()
    return Shrunk(
        model=smaller,
        layers=tuple(changes),
        parameters_before=plain.count_params(),
        parameters_after=smaller.count_params(),
        max_difference=difference,
        alarms=_alarms([change for change in changes if change.key in keys.values()], dead),
    )


def _changes(step: Step, removal: Removal, key: str) -> Iterator[LayerChange]:
    """Yield the change of a layer's output, and of the units inside it."""
    kept = removal.keeps(step.output)
    yield LayerChange(key, len(kept), int(np.count_nonzero(kept)))
    assert step.rule is not None
    for name, stay in removal.keeps_units(step).items():
        if name not in step.named and name not in step.rule.outputs:
            yield LayerChange(f"{key}/{name}", len(stay), int(np.count_nonzero(stay)))


def _is_plain(model: keras.Model) -> bool:
    """Tell whether the model can be used without a copy, which takes half of the time."""
    half = any(layer.compute_dtype in HALF for layer in flat_layers(model))
    return not half and not masked_layers(model)


def _plain_copy(model: keras.Model) -> keras.Model:
    return in_full_precision(strip(model))


def _as_it_is(plain: keras.Model) -> Shrunk:
    """Return the result for a model without zero weights, which has no dead units."""
    size = plain.count_params()
    return Shrunk(plain, (), size, size, 0.0, ())


def _alarms(changes: list[LayerChange], dead: bool) -> tuple[str, ...]:
    found = [
        f"`{change.key}` collapsed: {change.after} of its {change.before} units is left, a "
        "bottleneck for the whole network. Prune it less, or by layer."
        for change in changes
        if change.after < 2 and change.before >= _COLLAPSED_FROM
    ]
    if dead:
        found.append("The network is dead: its output doesn't depend on its input.")
    return tuple(found)
