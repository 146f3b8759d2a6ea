"""The forget rate: which share of a batch small-loss selection drops, by epoch."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from numbers import Real
from typing import Any, Literal

import keras
import numpy as np

from tfticket.errors import ModelError

Formula = Literal["paper", "official"]


@keras.saving.register_keras_serializable(package="tfticket")
@dataclass(frozen=True)
class ForgetRate:
    """The schedule of the forget rate: nothing is forgotten at first, then more and more.

    With T epochs done, final rate tau, ramp T_k and exponent c:

    - `paper`: tau * min(T^c / T_k, 1). Han et al. (2018, arXiv:1804.06872), algorithm 1, step 8,
      with the exponent of section 4.2. For c != 1 the ramp isn't T_k epochs long.
    - `official`: tau^c * e / (T_k - 1) while e < T_k, then tau, where e = T + 1, because the
      authors' program counts its epochs from 1. For c != 1 the exponent acts on tau, and the rate
      jumps when the ramp ends.

        >>> schedule = ForgetRate(0.4, gradual=4)
        >>> [round(float(schedule(epoch)), 2) for epoch in range(6)]
        [0.0, 0.1, 0.2, 0.3, 0.4, 0.4]

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
        """Compute the share to drop in the epoch that follows `epochs_done` whole ones.

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
        """Make it again from `get_config`."""
        return cls(**config)


class EpochClock:
    """Steps and epochs done, in variables of a layer, which are saved and restored with it.

    It doesn't count an optimizer's iterations: compiling again resets those, loss scaling skips
    them, and there are two. Training may go on with epochs of another length, which then count from
    where the length changed.

    Args:
        owner: Where the variables belong.
        steps_per_epoch: Steps of an epoch, or None when `fit` sets it.
    """

    def __init__(self, owner: keras.Layer, steps_per_epoch: int | None) -> None:
        if steps_per_epoch is not None and steps_per_epoch < 1:
            raise ModelError(f"`steps_per_epoch` must be at least 1. Received: {steps_per_epoch}.")
        self.fixed = steps_per_epoch is not None

        def counter(name: str, value: int = 0) -> keras.Variable:
            return owner.add_weight(
                shape=(),
                dtype="int64",
                initializer=keras.initializers.Constant(value),
                trainable=False,
                name=name,
            )

        self.steps = counter("steps_done")
        self._length = counter("steps_per_epoch", steps_per_epoch or 0)
        self._since_step = counter("pace_since_step")
        self._since_epoch = counter("pace_since_epoch")

    @property
    def is_set(self) -> bool:
        """True when the length of an epoch is known."""
        return bool(self._length.numpy())

    def epochs_done(self) -> Any:
        """Whole epochs done, an int64 scalar tensor."""
        length = keras.ops.maximum(self._length.value, 1)
        return self._since_epoch.value + (self.steps.value - self._since_step.value) // length

    def set_pace(self, steps_per_epoch: int | None) -> None:
        """Set the length of the epochs to come.

        Raises:
            ModelError: when the length isn't known.
        """
        if self.fixed:
            return
        if not steps_per_epoch:
            raise ModelError(
                "The forget rate grows by epochs, so their length must be known. Received: data of "
                "unknown length. Give `fit` `steps_per_epoch`, or `CoTeaching` itself."
            )
        if steps_per_epoch != int(self._length.numpy()):
            done, steps = np.array(self.epochs_done()), self.steps.numpy()
            self._since_epoch.assign(done)
            self._since_step.assign(steps)
            self._length.assign(steps_per_epoch)
