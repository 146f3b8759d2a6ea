"""Keras' batch normalization by TensorFlow's fused kernel: equal up to rounding, and faster."""

from __future__ import annotations

import contextlib
import contextvars
from collections.abc import Iterator
from typing import Any

import keras
import tensorflow as tf
from keras import ops

from tfticket.internals import auto_name, to_snake_case
from tfticket.norms.layers.channels import compiled_by_xla
from tfticket.state import StandIn, known_class

_KERNEL_TYPES = ("float32", "float16", "bfloat16")
_AT_INFERENCE: contextvars.ContextVar[bool] = contextvars.ContextVar("at_inference", default=False)


@contextlib.contextmanager
def fused_inference() -> Iterator[None]:
    """Let `FusedBatchNorm` use the kernel at inference too, in graphs that are traced meanwhile.

    TensorFlow fuses the kernel with the convolution before it and the ReLU after it, which leaves
    almost no cost of normalization. For graphs that aren't exported.
    """
    before = _AT_INFERENCE.set(True)
    try:
        yield
    finally:
        _AT_INFERENCE.reset(before)


@keras.saving.register_keras_serializable(package="tfticket")
class FusedBatchNorm(keras.layers.BatchNormalization, StandIn):
    """Keras' BatchNormalization, faster in training.

    Keras needs many operations for moments, normalization and gradient, each of which reads the
    whole tensor; here it is one kernel forward and one backward. Weights, their names and order,
    the config, automatic names and all results are those of Keras up to rounding, also the biased
    variance in the moving average: that of the kernel is n / (n - 1) times as large. Gradients of
    gradients differ: Keras' lack a term, since `tf.nn.moments` stops the gradient of the mean
    inside the variance; these are right.

    The kernel is used in training for channels in the last axis. Everything else is Keras' own
    code: inference (so exported files stay the same) except inside `fused_inference`, other axes,
    masks, `renorm`, `synchronized`, float64, and XLA: there this kernel takes the variance as
    E[x^2] - E[x]^2, which is 1 % off for a mean of 100 deviations, and XLA fuses Keras' operations
    itself.

    A `.keras` file that holds this layer needs tfticket to be loaded; `tfticket.export.save_keras`
    writes Keras' own in its place.

    Args:
        *args: As for `keras.layers.BatchNormalization`.
        name: The layer's name; an automatic one is that which Keras' layer would get.
        **kwargs: As for `keras.layers.BatchNormalization`.

    Call arguments:
        inputs: Floats of shape (batch, ..., channels, ...).
        training: Whether to use the statistics of the batch, and to update the moving ones.
        mask: Booleans of shape (batch, ...): positions that count, or None.

    Example:
        >>> layer = FusedBatchNorm(momentum=0.9)
        >>> layer(ops.ones((2, 4, 4, 3)), training=True).shape
        TensorShape([2, 4, 4, 3])
    """

    stands_for = keras.layers.BatchNormalization

    def __init__(self, *args: Any, name: str | None = None, **kwargs: Any) -> None:
        name = name or auto_name(to_snake_case(known_class(self).__name__))
        super().__init__(*args, name=name, **kwargs)

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """Normalize, by the kernel if it fits."""
        learns = bool(training and self.trainable)
        wanted = learns or _AT_INFERENCE.get()
        if not (wanted and mask is None and self._fits_kernel(inputs)):
            return super().call(inputs, training=training, mask=mask)
        x = inputs
        if x.dtype != self.compute_dtype:  # the kernel would round to the type of its inputs
            x = ops.cast(x, "float32")
        if not learns:
            outputs = self._kernel(x, self.moving_mean, self.moving_variance)[0]
            return ops.cast(outputs, self.compute_dtype)
        outputs, mean, variance = self._fused(x)
        self._move(self.moving_mean, mean)
        self._move(self.moving_variance, variance)
        return ops.cast(outputs, self.compute_dtype)

    def _fits_kernel(self, inputs: Any) -> bool:
        rank = len(inputs.shape)
        return (
            self.axis % rank == rank - 1
            and keras.backend.standardize_dtype(inputs.dtype) in _KERNEL_TYPES
            and self.compute_dtype in _KERNEL_TYPES
            and not (self.renorm or self.synchronized)
            and not compiled_by_xla()
        )

    def _fused(self, x: Any) -> tuple[Any, Any, Any]:
        """Return outputs in the type of `x`; mean and biased variance by channel, float32."""
        outputs, mean, variance = self._kernel(x)
        count = tf.cast(tf.size(x, tf.int64) // x.shape[-1], tf.float32)
        # The kernel divides by n - 1, or by 1 where n is 1.
        return outputs, mean, variance * (tf.maximum(count - 1.0, 1.0) / count)

    def _kernel(self, x: Any, mean: Any = None, variance: Any = None) -> tuple[Any, Any, Any]:
        """Return outputs, mean and variance by channel; of the batch if none are given."""
        channels = x.shape[-1]
        images = x if len(x.shape) == 4 else tf.reshape(x, (-1, 1, 1, channels))
        # Not `tf.compat.v1.nn.fused_batch_norm`, which raises an epsilon of 1e-5 to 1.001e-5.
        made = tf.raw_ops.FusedBatchNormV3(
            x=images,
            scale=tf.cast(self.gamma, tf.float32) if self.scale else tf.ones(channels),
            offset=tf.cast(self.beta, tf.float32) if self.center else tf.zeros(channels),
            mean=tf.zeros(0) if mean is None else tf.cast(mean, tf.float32),
            variance=tf.zeros(0) if variance is None else tf.cast(variance, tf.float32),
            epsilon=self.epsilon,
            is_training=mean is None,
        )
        outputs = made.y if len(x.shape) == 4 else ops.reshape(made.y, ops.shape(x))
        return outputs, made.batch_mean, made.batch_variance

    def _move(self, average: keras.Variable, value: Any) -> None:
        before = ops.cast(average, value.dtype)
        average.assign(before * self.momentum + value * (1.0 - self.momentum))
