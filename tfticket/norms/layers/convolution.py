"""Convolutions with standardized weights (Qiao et al., arXiv:1903.10520)."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from tfticket.errors import ModelError


class StandardizedConv(keras.layers.Layer):
    """Abstract mixin for a convolution of Keras with standardized weights.

    Each filter w of n weights (height, width and input channels) is used as

        (w - mean(w)) / sqrt(mean((w - mean(w))^2) + epsilon)

    where the means are over its nonzero weights, and zeros stay zeros: pruned weights affect
    neither the others nor the output. A filter needs two weights, since the deviation of a single
    one is 0. The kernel that is trained, saved and pruned is w.

    Args:
        epsilon: Added to the variance; greater than 0. 1e-10 is the square of the 1e-5 that the
            authors' code adds to the deviation: weights are small.
        *args: As for the convolution of Keras.
        **kwargs: As for the convolution of Keras.

    Raises:
        ModelError: when `epsilon` is out of its range.
    """

    def __init__(self, *args: Any, epsilon: float = 1e-10, **kwargs: Any) -> None:
        if not epsilon > 0:
            raise ModelError(f"`epsilon` must be greater than 0. Received: epsilon={epsilon}.")
        super().__init__(*args, **kwargs)
        self.epsilon = epsilon

    def add_weight(self, *args: Any, **kwargs: Any) -> keras.Variable:
        """See `keras.Layer.add_weight`; the kernel keeps its precision until it is standardized."""
        if kwargs.get("name") == "kernel":
            kwargs["autocast"] = False
        return super().add_weight(*args, **kwargs)

    def standardize(self, kernel: Any) -> Any:
        """Standardize a kernel.

        Args:
            kernel: Shape (..., input channels, filters), float.
        """
        kernel = ops.convert_to_tensor(kernel)
        axes = tuple(range(len(kernel.shape) - 1))
        present = ops.not_equal(kernel, 0.0)
        kernel = ops.where(present, kernel, 0.0)  # the same, but zeros get no gradient
        count = ops.sum(ops.cast(present, kernel.dtype), axis=axes, keepdims=True)
        count = ops.maximum(count, 1.0)
        average = ops.sum(kernel, axis=axes, keepdims=True) / count
        centered = ops.where(present, kernel - average, 0.0)
        variance = ops.sum(ops.square(centered), axis=axes, keepdims=True) / count
        return centered * ops.rsqrt(variance + self.epsilon)

    def convolution_op(self, inputs: Any, kernel: Any) -> Any:
        """Convolve with the standardized kernel."""
        return super().convolution_op(inputs, ops.cast(self.standardize(kernel), inputs.dtype))

    def get_config(self) -> dict[str, Any]:
        """See `keras.Layer.get_config`."""
        return {**super().get_config(), "epsilon": self.epsilon}


@keras.saving.register_keras_serializable(package="tfticket")
class StandardizedConv1D(StandardizedConv, keras.layers.Conv1D):
    """`keras.layers.Conv1D` with standardized weights, see `StandardizedConv`."""

    def call(self, inputs: Any) -> Any:
        """Convolve as the other ranks do; Keras' Conv1D doesn't use its own `convolution_op`."""
        return super(keras.layers.Conv1D, self).call(inputs)

    def convolution_op(self, inputs: Any, kernel: Any) -> Any:
        """Convolve with the standardized kernel, padded on the left if causal."""
        padding = self.padding
        if padding == "causal":
            inputs, padding = ops.pad(inputs, self._compute_causal_padding()), "valid"
        return ops.conv(
            inputs,
            ops.cast(self.standardize(kernel), inputs.dtype),
            strides=list(self.strides),
            padding=padding,
            dilation_rate=self.dilation_rate,
            data_format=self.data_format,
        )


@keras.saving.register_keras_serializable(package="tfticket")
class StandardizedConv2D(StandardizedConv, keras.layers.Conv2D):
    """`keras.layers.Conv2D` with standardized weights, see `StandardizedConv`."""


@keras.saving.register_keras_serializable(package="tfticket")
class StandardizedConv3D(StandardizedConv, keras.layers.Conv3D):
    """`keras.layers.Conv3D` with standardized weights, see `StandardizedConv`."""


_STANDARDIZED: dict[type[keras.layers.Layer], type[StandardizedConv]] = {
    keras.layers.Conv1D: StandardizedConv1D,
    keras.layers.Conv2D: StandardizedConv2D,
    keras.layers.Conv3D: StandardizedConv3D,
}


def standardized(conv: keras.layers.Layer) -> StandardizedConv:
    """Return a layer of the same name and config as `conv` that standardizes its weights.

    It isn't built yet: `kernel` and `bias` have the same shapes, and can be set to those of `conv`.

    Args:
        conv: A Conv1D, Conv2D or Conv3D, or one that has standardized weights already.

    Raises:
        ModelError: for any other layer, also for depthwise and transposed convolutions, whose
            kernels have another layout, and for subclasses.

    Example:
        >>> standardized(keras.layers.Conv2D(8, 3, name="conv1")).name
        'conv1'
    """
    kind = type(conv) if isinstance(conv, StandardizedConv) else _STANDARDIZED.get(type(conv))
    if kind is None:
        raise ModelError(
            "Only Conv1D, Conv2D and Conv3D have weights to standardize. Received: "
            f"{conv.name!r} of the class {type(conv).__name__}."
        )
    made: StandardizedConv = kind.from_config(conv.get_config())
    return made
