"""Check that an epoch of `fit` made all of its steps."""

from __future__ import annotations

import keras

from tfticket.errors import ModelError
from tfticket.internals import updates_made
from tfticket.state import innermost_optimizer


class StepCount:
    """Counter of the steps that an epoch of `fit` really makes."""

    def __init__(self) -> None:
        self.executed = 0  # as Keras reports them
        self._before = 0
        self._updates_a_step: float | None = None

    def begin_epoch(self, model: keras.Model) -> None:
        """Record the iterations of the optimizer."""
        self.executed = 0
        self._before = updates_made(innermost_optimizer(model))

    def check(self, model: keras.Model, steps: int) -> None:
        """Raise a `ModelError` when the epoch made fewer steps than it should.

        An optimizer counts its updates: one a step, unless the model has a training step of its
        own, whose number of updates must then be the same in each epoch. Loss scaling leaves
        updates out.
        """
        updates = (updates_made(innermost_optimizer(model)) - self._before) / steps
        if self._updates_a_step is None:
            plain = type(model).train_step is keras.Model.train_step
            self._updates_a_step = 1.0 if plain else updates
        scaled = isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer)
        if self.executed < steps or (updates != self._updates_a_step and not scaled):
            made = min(self.executed, round(updates * steps / (self._updates_a_step or 1)))
            raise ModelError(
                f"The data ran out after {made} of the {steps} steps of an epoch. Each network of "
                "a search must make all its steps: give `fit` data that repeat "
                "(`dataset.repeat()`), or `steps_per_epoch` that they have batches for."
            )
