"""Base of the normalizations: statistics by channel, then a scale and a shift."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf
from keras import ops
from tensorflow.python.ops.control_flow_util import GraphOrParentsInXlaContext

from tfticket.errors import ModelError

_SERIALIZED = {
    "beta_initializer": keras.initializers,
    "gamma_initializer": keras.initializers,
    "beta_regularizer": keras.regularizers,
    "gamma_regularizer": keras.regularizers,
    "beta_constraint": keras.constraints,
    "gamma_constraint": keras.constraints,
}


class ChannelNorm(keras.layers.Layer):
    """Abstract base of the layers that end in `gamma * normalized + beta`, by channel.

    It owns the arguments, the two weights, and the types: statistics are computed in float32 or
    float64 under any dtype policy, and the result is cast to the policy's compute type.

    Args:
        axis: The axis of the channels; not the batch axis, 0.
        epsilon: Prevents division by zero; greater than 0. Each layer documents what it is added
            to. The default is that of the papers and of PyTorch; Keras has 1e-3.
        center: Whether to add `beta`.
        scale: Whether to multiply by `gamma`.
        beta_initializer: Initializer of `beta`.
        gamma_initializer: Initializer of `gamma`.
        beta_regularizer: Regularizer of `beta`, or None.
        gamma_regularizer: Regularizer of `gamma`, or None.
        beta_constraint: Constraint of `beta`, or None.
        gamma_constraint: Constraint of `gamma`, or None.
        **kwargs: `name`, `dtype`, `trainable`.

    Call arguments:
        inputs: Floats of shape (batch, ..., channels, ...), of rank 2 to 5.

    Output shape:
        That of the inputs.

    Raises:
        ModelError: for an argument out of its range; when it is built, for inputs of another rank
            or with an unknown number of channels.
    """

    def __init__(
        self,
        *,
        axis: int = -1,
        epsilon: float = 1e-5,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        beta_regularizer: Any = None,
        gamma_regularizer: Any = None,
        beta_constraint: Any = None,
        gamma_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if not isinstance(axis, int) or axis == 0:
            raise ModelError(
                f"`axis` must be the integer of the channels' axis, not 0. Received: axis={axis!r}."
            )
        if not epsilon > 0:
            raise ModelError(f"`epsilon` must be greater than 0. Received: epsilon={epsilon}.")
        self.supports_masking = True
        self.autocast = False  # float16 must not lose what float32 inputs have to tell
        self.axis = axis
        self.epsilon = epsilon
        self.center = center
        self.scale = scale
        self.beta_initializer = keras.initializers.get(beta_initializer)
        self.gamma_initializer = keras.initializers.get(gamma_initializer)
        self.beta_regularizer = keras.regularizers.get(beta_regularizer)
        self.gamma_regularizer = keras.regularizers.get(gamma_regularizer)
        self.beta_constraint = keras.constraints.get(beta_constraint)
        self.gamma_constraint = keras.constraints.get(gamma_constraint)
        self.gamma: keras.Variable | None = None
        self.beta: keras.Variable | None = None

    def build(self, input_shape: Sequence[int | None]) -> None:
        """Create `gamma` and `beta`."""
        self._affine(input_shape)

    def _affine(self, input_shape: Sequence[int | None], *, trainable: bool = True) -> None:
        rank = len(input_shape)
        if not 2 <= rank <= 5 or not -rank < self.axis < rank:
            raise ModelError(
                "A normalization takes inputs of rank 2 to 5 that have its channel axis. Received: "
                f"the shape {tuple(input_shape)} with axis={self.axis}, in {self.name!r}."
            )
        channels = input_shape[self.axis]
        if channels is None:
            raise ModelError(
                "The number of channels must be known when a normalization is built. Received: "
                f"the shape {tuple(input_shape)} with axis={self.axis}, in {self.name!r}."
            )
        self.input_spec = keras.layers.InputSpec(ndim=rank, axes={self.axis: channels})
        if self.scale:
            self.gamma = self._channel_weight("gamma", channels, trainable)
        if self.center:
            self.beta = self._channel_weight("beta", channels, trainable)

    def _channel_weight(self, name: str, channels: int, trainable: bool) -> keras.Variable:
        return self.add_weight(
            name=name,
            shape=(channels,),
            initializer=getattr(self, f"{name}_initializer"),
            regularizer=getattr(self, f"{name}_regularizer"),
            constraint=getattr(self, f"{name}_constraint"),
            trainable=trainable,
            autocast=False,
        )

    def _spatial_axes(self, rank: int) -> tuple[int, ...]:
        """Return all axes but those of the batch and the channels; none for rank 2."""
        return tuple(axis for axis in range(1, rank) if axis != self.axis % rank)

    def _precise(self, inputs: Any) -> Any:
        """Cast the inputs to the type that statistics are computed in: float32 or float64."""
        return ops.cast(
            inputs, keras.backend.result_type(inputs.dtype, self.compute_dtype, "float32")
        )

    def _by_channel(self, values: Any, like: Any) -> Any:
        """Reshape values of shape (channels,) to broadcast against `like`, and cast to its type."""
        shape = [1] * len(like.shape)
        shape[self.axis] = -1
        return ops.cast(ops.reshape(values, shape), like.dtype)

    def _present(self, mask: Any, inputs: Any) -> Any:
        """Return the mask with an axis of length 1 for the channels; None for no mask.

        Raises:
            ModelError: for a mask of another shape than the inputs without their channels.
        """
        if mask is None:
            return None
        if len(mask.shape) != len(inputs.shape) - 1:
            raise ModelError(
                "A mask must have the shape of the inputs without their channels. Received: "
                f"a mask of shape {tuple(mask.shape)} for inputs of shape {tuple(inputs.shape)}, "
                f"in {self.name!r}."
            )
        return ops.expand_dims(ops.cast(mask, "bool"), self.axis)

    def _finish(self, x: Any, factor: Any, offset: Any = None) -> Any:
        """Return `gamma * (x * factor + offset) + beta` in the compute type.

        Small tensors are combined first, so that the large one is read once; constants at inference
        become one multiplication and one addition, which converters fold into the layer before.
        """
        if self.gamma is not None:
            gamma = self._by_channel(self.gamma, x)
            factor = factor * gamma
            offset = None if offset is None else offset * gamma
        if self.beta is not None:
            beta = self._by_channel(self.beta, x)
            offset = beta if offset is None else offset + beta
        outputs = x * factor if offset is None else x * factor + offset
        return ops.cast(outputs, self.compute_dtype)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return the shape of the inputs."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """See `keras.Layer.get_config`."""
        config = {
            "axis": self.axis,
            "epsilon": self.epsilon,
            "center": self.center,
            "scale": self.scale,
        }
        for name, module in _SERIALIZED.items():
            config[name] = module.serialize(getattr(self, name))
        return {**super().get_config(), **config}


def mean(x: Any, axes: tuple[int, ...], present: Any = None) -> Any:
    """Return the mean over some axes, which stay with length 1.

    Args:
        x: Floats of any shape.
        axes: The axes; returns `x` if empty.
        present: Booleans that broadcast against `x`: the values that count. The mean of none is 0.
    """
    if not axes:
        return x
    if present is None:
        return ops.mean(x, axis=axes, keepdims=True)
    counted = ops.cast(ops.broadcast_to(present, ops.shape(x)), x.dtype)
    count = ops.maximum(ops.sum(counted, axis=axes, keepdims=True), 1.0)
    # `where`, since a masked position may hold anything, even NaN.
    return ops.sum(ops.where(present, x, 0.0), axis=axes, keepdims=True) / count


def compiled_by_xla() -> bool:
    """Return whether operations are being traced into a function with `jit_compile=True`.

    Some kernels of TensorFlow aren't for XLA.
    """
    return bool(GraphOrParentsInXlaContext(tf.compat.v1.get_default_graph()))
