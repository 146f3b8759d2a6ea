"""`GradualPruning`: prune step by step within one training."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from typing import Any

import numpy as np

from tfticket.schedules import PolynomialDecay, PruningSchedule
from tfticket.sparsity.binding import MaskBinding, MaskedFit
from tfticket.sparsity.mask import Mask
from tfticket.sparsity.pruner import Pruner
from tfticket.sparsity.pruners import as_pruner
from tfticket.sparsity.scores import WEIGHT_SCORES, WeightScore, score_weights
from tfticket.state import innermost_optimizer, prunable_variables
from tfticket.wording import brief, named

_LEVELS = 20  # of a sparsity without a schedule


class GradualPruning(MaskedFit):
    """Callback that prunes more and more weights while `fit` trains, without rewinding any.

    Level l of the schedule is pruned after optimizer step `begin + l * every`; with
    `steps_per_execution` above 1, at the end of the execution that the step falls into. Steps are
    those of the optimizer, so a second `fit` with the callback goes on where the first ended.
    Afterwards `mask` is what is left, for `KeepMask(pruning.mask)` or `sparsify(model, mask)`; a
    plain model is as it was, with zeros in it, a sparsified one owns the mask.

    Source: Zhu & Gupta (2017, arXiv:1710.01878), "To prune, or not to prune", equation 1.

    Args:
        schedule: Sparsity by level, or the final sparsity, in (0, 1), of a `PolynomialDecay` of 20
            levels, as in the paper.
        every: Steps between two levels, at least 1.
        begin: Step that the schedule begins at, at least 0: a network learns first.
        pruner: Pruning scope and structure, as a pruner or by name: `global`, `layerwise`, `erk`.
        score: Score of weights, or its name: `magnitude`, `magnitude_increase`, `movement`.
        skip: Glob patterns of keys to leave dense.

    Attributes:
        mask: The weights that are left, as soon as `fit` has begun.

    Raises:
        ValueError: for a number out of its range, or a name that isn't known.
        TypeError: for a setting of another type.

    Example:
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(5)])
        >>> model.compile("sgd", "mse")
        >>> pruning = GradualPruning(PolynomialDecay(0.8, levels=4), every=2)
        >>> x, y = np.ones((16, 4)), np.ones((16, 5))
        >>> history = model.fit(x, y, batch_size=1, callbacks=[pruning], verbose=0)
        >>> pruning.mask.sparsity, int(np.count_nonzero(model.layers[0].kernel))
        (0.8, 4)
    """

    def __init__(
        self,
        schedule: PruningSchedule | float,
        *,
        every: int = 100,
        begin: int = 0,
        pruner: Pruner | str = "global",
        score: WeightScore | str = "magnitude",
        skip: Iterable[str] = (),
    ) -> None:
        super().__init__()
        if isinstance(schedule, float):
            schedule = PolynomialDecay(schedule, _LEVELS)
        if not isinstance(schedule, PruningSchedule):
            raise TypeError(
                "`schedule` must be a final sparsity, such as 0.8, or a schedule, such as "
                f"PolynomialDecay(0.8, levels=20). Received: {brief(schedule)}."
            )
        if every < 1 or begin < 0:
            raise ValueError(
                "`every` must be at least 1 and `begin` at least 0. Received: "
                f"every={every}, begin={begin}"
            )
        self.schedule = schedule
        self.every = every
        self.begin = begin
        self.pruner = as_pruner(pruner)
        also = "a function of initial and final weights"
        known: Any = WEIGHT_SCORES
        self.score: WeightScore = (
            score if callable(score) else named("score", score, known, type(None), also=also)
        )
        self.skip = tuple(skip)
        self.mask: Mask | None = None
        self._initial: dict[str, np.ndarray] = {}

    def __repr__(self) -> str:
        return f"GradualPruning({self.schedule}, every={self.every}, begin={self.begin})"

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Bind the masks, and prune what an earlier `fit` had pruned already."""
        self._release()  # of a `fit` that was interrupted
        self._binding = MaskBinding(self.model, self.skip)
        self.mask = self._binding.get()
        self._initial = self._weights()
        self._prune()

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Prune when the next level is due."""
        self._prune()

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Check the zeros, detach the masks, and warn when the schedule isn't at its end."""
        super().on_train_end(logs)
        level = self._level()
        if level < self.schedule.levels:
            warnings.warn(
                f"`fit` ended at level {level} of {self.schedule.levels} of the schedule, which "
                f"needs {self.begin + self.schedule.levels * self.every} steps: the model has a "
                f"sparsity of {0.0 if self.mask is None else self.mask.sparsity:.3g}. Train "
                "longer, or prune more often.",
                stacklevel=2,
            )

    def _level(self) -> int:
        step = int(innermost_optimizer(self.model).iterations)
        return max(0, min((step - self.begin) // self.every, self.schedule.levels))

    def _prune(self) -> None:
        mask, density = self.mask, 1 - self.schedule.sparsity(self._level())
        if self._binding is None or mask is None or density >= mask.density:
            return
        scores = score_weights(self.score, self._initial, self._weights())
        pruned = self.pruner.prune(scores, mask, 1 - density / mask.density)
        if pruned != mask:
            self._binding.set(pruned)
            self.mask = pruned

    def _weights(self) -> dict[str, np.ndarray]:
        weights = prunable_variables(self.model, self.skip)
        return {key: weights[key].numpy() for key in self.mask or () if key in weights}
