"""Counts the epochs of co-teaching where the compiled step can see them."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from tfticket.errors import ModelError


class Clock:
    """Steps and epochs done, in variables of a layer, which are saved and restored with it.

    It doesn't count an optimizer's iterations: compiling again resets those, loss scaling skips
    them, and there are two. Training may go on with epochs of another length, which then count from
    where the length changed.

    Args:
        owner: Where the variables belong.
        steps_per_epoch: Steps of an epoch, or None when `fit` will tell.
    """

    def __init__(self, owner: keras.Layer, steps_per_epoch: int | None) -> None:
        if steps_per_epoch is not None and steps_per_epoch < 1:
            raise ModelError(f"`steps_per_epoch` must be at least 1. Received: {steps_per_epoch}.")
        self.fixed = steps_per_epoch is not None

        def counter(name: str, value: int = 0) -> keras.Variable:
            return owner.add_weight(
                shape=(), dtype="int64", initializer=_constant(value), trainable=False, name=name
            )

        self.steps = counter("steps_done")
        self._length = counter("steps_per_epoch", steps_per_epoch or 0)
        self._since_step = counter("pace_since_step")
        self._since_epoch = counter("pace_since_epoch")

    @property
    def is_set(self) -> bool:
        """Whether the length of an epoch is known."""
        return bool(self._length.numpy())

    def epochs_done(self) -> Any:
        """Whole epochs done, an int64 scalar tensor."""
        length = keras.ops.maximum(self._length.value, 1)
        return self._since_epoch.value + (self.steps.value - self._since_step.value) // length

    def set_pace(self, steps_per_epoch: int | None) -> None:
        """Tells how long the epochs to come are.

        Raises:
            ModelError: when nobody knows.
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


def _constant(value: int) -> keras.initializers.Initializer:
    return keras.initializers.Constant(value)
