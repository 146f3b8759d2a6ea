"""Channels that are the same number for every input, at every position."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from tfticket.channels.flow import Flow, Step
from tfticket.channels.roles import Role, feels_border, taps
from tfticket.channels.rules import is_affine, is_elementwise
from tfticket.introspection import is_own

_UNKNOWN = np.nan


class Constants:
    """The constant channels of all tensors at inference.

    A unit whose incoming weights are all zero gives its bias, and what activations, normalization
    and pooling make of it; a unit that only such units reach is constant too.

    Args:
        flow: The channels of a model.
    """

    def __init__(self, flow: Flow) -> None:
        self._values: dict[int, np.ndarray] = {}
        for tensor in flow.inputs:
            self._set(tensor, np.full(len(flow.channels(tensor)), _UNKNOWN))
        for step in flow.steps:
            for tensor in step.outputs:
                self._set(tensor, np.full(len(flow.channels(tensor)), _UNKNOWN))
            if step.role is not Role.OPAQUE:
                self._set(step.output, self._made_by(step))

    def of(self, tensor: Any) -> np.ndarray:
        """Return the value of each channel, float64, shape (channels,); NaN where not constant."""
        return self._values[id(tensor)]

    def _set(self, tensor: Any, values: np.ndarray) -> None:
        self._values[id(tensor)] = values

    def _made_by(self, step: Step) -> np.ndarray:
        values = [self.of(tensor) for tensor in step.inputs]
        if step.role is Role.MIX:
            known = is_affine(step.operation) and is_elementwise(step.operation.activation)
            if not known:
                return np.full(step.output.shape[-1], _UNKNOWN)
            return _mixed(step.operation, values[0])
        if step.role is Role.DEPTHWISE:
            return _depthwise(step.operation, values[0])
        if step.role is Role.CONCATENATE:
            return np.concatenate(values)
        if step.role is Role.FLATTEN:
            return np.tile(values[0], step.output.shape[-1] // len(values[0]))
        if not isinstance(step.operation, keras.Layer) or is_own(step.operation):
            return np.full(step.output.shape[-1], _UNKNOWN)
        return _computed(step, values)


def _mixed(layer: Any, values: np.ndarray) -> np.ndarray:
    kernel = taps(layer, layer.kernel.numpy())  # (positions, in, out)
    known = ~np.isnan(values)
    reached = np.any(kernel[:, ~known, :] != 0, axis=(0, 1))
    if feels_border(layer):
        nonzero = known & (values != 0)
        reached |= np.any(kernel[:, nonzero, :] != 0, axis=(0, 1))
    sums = np.einsum("pio,i->o", kernel, np.where(known, values, 0.0))
    return np.where(reached, _UNKNOWN, _activated(layer, sums))


def _depthwise(layer: Any, values: np.ndarray) -> np.ndarray:
    kernel = taps(layer, layer.kernel.numpy())  # (positions, in, out of each)
    known = ~np.isnan(values)
    usable = known & (values == 0) if feels_border(layer) else known
    reached = np.any(kernel != 0, axis=0) & ~usable[:, None]
    sums = kernel.sum(axis=0) * np.where(usable, values, 0.0)[:, None]
    return np.where(reached.ravel(), _UNKNOWN, _activated(layer, sums.ravel()))


def _activated(layer: Any, sums: np.ndarray) -> np.ndarray:
    if layer.use_bias:
        sums = sums + np.asarray(layer.bias.numpy(), np.float64)
    if layer.activation is None:
        return sums
    activated = layer.activation(keras.ops.convert_to_tensor(sums.astype(np.float32)))
    return np.asarray(keras.ops.convert_to_numpy(activated), np.float64)


def _computed(step: Step, values: list[np.ndarray]) -> np.ndarray:
    """Compute the constants that a layer makes of constant channels, if equal at all positions."""
    filled = [
        np.broadcast_to(np.nan_to_num(value), [1, *_positions(tensor), len(value)])
        for tensor, value in zip(step.inputs, values, strict=True)
    ]
    given = [keras.ops.convert_to_tensor(array.astype(np.float32)) for array in filled]
    made = step.operation(given if step.role is Role.MERGE else given[0], training=False)
    channels = np.asarray(keras.ops.convert_to_numpy(made), np.float64)
    channels = channels.reshape(-1, channels.shape[-1])
    known = np.all([~np.isnan(value) for value in values], axis=0)
    if isinstance(step.operation, keras.layers.Multiply):
        known |= np.any([value == 0 for value in values], axis=0)
    known &= np.all(channels == channels[0], axis=0)
    return np.where(known, channels[0], _UNKNOWN)


def _positions(tensor: Any) -> list[int]:
    """Return the axis lengths between batch and channels; 8 for an axis of any length."""
    return [8 if side is None else side for side in tensor.shape[1:-1]]
