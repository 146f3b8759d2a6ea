"""A copy of a model without some of its channels."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from tfticket.channels.constants import Constants
from tfticket.channels.flow import Flow, Step
from tfticket.channels.removal import Removal
from tfticket.channels.roles import Role, feels_border, kernel_axes, taps
from tfticket.cloning import clone, copy_layer, copy_state

_BY_CHANNEL = (keras.layers.BatchNormalization, keras.layers.PReLU)


def rebuild(model: keras.Model, flow: Flow, constants: Constants, removal: Removal) -> keras.Model:
    """Copies a model without the removed channels; what the constant ones added stays.

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

    def convert(layer: keras.Layer) -> keras.Layer:
        step = steps.get(id(layer))
        bias = folded[id(layer)][1] if id(layer) in folded else None
        return copy_layer(layer) if step is None else resized(step, removal, bias)

    copied = clone(model, convert, instead="Rebuild it with the functional API.")
    new: Any
    for old, new in copied.layers:
        if id(old) in folded:
            kernel, bias = folded[id(old)]
            new.kernel.assign(kernel)
            if new.use_bias:
                new.bias.assign(np.zeros(new.bias.shape) if bias is None else bias)
        elif id(old) in steps:
            _copy_kept(steps[id(old)], new, removal)
        else:
            copy_state(old, new)
    return copied.model


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
    """The kernel with the weights of constant channels added to those of their carrier."""
    carrier = removal.carriers.get(id(step))
    if carrier is None or not gone.any():
        return kernel
    kernel = np.moveaxis(kernel.copy(), kernel_axes(step.operation)[0], 0)
    shares = values[gone] / values[carrier]
    kernel[carrier] += np.tensordot(shares, kernel[gone], axes=1)
    return np.moveaxis(kernel, 0, kernel_axes(step.operation)[0])


def resized(step: Step, removal: Removal, bias: np.ndarray | None = None) -> keras.Layer:
    """A new layer for the channels that stay.

    Args:
        step: Where the layer is in the graph.
        removal: Which channels go.
        bias: The bias that a layer needs which had none.
    """
    layer: Any = step.operation
    config, left = layer.get_config(), int(np.count_nonzero(removal.keeps(step.output)))
    if step.role is Role.MIX:
        config["units" if "units" in config else "filters"] = left
        config["use_bias"] = layer.use_bias or bias is not None
    elif isinstance(layer, keras.layers.Reshape):
        config["target_shape"] = (*layer.target_shape[:-1], left)
    return layer.__class__.from_config(config)


def _copy_kept(step: Step, new: Any, removal: Removal) -> None:
    """Gives a layer that works on each channel the weights and statistics of those that stay."""
    layer = step.operation
    if step.role is Role.DEPTHWISE:
        kept = removal.keeps(step.inputs[0])
        new.kernel.assign(layer.kernel.numpy().compress(kept, axis=-2))
        if layer.use_bias:
            new.bias.assign(layer.bias.numpy()[removal.keeps(step.output)])
    elif isinstance(layer, _BY_CHANNEL):
        kept = removal.keeps(step.output)
        for theirs, ours in zip(layer.variables, new.variables, strict=True):
            values = theirs.numpy()
            whole = values.ndim and values.shape[-1] == len(kept)
            ours.assign(values[..., kept] if whole else values)
    else:
        copy_state(layer, new)
