"""Batch normalization with noise behind it (Santurkar et al., arXiv:1805.11604, algorithm 1)."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from tfticket.errors import ModelError


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
