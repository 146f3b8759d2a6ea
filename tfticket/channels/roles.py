"""Roles of layers: their effect on channels.

A channel is an index of the last axis: a unit of a dense layer, a feature map of a convolution.
"""

from __future__ import annotations

from enum import Enum
from typing import Any

import keras
import numpy as np

from tfticket.sparsity.wrapper import Masked
from tfticket.state import known_class

_CONVOLUTIONS = (keras.layers.Conv1D, keras.layers.Conv2D, keras.layers.Conv3D)
_TRANSPOSED = (
    keras.layers.Conv1DTranspose,
    keras.layers.Conv2DTranspose,
    keras.layers.Conv3DTranspose,
)
_DEPTHWISE = (keras.layers.DepthwiseConv1D, keras.layers.DepthwiseConv2D)
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
    keras.layers.PReLU,
    keras.layers.ReLU,
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
_ELEMENTWISE = frozenset(
    {
        "celu",
        "elu",
        "exponential",
        "gelu",
        "hard_sigmoid",
        "hard_silu",
        "hard_swish",
        "hard_tanh",
        "leaky_relu",
        "linear",
        "log_sigmoid",
        "mish",
        "relu",
        "relu6",
        "selu",
        "sigmoid",
        "silu",
        "soft_shrink",
        "softplus",
        "softsign",
        "sparse_plus",
        "squareplus",
        "swish",
        "tanh",
        "tanh_shrink",
        "threshold",
    }
)


class Role(Enum):
    """Effect of an operation on the channels of its input."""

    MIX = "each output channel is a sum over the input channels: dense layers, convolutions"
    DEPTHWISE = "each channel is convolved for itself"
    ALONE = "each channel is changed for itself: normalization, activation, pooling"
    MERGE = "channels of several tensors meet one by one"
    CONCATENATE = "channels of several tensors are put side by side"
    FLATTEN = "each position of a channel becomes a channel"
    OPAQUE = "what becomes of a channel isn't known, so all of them stay"


def role_of(operation: Any, inputs: list[Any]) -> Role:
    """Return the role of an operation of a graph.

    Args:
        operation: A layer, or a function such as `keras.ops.add`.
        inputs: The symbolic tensors it is called on.
    """
    layer = unmasked(operation)
    if getattr(layer, "data_format", "channels_last") != "channels_last":
        return Role.OPAQUE
    kind, rank = known_class(layer), len(inputs[0].shape) if inputs else 0
    if kind is keras.layers.Dense or (kind in _CONVOLUTIONS and layer.groups == 1):
        return Role.MIX if is_elementwise(layer.activation) else Role.OPAQUE
    if kind in _TRANSPOSED or kind in _DEPTHWISE:
        known = Role.MIX if kind in _TRANSPOSED else Role.DEPTHWISE
        return known if is_elementwise(layer.activation) else Role.OPAQUE
    if kind is keras.layers.BatchNormalization:
        return Role.ALONE if layer.axis % rank == rank - 1 else Role.OPAQUE
    if kind is keras.layers.Activation:
        return Role.ALONE if is_elementwise(layer.activation) else Role.OPAQUE
    if kind is keras.layers.Reshape:
        same = inputs[0].shape[-1] == layer.target_shape[-1]
        return Role.ALONE if same else Role.OPAQUE
    if kind is keras.layers.Flatten:
        return Role.FLATTEN
    if kind in _MERGES:
        return Role.MERGE if len({tensor.shape[-1] for tensor in inputs}) == 1 else Role.OPAQUE
    if kind is keras.layers.Concatenate:
        return Role.CONCATENATE if layer.axis % rank == rank - 1 else Role.OPAQUE
    return Role.ALONE if kind in _ALONE else Role.OPAQUE


def is_elementwise(activation: Any) -> bool:
    """Tell whether an activation is known to be elementwise (softmax isn't)."""
    return activation is None or getattr(activation, "__name__", "") in _ELEMENTWISE


def unmasked(operation: Any) -> Any:
    """Return the layer inside a `Masked` wrapper, or the operation itself."""
    return operation.layer if isinstance(operation, Masked) else operation


def kernel_axes(layer: Any) -> tuple[int, int]:
    """Return the axes of a kernel that are its input and its output channels."""
    rank = len(layer.kernel.shape)
    return (rank - 1, rank - 2) if type(layer) in _TRANSPOSED else (rank - 2, rank - 1)


def is_depthwise(layer: Any) -> bool:
    """Tell whether a layer is a depthwise convolution."""
    return type(layer) in _DEPTHWISE


def taps(layer: Any, kernel: np.ndarray) -> np.ndarray:
    """Reshape a kernel to (positions, input channels, output channels), float64.

    Args:
        layer: A layer of the role `MIX` or `DEPTHWISE`; for the latter the output channels are
            those made of one input channel.
        kernel: Its kernel, or one of the same axes.
    """
    if is_depthwise(layer):
        sources, targets = kernel.ndim - 2, kernel.ndim - 1
    else:
        sources, targets = kernel_axes(layer)
    moved = np.moveaxis(np.asarray(kernel, np.float64), (sources, targets), (-2, -1))
    return moved.reshape(-1, *moved.shape[-2:])


def feels_border(layer: Any) -> bool:
    """Tell whether a constant input gives another output near the border than in the middle."""
    if type(layer) is keras.layers.Dense:
        return False
    if type(layer) in _TRANSPOSED:
        return True
    return layer.padding != "valid" and int(np.prod(layer.kernel_size)) > 1
