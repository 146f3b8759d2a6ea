"""Learning rates of recipes as Keras objects, all of them functions of iterations."""

from __future__ import annotations

from typing import Any

import keras

from tfticket.recipe.training import Cosine, Piecewise, WarmupPiecewise


def learning_rate(
    table: float | Piecewise | Cosine | WarmupPiecewise,
) -> float | keras.optimizers.schedules.LearningRateSchedule:
    """What a Keras optimizer takes as `learning_rate`."""
    schedules = keras.optimizers.schedules
    if isinstance(table, Piecewise):
        return schedules.PiecewiseConstantDecay(list(table.boundaries), list(table.values))
    if isinstance(table, WarmupPiecewise):
        return WarmupPiecewiseSchedule(
            table.warmup_steps, list(table.boundaries), list(table.values)
        )
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
