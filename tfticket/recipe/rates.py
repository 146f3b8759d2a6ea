"""Learning rates of recipes as Keras objects, all of them functions of iterations."""

from __future__ import annotations

from typing import Any

import keras

from tfticket.recipe.training import Cosine, Linear, Piecewise, WarmupPiecewise


def learning_rate(
    table: float | Piecewise | Cosine | Linear | WarmupPiecewise,
) -> float | keras.optimizers.schedules.LearningRateSchedule:
    """What a Keras optimizer takes as `learning_rate`."""
    schedules = keras.optimizers.schedules
    if isinstance(table, Piecewise):
        return schedules.PiecewiseConstantDecay(list(table.boundaries), list(table.values))
    if isinstance(table, WarmupPiecewise):
        return WarmupPiecewiseSchedule(
            table.warmup_steps, list(table.boundaries), list(table.values)
        )
    if isinstance(table, Linear):
        return LinearSchedule(table.initial, table.decay_steps, table.constant_steps)
    if isinstance(table, Cosine) and table.warmup_steps:
        return schedules.CosineDecay(
            0.0,
            table.decay_steps,
            alpha=table.alpha,
            warmup_target=table.initial,
            warmup_steps=table.warmup_steps,
        )
    if isinstance(table, Cosine):
        return schedules.CosineDecay(table.initial, table.decay_steps, alpha=table.alpha)
    return table


@keras.saving.register_keras_serializable(package="tfticket")
class WarmupPiecewiseSchedule(keras.optimizers.schedules.LearningRateSchedule):
    """A line from 0 to the first value, then piecewise constant.

    Source: Frankle & Carbin (2019), section 4, "learning rate warmup".

    Args:
        warmup_steps: Steps of the line, at least 1.
        boundaries: Steps at which the value changes, counted from step 0.
        values: One more than there are boundaries.
    """

    def __init__(self, warmup_steps: int, boundaries: list[int], values: list[float]) -> None:
        self.warmup_steps = warmup_steps
        self.boundaries = boundaries
        self.values = values
        self._constant = keras.optimizers.schedules.PiecewiseConstantDecay(boundaries, values)

    def __call__(self, step: Any) -> Any:
        """The learning rate at a step."""
        share = keras.ops.cast(step, "float32") / self.warmup_steps
        return keras.ops.minimum(share, 1.0) * self._constant(step)

    def get_config(self) -> dict[str, Any]:
        """The arguments."""
        return {
            "warmup_steps": self.warmup_steps,
            "boundaries": self.boundaries,
            "values": self.values,
        }


@keras.saving.register_keras_serializable(package="tfticket")
class LinearSchedule(keras.optimizers.schedules.LearningRateSchedule):
    """Constant, then a line down to 0.

    Source: the program of Han et al. (2018, arXiv:1804.06872), constant for 80 of 200 epochs.

    Args:
        initial: The rate at the beginning.
        decay_steps: Steps of the line, at least 1.
        constant_steps: Steps before it.
    """

    def __init__(self, initial: float, decay_steps: int, constant_steps: int = 0) -> None:
        self.initial = initial
        self.decay_steps = decay_steps
        self.constant_steps = constant_steps

    def __call__(self, step: Any) -> Any:
        """The learning rate at a step."""
        gone = keras.ops.cast(step, "float32") - self.constant_steps
        return self.initial * (1.0 - keras.ops.clip(gone / self.decay_steps, 0.0, 1.0))

    def get_config(self) -> dict[str, Any]:
        """The arguments."""
        return {
            "initial": self.initial,
            "decay_steps": self.decay_steps,
            "constant_steps": self.constant_steps,
        }
