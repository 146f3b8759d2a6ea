"""Filter response normalization (Singh & Krishnan, arXiv:1911.09737)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from tfticket.norms.layers.channels import ChannelNorm, mean


@keras.saving.register_keras_serializable(package="tfticket")
class FilterResponseNorm(ChannelNorm):
    """Filter response normalization: division by the root mean square, then a learned threshold.

        y = gamma * x / sqrt(nu2 + epsilon) + beta,    nu2 = mean of x^2 over the positions
        z = max(y, tau)                                the thresholded linear unit (TLU)

    Each channel of each example is normalized by itself, without subtracting a mean. `tau` makes up
    for the mean: it begins at 0, which is a ReLU, and is learned for each channel. It *replaces*
    the activation. In front of a ReLU that stays, a `tau` below 0 has no effect and no gradient, so
    choose `threshold=False` there, as the catalog does.

    Over a single position (after a dense layer, or on 1x1 maps) this is little more than the sign
    of `x`, with almost no gradient; the paper uses `learn_epsilon=True` for that case.

    Args:
        epsilon: Added to nu2. The paper's is 1e-6.
        threshold: Whether to end in the TLU.
        learn_epsilon: Whether to add `|epsilon_l|` to `epsilon`, a trained value for each channel
            that begins at 1e-4.
        **kwargs: As for `ChannelNorm`.

    Call arguments:
        inputs: Floats of shape (batch, ..., channels, ...), of rank 2 to 5.
        mask: Booleans of the inputs' shape without the channels: positions that count, or None.

    Example:
        >>> import numpy as np
        >>> layer = FilterResponseNorm(threshold=False)
        >>> layer(np.full((1, 2, 2, 3), 5.0, "float32")).numpy().max().round(4)
        np.float32(1.0)
    """

    def __init__(
        self,
        *,
        epsilon: float = 1e-6,
        threshold: bool = True,
        learn_epsilon: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(epsilon=epsilon, **kwargs)
        self.threshold = threshold
        self.learn_epsilon = learn_epsilon
        self.tau: keras.Variable | None = None
        self.learned_epsilon: keras.Variable | None = None

    def build(self, input_shape: Sequence[int | None]) -> None:
        """Create the weights."""
        super().build(input_shape)
        shape = (input_shape[self.axis],)
        if self.threshold:
            self.tau = self.add_weight(name="tau", shape=shape, initializer="zeros", autocast=False)
        if self.learn_epsilon:
            self.learned_epsilon = self.add_weight(
                name="epsilon",
                shape=shape,
                initializer=keras.initializers.Constant(1e-4),
                autocast=False,
            )

    def call(self, inputs: Any, mask: Any = None) -> Any:
        """Normalize; the same in training and inference."""
        x = self._precise(inputs)
        axes = self._spatial_axes(len(x.shape))
        nu2 = mean(ops.square(x), axes, self._present(mask, x))
        floor = self.epsilon
        if self.learned_epsilon is not None:
            floor = floor + ops.abs(self._by_channel(self.learned_epsilon, x))
        outputs = self._finish(x, ops.rsqrt(nu2 + floor))
        if self.tau is None:
            return outputs
        return ops.maximum(outputs, self._by_channel(self.tau, outputs))

    def get_config(self) -> dict[str, Any]:
        """See `keras.Layer.get_config`."""
        return {
            **super().get_config(),
            "threshold": self.threshold,
            "learn_epsilon": self.learn_epsilon,
        }
