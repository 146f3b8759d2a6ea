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
from tfticket.cloning import Clone, Copy, clone
from tfticket.remaking import remade

_BY_CHANNEL = (keras.layers.BatchNormalization, keras.layers.PReLU)


def rebuild(model: keras.Model, flow: Flow, constants: Constants, removal: Removal) -> Clone:
    """Copy a model without the removed channels, with the effect of constant ones.

    Args:
        model: The model that `flow` was read from, without wrappers that own masks.
        flow: Its channels.
        constants: Which of them are constant, and what they are.
        removal: Which of them go.
    """
    steps = {id(step.operation): step for step in flow.steps if step.role is not Role.OPAQUE}
    folded = {
        id(step.operation): _folded(step, constants, removal)
        for step in flow.steps
        if step.role is Role.MIX
    }

    def convert(layer: keras.Layer, copy: Copy) -> keras.Layer:
        step = steps.get(id(layer))
        if step is None or not _counts_channels(step, removal):
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

    return clone(model, convert, instead="Rebuild it with the functional API.", fill=fill)


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
    left = int(np.count_nonzero(removal.keeps(step.output)))
    if step.role is Role.MIX:
        sizes: dict[str, Any] = {"units" if hasattr(layer, "units") else "filters": left}
        return remade(layer, **sizes, use_bias=layer.use_bias or bias is not None)
    if isinstance(layer, keras.layers.Reshape):
        return remade(layer, target_shape=(*layer.target_shape[:-1], left))
    return remade(layer)


def _counts_channels(step: Step, removal: Removal) -> bool:
    """Tell whether the config or the variables of a layer depend on the number of channels."""
    by_shape = isinstance(step.operation, keras.layers.Reshape)
    return step.role is Role.MIX or by_shape or bool(kept_indices(step, removal))


def kept_indices(
    step: Step, removal: Removal, read: np.ndarray | None = None
) -> dict[str, list[tuple[int, np.ndarray]]]:
    """Return the kept indices of the variables of a layer, by name: axes, and indices along each.

    Args:
        step: Where the layer is in the graph.
        removal: Which channels go.
        read: Which of the inputs that stay it has weights for, boolean; all if None.
    """
    layer = step.operation
    stay = np.flatnonzero(removal.keeps(step.inputs[0]))
    live = np.flatnonzero(removal.keeps(step.output))
    if step.role is Role.MIX:
        sources, targets = kernel_axes(layer)
        stay = stay if read is None else stay[read]
        return {"kernel": [(sources, stay), (targets, live)], "bias": [(0, live)]}
    if step.role is Role.DEPTHWISE:
        return {"kernel": [(len(layer.kernel.shape) - 2, stay)], "bias": [(0, live)]}
    if isinstance(layer, _BY_CHANNEL):
        return {v.name: [(len(v.shape) - 1, live)] for v in layer.variables if len(v.shape)}
    return {}


def places_in(
    variable: keras.Variable, kept: Mapping[str, Sequence[tuple[int, np.ndarray]]]
) -> tuple[np.ndarray, ...]:
    """Return the index of the kept values in a variable of the layer."""
    axes = [np.arange(side) for side in variable.shape]
    for axis, indices in kept.get(variable.name, ()):
        axes[axis] = indices
    return np.ix_(*axes) if axes else ()


def _copy_kept(step: Step, new: Any, removal: Removal) -> None:
    """Assign to an elementwise layer the weights and statistics of the channels that stay."""
    layer, kept = step.operation, kept_indices(step, removal)
    for theirs, ours in zip(layer.variables, new.variables, strict=True):
        ours.assign(theirs.numpy()[places_in(theirs, kept)])
