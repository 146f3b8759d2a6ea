"""`EarlyTicket`: stop a training as soon as the mask that pruning would find has settled."""

from __future__ import annotations

import warnings
from collections import deque
from collections.abc import Iterable
from typing import Any

import keras
import numpy as np

from tfticket.sparsity.mask import Mask
from tfticket.sparsity.pruner import Pruner
from tfticket.sparsity.pruners import as_pruner
from tfticket.state import prunable_variables


class EarlyTicket(keras.callbacks.Callback):
    """Callback that stops `fit` once the mask of magnitude pruning has settled.

    At the end of each epoch the mask is computed that pruning would give now; nothing is pruned.
    When the masks of the last `patience` epochs differ from the newest by less than `tolerance`,
    training ends, and `mask` is the ticket to train, rewound or from these weights.

    Source: You et al. (2020, arXiv:1909.11957), section 3, there for channels. Their distance is
    the share of places in which two masks differ; here it is the share of kept weights, which is
    the same at a sparsity of 0.5 and doesn't shrink with the density.

    Args:
        sparsity: Share of weights to prune, in (0, 1).
        pruner: Pruning scope and structure, as a pruner or by name: `global`, `layerwise`, `erk`.
        tolerance: Largest difference of settled masks, in (0, 1]: 0.1 as in the paper.
        patience: Number of masks that are compared, at least 2: 5 as in the paper.
        skip: Glob patterns of keys to leave dense.

    Attributes:
        mask: The mask of the last epoch.
        distances: Of each epoch, how far its mask is from the farthest of those before it that are
            compared; None before there are as many.
        settled: Whether the mask has settled.

    Raises:
        ValueError: for a number out of its range, or a name that isn't known.

    Example:
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(5)])
        >>> model.compile(keras.optimizers.SGD(0.0), "mse")
        >>> early = EarlyTicket(0.8, patience=2)
        >>> x, y = np.ones((16, 4)), np.ones((16, 5))
        >>> history = model.fit(x, y, epochs=9, callbacks=[early], verbose=0)
        >>> len(history.epoch), early.mask.sparsity, early.distances
        (2, 0.8, [None, 0.0])
    """

    def __init__(
        self,
        sparsity: float,
        *,
        pruner: Pruner | str = "global",
        tolerance: float = 0.1,
        patience: int = 5,
        skip: Iterable[str] = (),
    ) -> None:
        super().__init__()
        if not 0.0 < sparsity < 1.0 or not 0.0 < tolerance <= 1.0 or patience < 2:
            raise ValueError(
                "`sparsity` must be in (0, 1), `tolerance` in (0, 1] and `patience` at least 2. "
                f"Received: sparsity={sparsity}, tolerance={tolerance}, patience={patience}"
            )
        self.sparsity = sparsity
        self.pruner = as_pruner(pruner)
        self.tolerance = tolerance
        self.patience = patience
        self.skip = tuple(skip)
        self.mask: Mask | None = None
        self.distances: list[float | None] = []
        self.settled = False

    def __repr__(self) -> str:
        return f"EarlyTicket({self.sparsity}, tolerance={self.tolerance})"

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Forget the masks of an earlier `fit`."""
        self._masks: deque[Mask] = deque(maxlen=self.patience - 1)
        self.mask, self.distances, self.settled = None, [], False

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Compare the mask of this epoch with those before it."""
        weights = prunable_variables(self.model, self.skip)
        scores = {key: np.abs(variable.numpy()) for key, variable in weights.items()}
        dense = Mask.ones({key: score.shape for key, score in scores.items()})
        self.mask = mask = self.pruner.prune(scores, dense, self.sparsity)
        distance = None
        if len(self._masks) == self.patience - 1:
            distance = max(_distance(mask, other) for other in self._masks)
        self.distances.append(distance)
        self._masks.append(mask)
        if distance is not None and distance < self.tolerance:
            self.settled = self.model.stop_training = True

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Warn when the mask hasn't settled."""
        if not self.settled:
            last = next((d for d in reversed(self.distances) if d is not None), None)
            found = "too few epochs to tell" if last is None else f"it still moves by {last:.2g}"
            warnings.warn(
                f"`fit` ended before the mask settled: {found} in {self.patience} epochs, and the "
                f"tolerance is {self.tolerance}. Train longer, or allow more.",
                stacklevel=2,
            )


def _distance(mask: Mask, other: Mask) -> float:
    """Return the share of kept weights that are kept in one of two masks of equal counts only."""
    both = sum(int(np.count_nonzero(mask[key] & other[key])) for key in mask)
    return 1.0 - both / mask.kept
