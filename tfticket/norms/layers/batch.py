"""Relatives of batch normalization: frozen, scaled by an l_p norm, and with noise behind it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import keras
from keras import ops

from tfticket.errors import ModelError
from tfticket.norms.layers.channels import ChannelNorm, mean
from tfticket.statistics.moments import KeepsScale


@keras.saving.register_keras_serializable(package="tfticket")
class FrozenBatchNorm(ChannelNorm):
    """Batch normalization whose moving statistics, scale and shift are constants.

    `gamma * (x - moving_mean) / sqrt(moving_variance + epsilon) + beta`, in training too, as for
    fine-tuning pretrained detectors with batches too small for statistics. Its four variables have
    the names and the order of Keras' BatchNormalization, so that weights can be copied; they are
    never trainable.

    Args:
        **kwargs: As for `ChannelNorm`.

    Example:
        >>> import numpy as np
        >>> layer = FrozenBatchNorm()
        >>> layer(np.ones((2, 3))).shape, len(layer.weights), len(layer.trainable_weights)
        (TensorShape([2, 3]), 4, 0)
    """

    def build(self, input_shape: Sequence[int | None]) -> None:
        """Create the constants: mean 0 and variance 1 until others are loaded or set."""
        self._affine(input_shape, trainable=False)
        self.moving_mean, self.moving_variance = _statistics(self, input_shape, "moving_variance")

    def call(self, inputs: Any) -> Any:
        """Normalize by the constants."""
        x = self._precise(inputs)
        factor = ops.rsqrt(self._by_channel(self.moving_variance, x) + self.epsilon)
        return self._finish(x, factor, -self._by_channel(self.moving_mean, x) * factor)


@keras.saving.register_keras_serializable(package="tfticket")
class LpBatchNorm(ChannelNorm, KeepsScale):
    """Batch normalization that divides by the l_p norm in place of the standard deviation.

    Santurkar et al. (arXiv:1805.11604, section 3.3 and appendix) use it to show that the success of
    batch normalization doesn't depend on the distribution of its outputs. For each channel, over
    the batch and all positions,

        y = gamma * (x - mean(x)) / scale + beta,    scale = mean(|x|^p)^(1/p),

    and `scale = max |x|` for p = inf. The norm is that of the inputs with their mean, so for p = 2
    it isn't the deviation. Moving averages of mean and scale are used at inference, and in training
    if the layer isn't `trainable`, as in Keras' BatchNormalization.

    `sqrt(epsilon)`, as in batch normalization, enters the norm like a further value:
    `(mean(|x|^p) + epsilon^(p/2))^(1/p)`, and the maximum of both for p = inf. So the gradient of a
    channel of zeros is finite for each p.

    Args:
        p: 1, 2 or "inf".
        momentum: Share of a moving average that is kept at each step, in [0, 1).
        **kwargs: As for `ChannelNorm`.

    Call arguments:
        inputs: Floats of shape (batch, ..., channels, ...), of rank 2 to 5.
        training: Whether to use the statistics of the batch, and to update the moving ones.
        mask: Booleans of the inputs' shape without the channels: positions that count, or None.

    Raises:
        ModelError: for an argument out of its range.

    Example:
        >>> import numpy as np
        >>> LpBatchNorm(p=1)(np.array([[1.0], [-3.0]]), training=True).numpy().round(2).tolist()
        [[1.0], [-1.0]]
    """

    def __init__(self, p: Literal[1, 2, "inf"] = 2, momentum: float = 0.9, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if p not in (1, 2, "inf"):
            raise ModelError(f"`p` must be 1, 2 or 'inf'. Received: p={p!r}.")
        if not 0 <= momentum < 1:
            raise ModelError(f"`momentum` must be in [0, 1). Received: momentum={momentum}.")
        self.p = p
        self.order = float(p)
        self.momentum = momentum

    def build(self, input_shape: Sequence[int | None]) -> None:
        """Create the weights, and the moving averages of mean and scale: 0 and 1."""
        self._affine(input_shape)
        self.moving_mean, self.moving_scale = _statistics(self, input_shape, "moving_scale")

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """Normalize by the batch in training, else by the moving averages."""
        x = self._precise(inputs)
        if training and self.trainable:
            axes = (0, *self._spatial_axes(len(x.shape)))
            present = self._present(mask, x)
            shift, scale = mean(x, axes, present), self.scale_of(x, axes, present)
            self._move(self.moving_mean, shift)
            self._move(self.moving_scale, scale)
        else:
            shift = self._by_channel(self.moving_mean, x)
            scale = self._by_channel(self.moving_scale, x)
        return self.normalize(x, shift, scale)

    def normalize(self, x: Any, mean: Any, scale: Any) -> Any:
        """See `KeepsScale`."""
        factor = 1.0 / scale
        return self._finish(x, factor, -mean * factor)

    def scale_of(self, x: Any, axes: tuple[int, ...], present: Any) -> Any:
        """See `KeepsScale`."""
        floor = self.epsilon**0.5
        if self.p == 1:
            return mean(ops.abs(x), axes, present) + floor
        if self.p == 2:
            return ops.sqrt(mean(ops.square(x), axes, present) + floor**2)
        counted = x if present is None else ops.where(present, x, 0.0)
        return ops.maximum(ops.max(ops.abs(counted), axis=axes, keepdims=True), floor)

    def _move(self, average: keras.Variable, value: Any) -> None:
        value = ops.cast(ops.reshape(value, (-1,)), average.dtype)
        average.assign(average * self.momentum + value * (1 - self.momentum))

    def get_config(self) -> dict[str, Any]:
        """See `keras.Layer.get_config`."""
        return {**super().get_config(), "p": self.p, "momentum": self.momentum}


def _statistics(
    layer: ChannelNorm, input_shape: Sequence[int | None], spread: str
) -> tuple[keras.Variable, keras.Variable]:
    """Create two variables that aren't trained, zeros and ones, shape (channels,)."""
    first, second = (
        layer.add_weight(
            name=name,
            shape=(input_shape[layer.axis],),
            initializer=initializer,
            trainable=False,
            autocast=False,
        )
        for name, initializer in (("moving_mean", "zeros"), (spread, "ones"))
    )
    return first, second


def covariate_noise(
    x: Any,
    seed: keras.random.SeedGenerator,
    *,
    axis: int = -1,
    max_shift: float = 0.5,
    max_scale: float = 1.25,
    spread: float = 0.1,
) -> Any:
    """Scale and shift activations at random (Santurkar et al., arXiv:1805.11604, algorithm 1).

    At each call every unit j (channel) draws its own distribution, and every activation i of the
    unit (example and position) draws from it:

        mu_j ~ U(-max_shift, max_shift)            sigma_j ~ U(1, max_scale)
        m_ij ~ U(mu_j - spread, mu_j + spread)     s_ij ~ N(sigma_j, spread)
        x_ij <- s_ij * x_ij + m_ij

    `spread` is the standard deviation of the normal distribution. The noise doesn't have zero mean
    or unit scale, and its distribution changes at each step, by design.

    Args:
        x: Floats of shape (batch, ..., channels, ...).
        seed: Seed generator; it is advanced by four draws.
        axis: The axis of the channels.
        max_shift: n_mu of the paper, at least 0.
        max_scale: n_sigma of the paper, at least 1.
        spread: r_mu and r_sigma of the paper, at least 0.

    Example:
        >>> covariate_noise(ops.ones((2, 4)), keras.random.SeedGenerator(0)).shape
        TensorShape([2, 4])
    """
    by_unit = [1] * len(x.shape)
    by_unit[axis] = x.shape[axis]
    by_activation = ops.shape(x)
    mean = keras.random.uniform(by_unit, -max_shift, max_shift, x.dtype, seed)
    deviation = keras.random.uniform(by_unit, 1.0, max_scale, x.dtype, seed)
    shift = mean + keras.random.uniform(by_activation, -spread, spread, x.dtype, seed)
    scale = deviation + keras.random.normal(by_activation, 0.0, spread, x.dtype, seed)
    return scale * x + shift


@keras.saving.register_keras_serializable(package="tfticket")
class NoisyBatchNorm(keras.layers.BatchNormalization):
    """Keras' BatchNormalization with `covariate_noise` behind it, in training only.

    Santurkar et al. use it to show that batch normalization helps even if the distributions of its
    outputs jump at each step. The noise comes from a seed generator of the layer, which is part of
    the model's state: a restored state gives the same noise again.

    Args:
        max_shift: n_mu of the paper, at least 0.
        max_scale: n_sigma of the paper, at least 1.
        spread: r_mu and r_sigma of the paper, at least 0.
        seed: Seed of the noise; None for a random one.
        **kwargs: As for `keras.layers.BatchNormalization`.

    Raises:
        ModelError: for an argument out of its range.
    """

    def __init__(
        self,
        *,
        max_shift: float = 0.5,
        max_scale: float = 1.25,
        spread: float = 0.1,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if not (max_shift >= 0 and max_scale >= 1 and spread >= 0):
            raise ModelError(
                "The noise needs `max_shift` of at least 0, `max_scale` of at least 1 and `spread` "
                f"of at least 0. Received: max_shift={max_shift}, max_scale={max_scale}, "
                f"spread={spread}."
            )
        self.max_shift = max_shift
        self.max_scale = max_scale
        self.spread = spread
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """Normalize; add the noise in training if `trainable`."""
        outputs = super().call(inputs, training=training, mask=mask)
        if not (training and self.trainable):
            return outputs
        precise = ops.cast(outputs, keras.backend.result_type(outputs.dtype, "float32"))
        noisy = covariate_noise(
            precise,
            self.seed_generator,
            axis=self.axis,
            max_shift=self.max_shift,
            max_scale=self.max_scale,
            spread=self.spread,
        )
        return ops.cast(noisy, outputs.dtype)

    def get_config(self) -> dict[str, Any]:
        """See `keras.Layer.get_config`."""
        return {
            **super().get_config(),
            "max_shift": self.max_shift,
            "max_scale": self.max_scale,
            "spread": self.spread,
            "seed": self.seed,
        }
