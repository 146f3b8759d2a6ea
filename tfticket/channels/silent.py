"""Channels that are zero for every input and stay zero while the model is trained."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from tfticket.channels.flow import Flow, Step
from tfticket.channels.roles import Role, taps
from tfticket.channels.rules import is_affine

_PASS_ZERO = (
    keras.layers.AveragePooling1D,
    keras.layers.AveragePooling2D,
    keras.layers.GlobalAveragePooling1D,
    keras.layers.GlobalAveragePooling2D,
    keras.layers.GlobalMaxPooling1D,
    keras.layers.GlobalMaxPooling2D,
    keras.layers.Identity,
    keras.layers.MaxPooling1D,
    keras.layers.MaxPooling2D,
    keras.layers.ZeroPadding1D,
    keras.layers.ZeroPadding2D,
)


class Silent:
    """The silent channels of all tensors.

    A unit without a weight that leads in (but from silent ones) and with a bias of zero, or none,
    gives zero; behind a ReLU, whose gradient at zero is zero, nothing ever moves its bias, nor the
    weights that read it. It can be left out in training. It stands where `Constants` does at
    inference, and knows less: a unit that gives its bias is not silent, since the bias learns.

    Args:
        flow: The channels of a model.
    """

    def __init__(self, flow: Flow) -> None:
        self._silent: dict[int, np.ndarray] = {}
        self._resting: dict[int, np.ndarray] = {}  # zero, but a gradient may still come
        for tensor in flow.inputs:
            self._set(tensor, np.zeros(len(flow.channels(tensor)), bool))
        for step in flow.steps:
            for tensor in step.outputs:
                self._set(tensor, np.zeros(len(flow.channels(tensor)), bool))
            self._follow(step)

    def of(self, tensor: Any) -> np.ndarray:
        """0 for each silent channel and NaN for the others, float64, shape (channels,)."""
        return np.where(self._silent[id(tensor)], 0.0, np.nan)

    def _set(self, tensor: Any, silent: np.ndarray) -> None:
        self._silent[id(tensor)] = silent
        self._resting[id(tensor)] = silent

    def _follow(self, step: Step) -> None:
        if step.role is Role.MIX and is_affine(step.operation):
            resting = self._unmoved(step)
            if step.operation.activation is keras.activations.relu:
                self._silent[id(step.output)] = resting
            if step.operation.activation in (keras.activations.relu, keras.activations.linear):
                self._resting[id(step.output)] = resting
        elif step.role is Role.FLATTEN:
            silent = self._silent[id(step.inputs[0])]
            self._set(step.output, np.tile(silent, step.output.shape[-1] // len(silent)))
        elif _is_relu(step.operation):
            self._set(step.output, self._resting[id(step.inputs[0])])
        elif type(step.operation) in _PASS_ZERO:
            self._set(step.output, self._silent[id(step.inputs[0])])

    def _unmoved(self, step: Step) -> np.ndarray:
        layer = step.operation
        kernel = taps(layer, layer.kernel.numpy())  # (positions, in, out)
        reached: np.ndarray = np.any(
            kernel[:, ~self._silent[id(step.inputs[0])], :] != 0, axis=(0, 1)
        )
        return ~reached & (layer.bias.numpy() == 0) if layer.use_bias else ~reached


def _is_relu(layer: Any) -> bool:
    if type(layer) is keras.layers.ReLU:
        return not layer.negative_slope and not layer.threshold and layer.max_value is None
    return type(layer) is keras.layers.Activation and layer.activation is keras.activations.relu
