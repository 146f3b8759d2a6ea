"""Second derivatives that are right and fast where those of TensorFlow aren't.

`tf.nn.moments` stops the gradient of the mean inside the variance. Values and gradients are right,
since the term is zero, but its derivative isn't: Hessians through Keras' batch and group
normalization lack a part. Max pooling is right and slow: the second derivative of its kernel
searches each window again. That of a rectifier adds a tensor of zeros.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras
import tensorflow as tf

from tfticket.internals import around_calls, flat_layers
from tfticket.norms.layers import FusedBatchNorm

_POOL = tf.nn.max_pool
_BATCH_NORMS = (keras.layers.BatchNormalization, FusedBatchNorm)


@contextlib.contextmanager
def differentiable_twice(model: keras.Model) -> Iterator[None]:
    """Trace a model meanwhile with operations of the same values and right second derivatives.

    `tf.nn.moments`, `tf.nn.max_pool` and `tf.nn.relu` are replaced for the whole process while the
    block lasts. Other graphs that are traced meanwhile get equal values and gradients.
    """
    before = tf.nn.moments, tf.nn.max_pool, tf.nn.relu
    batch = [layer for layer in flat_layers(model) if type(layer) in _BATCH_NORMS]
    try:
        tf.nn.moments, tf.nn.max_pool, tf.nn.relu = _moments, _max_pool, _relu
        with around_calls(batch, _batch_norm):
            yield
    finally:
        tf.nn.moments, tf.nn.max_pool, tf.nn.relu = before


def _batch_norm(
    layer: keras.layers.BatchNormalization,
    call: Callable[..., Any],
    inputs: Any,
    training: bool | None = None,
    mask: Any = None,
) -> Any:
    """Normalize as the layer does in training, without the moving statistics, which are discarded.

    Between the derivatives, Keras' operations keep six tensors of the size of the inputs. The fused
    kernel keeps one, and its own second derivative takes longer than the one that is used here.
    """
    last = layer.axis % len(inputs.shape) == len(inputs.shape) - 1
    plain = last and mask is None and not (layer.renorm or layer.synchronized)
    if not (training and layer.trainable and plain and layer.variable_dtype == "float32"):
        return call(inputs, training=training, mask=mask)
    x = tf.cast(inputs, layer.compute_dtype)
    channels = x.shape[-1]
    gamma = tf.convert_to_tensor(layer.gamma) if layer.scale else tf.ones(channels, x.dtype)
    beta = tf.convert_to_tensor(layer.beta) if layer.center else tf.zeros(channels, x.dtype)
    y = _normalized(tf.reshape(x, (-1, 1, 1, channels)), gamma, beta, layer.epsilon)
    return tf.reshape(y, tf.shape(x))


def _normalized(x: Any, gamma: Any, beta: Any, epsilon: float) -> Any:
    """Normalize x, shape (n, 1, 1, c), with a derivative whose derivative is written down.

    With r = 1 / sqrt(var + epsilon), z = r (x - mean) and C(u) = u - mean(u) - z mean(u z), the
    derivatives are gamma r C(u) to x, sum(u z) to gamma and sum(u) to beta. C is symmetric.
    """

    @tf.custom_gradient
    def normalized(x: Any, gamma: Any, beta: Any) -> Any:
        n, none = tf.cast(tf.shape(x)[0], x.dtype), tf.zeros(0, x.dtype)
        y, mean, unbiased, *kept = tf.raw_ops.FusedBatchNormV3(
            x=x, scale=gamma, offset=beta, mean=none, variance=none, epsilon=epsilon
        )
        variance = unbiased * ((n - 1) / n)
        spaces = {f"reserve_space_{place}": one for place, one in enumerate(kept, 1)}
        r = tf.math.rsqrt(variance + epsilon)

        def scaled(scale: Any, offset: Any) -> Any:
            """Return scale z + offset, in one pass."""
            options = {"mean": mean, "variance": variance, "epsilon": epsilon, "is_training": False}
            return tf.raw_ops.FusedBatchNormV3(x=x, scale=scale, offset=offset, **options).y

        @tf.custom_gradient
        def gradient(u: Any, x: Any, gamma: Any) -> Any:
            def centered(u: Any) -> Any:
                """Return gamma r C(u), sum(u z) and sum(u)."""
                return tf.raw_ops.FusedBatchNormGradV3(
                    y_backprop=u, x=x, scale=gamma, epsilon=epsilon, **spaces
                )[:3]

            to_x, along, total = centered(u)

            def second(v: Any, v_gamma: Any, v_beta: Any) -> tuple[Any, Any, Any]:
                to_u, v_along, v_total = centered(v)
                moment = tf.reduce_sum(u * v, (0, 1, 2)) - (total * v_total + along * v_along) / n
                of_u = r * v_gamma - gamma * r**2 * v_along / n
                of_v = -gamma * r**2 * along / n
                of_z = -(gamma * r**2 * moment + of_u * along + of_v * v_along) / n
                level = -(of_u * total + of_v * v_total) / n
                to_x = scaled(of_z, level) + of_u * u + of_v * v
                return to_u + scaled(v_gamma, v_beta), to_x, r * moment

            return (to_x, along, total), second

        return y, lambda u: gradient(u, x, gamma)

    return normalized(x, gamma, beta)


def _moments(
    x: Any, axes: Any, shift: Any = None, keepdims: bool = False, name: str | None = None
) -> tuple[Any, Any]:
    """Return mean and variance, as `tf.nn.moments` does for float32 and float64."""
    mean = tf.reduce_mean(x, axes, keepdims=True)
    variance = tf.reduce_mean(tf.square(x - mean), axes, keepdims=True)
    if keepdims:
        return mean, variance
    return tf.squeeze(mean, axes), tf.squeeze(variance, axes)


def _relu(features: Any, name: str | None = None) -> Any:
    """Rectify as `tf.nn.relu` does, without the zeros that its second derivative adds."""

    @tf.custom_gradient
    def rectified(x: Any) -> Any:
        y = tf.raw_ops.Relu(features=x)

        @tf.custom_gradient
        def gradient(upstream: Any) -> Any:
            to_x = tf.raw_ops.ReluGrad(gradients=upstream, features=y)
            return to_x, lambda second: tf.raw_ops.ReluGrad(gradients=second, features=y)

        return y, gradient

    return rectified(features)


def _max_pool(
    input: Any,  # as TensorFlow calls it
    ksize: Any,
    strides: Any,
    padding: str,
    data_format: str | None = None,
    name: str | None = None,
) -> Any:
    """Pool as `tf.nn.max_pool` does, with the places of the maxima kept for all derivatives."""
    if len(input.shape) != 4 or data_format not in (None, "NHWC") or len(padding) != 5:
        return _POOL(input, ksize, strides, padding, data_format, name)
    window: dict[str, Any] = {
        "ksize": _of_rank_4(ksize),
        "strides": _of_rank_4(strides),
        "padding": padding,
        "include_batch_in_index": True,
    }

    @tf.custom_gradient
    def pooled(x: Any) -> Any:
        values, places = tf.raw_ops.MaxPoolWithArgmax(input=x, Targmax=tf.int64, **window)

        @tf.custom_gradient
        def scattered(upstream: Any) -> Any:
            to_x = tf.raw_ops.MaxPoolGradWithArgmax(input=x, grad=upstream, argmax=places, **window)
            return to_x, lambda second: tf.gather(tf.reshape(second, (-1,)), places)

        return values, scattered

    return pooled(input)


def _of_rank_4(sizes: int | Sequence[int]) -> list[int]:
    both = [sizes, sizes] if isinstance(sizes, int) else list(sizes)
    both = both * 2 if len(both) == 1 else both
    return both if len(both) == 4 else [1, *both, 1]
