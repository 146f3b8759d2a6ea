"""Relatives of batch normalization: frozen, and scaled by another norm than the deviation."""

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
    """Batch normalization that never changes: its moving statistics, scale and shift are constants.

    `gamma * (x - moving_mean) / sqrt(moving_variance + epsilon) + beta`, at training too, as when
    pretrained detectors are fine-tuned with batches too small for statistics. Its four variables
    have the names and the order of Keras' BatchNormalization, so weights can be handed over; none
    of them is trainable, and nothing makes them so.

    Args:
        **kwargs: As for `ChannelNorm`.
    """

    def build(self, input_shape: Sequence[int | None]) -> None:
        """Makes the constants: statistics 0 and 1 until others are loaded or set."""
        self._affine(input_shape, trainable=False)
        self.moving_mean, self.moving_variance = _statistics(
            self, input_shape, "moving_mean", "moving_variance"
        )

    def call(self, inputs: Any) -> Any:
        """Normalizes by the constants."""
        x = self._precise(inputs)
        factor = ops.rsqrt(self._by_channel(self.moving_variance, x) + self.epsilon)
        return self._finish(x, factor, -self._by_channel(self.moving_mean, x) * factor)


@keras.saving.register_keras_serializable(package="tfticket")
class LpBatchNorm(ChannelNorm, KeepsScale):
    """Batch normalization that divides by the l_p norm in place of the standard deviation.

    Santurkar et al. (arXiv:1805.11604, section 3.3 and appendix) use it to show that the success of
    batch normalization isn't tied to the distribution it gives. For each channel, over the batch
    and all positions,

        y = gamma * (x - mean(x)) / scale + beta,    scale = mean(|x|^p)^(1/p),

    and `scale = max |x|` for p = inf. The norm is that of the inputs before their mean is shifted:
    it isn't the deviation for p = 2. Moving averages of mean and scale are used at inference, and
    at training if the layer isn't `trainable`, as in Keras' BatchNormalization.

    `sqrt(epsilon)`, which is what `epsilon` amounts to in batch normalization, enters the norm like
    a value of its own: `(mean(|x|^p) + epsilon^(p/2))^(1/p)`, and the maximum of both for p = inf.
    So a channel of zeros has a finite gradient for each p.

    Args:
        p: 1, 2 or "inf".
        momentum: Share of a moving average that stays at each step, in [0, 1).
        **kwargs: As for `ChannelNorm`.

    Call arguments:
        inputs: Floats of shape (batch, ..., channels, ...), of rank 2 to 5.
        training: Whether to use the statistics of the batch, and to update the moving ones.
        mask: Booleans of the inputs' shape without the channels: positions that count, or None.

    Raises:
        ModelError: for an argument out of its range.
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
        """Makes the weights, and the moving averages of mean and scale: 0 and 1."""
        self._affine(input_shape)
        self.moving_mean, self.moving_scale = _statistics(
            self, input_shape, "moving_mean", "moving_scale"
        )

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """Normalizes by the batch when training, else by the moving averages."""
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
    layer: ChannelNorm, input_shape: Sequence[int | None], center: str, spread: str
) -> tuple[keras.Variable, keras.Variable]:
    """Two variables that no optimizer changes: zeros and ones, a value a channel."""
    first, second = (
        layer.add_weight(
            name=name,
            shape=(input_shape[layer.axis],),
            initializer=initializer,
            trainable=False,
            autocast=False,
        )
        for name, initializer in ((center, "zeros"), (spread, "ones"))
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
    """Scales and shifts activations at random: algorithm 1 of Santurkar et al.

    At each call every unit j (channel) draws its own distribution, and every activation i of the
    unit (example and position) draws from it:

        mu_j ~ U(-max_shift, max_shift)            sigma_j ~ U(1, max_scale)
        m_ij ~ U(mu_j - spread, mu_j + spread)     s_ij ~ N(sigma_j, spread)
        x_ij <- s_ij * x_ij + m_ij

    `spread` is the standard deviation of the normal distribution. The noise isn't of zero mean or
    unit scale, and its distribution is another one at each step: this is the point of it.

    Args:
        x: Floats of shape (batch, ..., channels, ...).
        seed: Where the numbers come from; it is advanced by four draws.
        axis: The axis of the channels.
        max_shift: n_mu of the paper, at least 0.
        max_scale: n_sigma of the paper, at least 1.
        spread: r_mu and r_sigma of the paper, at least 0.
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
    """Keras' BatchNormalization with `covariate_noise` behind it, at training only.

    Santurkar et al. use it to show that batch normalization helps even where the distributions
    that the next layer sees are made to jump at each step. The noise comes from a seed generator
    of the layer, which is part of the model's state: whoever restores it gets the same noise again.

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
        """Normalizes; adds the noise when training and `trainable`."""
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
