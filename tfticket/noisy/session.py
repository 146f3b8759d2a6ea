"""What happens around one `fit` of a pair of networks."""

from __future__ import annotations

import warnings
from typing import Any

import keras

from tfticket.noisy.checks import check_beginnings


class EpochKeeper(keras.callbacks.Callback):
    """Tells the pair how long its epochs are, and begins to count with each.

    `CoTeaching.fit` adds it. Its model is a `CoTeaching`.
    """

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Sets the pace and refuses networks that would stay the same."""
        if not int(self.model.clock.steps.numpy()):
            check_beginnings(*self.model.peers)
        self.model.begin_epoch(self.params.get("steps"))

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Forgets what the last epoch counted."""
        self.model.begin_epoch(self.params.get("steps"))

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Warns of losses that aren't finite: inputs of a data set can't be looked at before."""
        summary = self.model.selection()
        if summary is not None and summary.not_finite:
            warnings.warn(
                f"{summary.not_finite:,} losses of epoch {epoch + 1} were NaN or infinite, of both "
                "networks together: one input that isn't finite makes NaN of all weights. Look for "
                "NaN among the inputs and for labels out of range, or lower the learning rate.",
                stacklevel=2,
            )
