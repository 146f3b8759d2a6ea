"""Rebuild a model without some of its channels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np

from tfticket.channels.constants import Constants
from tfticket.channels.flow import Flow, Step
from tfticket.channels.removal import Removal
from tfticket.channels.roles import Role, feels_border, kernel_axes, taps
from tfticket.channels.rules import has_own_rule, is_affine
from tfticket.cloning import Clone, Copy, clone
from tfticket.errors import InvariantError, ModelError
from tfticket.remaking import remade


def rebuild(model: keras.Model, flow: Flow, constants: Constants, removal: Removal) -> Clone:
    """Copy a model without the removed channels, with the effect of constant ones.

    Args:
        model: The model that `flow` was read from, without wrappers that own masks.
        flow: Its channels.
        constants: Which of them are constant, and what they are.
        removal: Which of them go.

    Raises:
        ModelError: when outputs differ, and a layer has a rule of the user's.
        InvariantError: when they differ otherwise, which would be a mistake of tfticket.
    """
    steps = {id(step.operation): step for step in flow.steps if step.role is not Role.OPAQUE}
    folded = {
        id(step.operation): _folded(step, constants, removal)
        for step in flow.steps
        if step.role is Role.MIX and is_affine(step.operation)
    }

    def convert(layer: keras.Layer, copy: Copy) -> keras.Layer:
        step = steps.get(id(layer))
        if step is None or not (id(layer) in folded or _changes(step, removal)):
            return copy(layer)
        bias = folded[id(layer)][1] if id(layer) in folded else None
        return resized(step, removal, bias)

    def fill(old: keras.Layer, new: Any) -> None:
        if id(old) in folded:
            kernel, bias = folded[id(old)]
            new.kernel.assign(kernel)
            if new.use_bias:
                new.bias.assign(np.zeros(new.bias.shape) if bias is None else bias)
        else:
            _copy_kept(steps[id(old)], new, removal)

    try:
        return clone(model, convert, instead="Rebuild it with the functional API.", fill=fill)
    except InvariantError as error:
        operations = [step.operation for step in steps.values()]
        own = {type(each).__name__ for each in operations if has_own_rule(each)}
        if not own:
            raise
        raise ModelError(
            f"A smaller model must have the outputs of the larger one, and a rule is wrong, of "
            f"{', '.join(sorted(own))}: {error} A rule must name all weights by which channels "
            "reach others."
        ) from error


def _folded(
    step: Step, constants: Constants, removal: Removal
) -> tuple[np.ndarray, np.ndarray | None]:
    """Kernel and bias of what is left of a layer; no bias where it had and needs none."""
    layer, values = step.operation, constants.of(step.inputs[0])
    stay, live = removal.keeps(step.inputs[0]), removal.keeps(step.output)
    kernel = np.asarray(layer.kernel.numpy(), np.float64)
    gone = ~stay & ~np.isnan(values) & (values != 0)
    added = np.zeros(len(live))
    if feels_border(layer):
        kernel = _carried(step, kernel, values, gone, removal)
    else:
        added = np.einsum("pio,i->o", taps(layer, kernel)[:, gone], values[gone])
    sources, targets = kernel_axes(layer)
    kernel = kernel.compress(stay, axis=sources).compress(live, axis=targets)
    if not layer.use_bias and not added[live].any():
        return kernel, None
    own = np.asarray(layer.bias.numpy(), np.float64) if layer.use_bias else 0.0
    return kernel, (own + added)[live]


def _carried(
    step: Step, kernel: np.ndarray, values: np.ndarray, gone: np.ndarray, removal: Removal
) -> np.ndarray:
    """Add the weights of constant channels to those of their carrier in a kernel."""
    carrier = removal.carriers.get(id(step))
    if carrier is None or not gone.any():
        return kernel
    kernel = np.moveaxis(kernel.copy(), kernel_axes(step.operation)[0], 0)
    shares = values[gone] / values[carrier]
    kernel[carrier] += np.tensordot(shares, kernel[gone], axes=1)
    return np.moveaxis(kernel, 0, kernel_axes(step.operation)[0])


def resized(step: Step, removal: Removal, bias: np.ndarray | None = None) -> keras.Layer:
    """Make a layer for the channels that stay.

    Args:
        step: Where the layer is in the graph.
        removal: Which channels go.
        bias: The bias that a layer needs which had none.
    """
    layer: Any = step.operation
    if isinstance(layer, keras.layers.Reshape):
        left = int(np.count_nonzero(removal.keeps(step.output)))
        return remade(layer, target_shape=(*layer.target_shape[:-1], left))
    if step.rule is None:
        return remade(layer)
    kept = {name: int(stay.sum()) for name, stay in removal.keeps_units(step).items()}
    sizes = step.rule.resize(layer, kept)
    if bias is not None:
        sizes["use_bias"] = True
    return remade(layer, **sizes)


def _changes(step: Step, removal: Removal) -> bool:
    """Tell whether the config or the variables of a layer change."""
    if isinstance(step.operation, keras.layers.Reshape):
        return not removal.keeps(step.output).all()
    return step.rule is not None and not all(
        stay.all() for stay in removal.keeps_units(step).values()
    )


def kept_indices(
    step: Step, removal: Removal, read: np.ndarray | None = None
) -> dict[int, list[tuple[int, np.ndarray]]]:
    """Return the kept indices of the variables of a layer, by `id`: axes, and indices along each.

    Args:
        step: Where the layer is in the graph.
        removal: Which channels go.
        read: Which of the inputs that stay it has weights for, boolean; all if None.
    """
    if step.rule is None:
        return {}
    keeps = removal.keeps_units(step)
    if read is not None:
        keeps["in"][keeps["in"]] = read
    return {
        id(variable): [
            (place, np.flatnonzero(axis.spread(keeps[axis.name])))
            for place, axis in enumerate(axes)
            if axis is not None
        ]
        for variable, axes in step.rule.variables(step.operation)
    }


def places_in(
    variable: keras.Variable, kept: Mapping[int, Sequence[tuple[int, np.ndarray]]]
) -> tuple[np.ndarray, ...]:
    """Return the index of the kept values in a variable of the layer."""
    axes = [np.arange(side) for side in variable.shape]
    for axis, indices in kept.get(id(variable), ()):
        axes[axis] = indices
    return np.ix_(*axes) if axes else ()


def _copy_kept(step: Step, new: Any, removal: Removal) -> None:
    """Assign to the layer that replaces another the values of the units that stay."""
    layer, kept = step.operation, kept_indices(step, removal)
    for theirs, ours in zip(layer.variables, new.variables, strict=True):
        values = theirs.numpy()[places_in(theirs, kept)]
        if values.shape != tuple(ours.shape):
            raise ModelError(
                f"The rule of {type(layer).__name__} leaves {values.shape} of `{theirs.path}`, and "
                f"the smaller layer has {tuple(ours.shape)}. A rule must name all axes that are as "
                "long as the number of channels, and the argument that is that number."
            )
        ours.assign(values)
