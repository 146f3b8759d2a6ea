"""The forget rate: which share of a batch small-loss selection drops, by epoch."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from numbers import Real
from typing import Any, Literal

import keras

from tfticket.errors import ModelError

Formula = Literal["paper", "official"]


@keras.saving.register_keras_serializable(package="tfticket")
@dataclass(frozen=True)
class ForgetRate:
    """The schedule of co-teaching: nothing is forgotten at first, then more and more.

    With T epochs done, final rate tau, ramp T_k and exponent c:

    - `paper`: tau * min(T^c / T_k, 1). Han et al. (2018, arXiv:1804.06872), algorithm 1, step 8,
      with the exponent of section 4.2. For c != 1 the ramp isn't T_k epochs long.
    - `official`: tau^c * e / (T_k - 1) while e < T_k, then tau, where e = T + 1, because the
      authors' program counts its epochs from 1. For c != 1 the exponent acts on tau, and the rate
      jumps when the ramp ends.

    Args:
        rate: tau, in [0, 1): the noise rate, or an estimate of it.
        gradual: T_k, in epochs; 0 forgets at the full rate from the start.
        exponent: c, positive.
        formula: Whose; `paper` by default.

    Raises:
        ModelError: when a value is outside its range.
    """

    rate: float
    gradual: int = 10
    exponent: float = 1.0
    formula: Formula = "paper"

    def __post_init__(self) -> None:
        if not isinstance(self.rate, Real) or not 0 <= self.rate < 1:
            raise ModelError(
                "A forget rate must be in [0, 1): at 1 there is nothing left to learn from. "
                f"Received: {self.rate!r}. Give the share of wrong labels, or an estimate of it."
            )
        if self.gradual < 0 or self.gradual != int(self.gradual):
            raise ModelError(
                f"`gradual` must be a number of epochs, at least 0. Received: {self.gradual}."
            )
        if not self.exponent > 0:
            raise ModelError(f"`exponent` must be positive. Received: {self.exponent}.")
        if self.formula not in ("paper", "official"):
            raise ModelError(f"`formula` must be 'paper' or 'official'. Received: {self.formula!r}")

    def __call__(self, epochs_done: Any) -> Any:
        """The share to drop in the epoch that follows `epochs_done` whole ones.

        Args:
            epochs_done: T, a number or an integer tensor, from 0.

        Returns:
            A float32 scalar tensor in [0, 1).
        """
        ops = keras.ops
        done = ops.cast(epochs_done, "float32")
        if self.formula == "paper":
            ramp = done**self.exponent / max(self.gradual, 1)
            ramp = ramp if self.gradual else ops.ones_like(ramp)
            return self.rate * ops.minimum(ramp, 1.0)
        epoch = done + 1.0
        climbing = self.rate**self.exponent * epoch / max(self.gradual - 1, 1)
        return ops.where(epoch < self.gradual, climbing, ops.ones_like(epoch) * self.rate)

    def get_config(self) -> dict[str, Any]:
        """The arguments, for saving."""
        return asdict(self)

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> ForgetRate:
        """Makes it again from `get_config`."""
        return cls(**config)
