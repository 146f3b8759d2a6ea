"""Roles of layers: their effect on channels.

A channel is an index of the last axis: a unit of a dense layer, a feature map of a convolution.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
from typing import Any

import keras
import numpy as np

from tfticket.channels.rules import Rule, by_group, is_depthwise, is_elementwise, is_transposed
from tfticket.internals import function_name
from tfticket.sparsity.wrapper import Masked
from tfticket.state import known_class

_ALONE = (
    keras.layers.ActivityRegularization,
    keras.layers.AlphaDropout,
    keras.layers.AveragePooling1D,
    keras.layers.AveragePooling2D,
    keras.layers.AveragePooling3D,
    keras.layers.Cropping1D,
    keras.layers.Cropping2D,
    keras.layers.Cropping3D,
    keras.layers.Dropout,
    keras.layers.ELU,
    keras.layers.GaussianDropout,
    keras.layers.GaussianNoise,
    keras.layers.GlobalAveragePooling1D,
    keras.layers.GlobalAveragePooling2D,
    keras.layers.GlobalAveragePooling3D,
    keras.layers.GlobalMaxPooling1D,
    keras.layers.GlobalMaxPooling2D,
    keras.layers.GlobalMaxPooling3D,
    keras.layers.Identity,
    keras.layers.LeakyReLU,
    keras.layers.MaxPooling1D,
    keras.layers.MaxPooling2D,
    keras.layers.MaxPooling3D,
    keras.layers.ReLU,
    keras.layers.Rescaling,
    keras.layers.SpatialDropout1D,
    keras.layers.SpatialDropout2D,
    keras.layers.SpatialDropout3D,
    keras.layers.UpSampling1D,
    keras.layers.UpSampling2D,
    keras.layers.UpSampling3D,
    keras.layers.ZeroPadding1D,
    keras.layers.ZeroPadding2D,
    keras.layers.ZeroPadding3D,
)
_MERGES = (
    keras.layers.Add,
    keras.layers.Average,
    keras.layers.Maximum,
    keras.layers.Minimum,
    keras.layers.Multiply,
    keras.layers.Subtract,
)
_FUNCTIONS_OF_TWO = {"Add", "Subtract", "Multiply", "Divide", "TrueDivide", "Maximum", "Minimum"}
_FUNCTIONS_OF_EACH = {
    "Absolute",
    "Elu",
    "Exp",
    "Gelu",
    "HardSigmoid",
    "HardSilu",
    "LeakyRelu",
    "Negative",
    "Relu",
    "Relu6",
    "Sigmoid",
    "Silu",
    "Softplus",
    "Sqrt",
    "Square",
    "Tanh",
}


class Role(Enum):
    """Effect of an operation on the channels of its input."""

    MIX = "channels are made of others: dense layers, convolutions, recurrent layers, attention"
    DEPTHWISE = "each channel is convolved for itself"
    ALONE = "each channel is changed for itself: normalization, activation, pooling"
    MERGE = "channels of several tensors meet one by one"
    CONCATENATE = "channels of several tensors are put side by side"
    FLATTEN = "each position of a channel becomes a channel"
    OPAQUE = "what becomes of a channel isn't known, so all of them stay"


def role_of(operation: Any, inputs: list[Any], rule: Rule | None, others: Iterable[Any]) -> Role:
    """Return the role of an operation of a graph.

    Args:
        operation: A layer, or a function such as `keras.ops.add`.
        inputs: The symbolic tensors it is called on.
        rule: The rule of the layer, if it has one.
        others: What else it is called on.
    """
    layer = unmasked(operation)
    function = function_name(operation)
    if function in _FUNCTIONS_OF_EACH or (function in _FUNCTIONS_OF_TWO and len(inputs) == 1):
        return Role.ALONE if all(np.ndim(each) == 0 for each in others) else Role.OPAQUE
    if function in _FUNCTIONS_OF_TWO:
        return _merging(inputs)
    if getattr(layer, "data_format", "channels_last") != "channels_last":
        return Role.OPAQUE
    kind, rank = known_class(layer), len(inputs[0].shape) if inputs else 0
    if rule is not None:
        if is_depthwise(layer) or by_group(layer):
            return Role.DEPTHWISE
        if kind is keras.layers.BatchNormalization and layer.axis % rank != rank - 1:
            return Role.OPAQUE
        return Role.MIX if rule.makes else Role.ALONE
    if kind is keras.layers.Activation:
        return Role.ALONE if is_elementwise(layer.activation) else Role.OPAQUE
    if kind is keras.layers.Reshape:
        same = inputs[0].shape[-1] == layer.target_shape[-1]
        return Role.ALONE if same else Role.OPAQUE
    if kind is keras.layers.Flatten:
        return Role.FLATTEN
    if kind in _MERGES:
        return _merging(inputs)
    if kind is keras.layers.Concatenate:
        return Role.CONCATENATE if layer.axis % rank == rank - 1 else Role.OPAQUE
    return Role.ALONE if kind in _ALONE else Role.OPAQUE


def _merging(inputs: list[Any]) -> Role:
    return Role.MERGE if len({tensor.shape[-1] for tensor in inputs}) == 1 else Role.OPAQUE


def unmasked(operation: Any) -> Any:
    """Return the layer inside a `Masked` wrapper, or the operation itself."""
    return operation.layer if isinstance(operation, Masked) else operation


def kernel_axes(layer: Any) -> tuple[int, int]:
    """Return the axes of a kernel that are its input and its output channels."""
    rank = len(layer.kernel.shape)
    return (rank - 1, rank - 2) if is_transposed(layer) else (rank - 2, rank - 1)


def taps(layer: Any, kernel: np.ndarray) -> np.ndarray:
    """Reshape a kernel to (positions, input channels, output channels), float64.

    Args:
        layer: An affine layer, or one of the role `DEPTHWISE`; for the latter the output channels
            are those made of one input channel.
        kernel: Its kernel, or one of the same axes.
    """
    kernel = np.asarray(kernel, np.float64)
    if by_group(layer):
        kernel = kernel.reshape(*kernel.shape[:-2], layer.groups, -1)
    elif not is_depthwise(layer):
        kernel = np.moveaxis(kernel, kernel_axes(layer), (-2, -1))
    return kernel.reshape(-1, *kernel.shape[-2:])


def feels_border(layer: Any) -> bool:
    """Tell whether a constant input gives another output near the border than in the middle."""
    if type(layer) is keras.layers.Dense:
        return False
    if is_transposed(layer):
        return True
    return layer.padding != "valid" and int(np.prod(layer.kernel_size)) > 1
