"""The trials of a search as plain data: their order, pruning and rewinding."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from tfticket.display.words import plural
from tfticket.errors import MaskError, ModelError
from tfticket.lottery.controls import Control
from tfticket.lottery.trial import TICKET, Trial
from tfticket.schedules import PruningSchedule
from tfticket.sparsity.mask import Mask
from tfticket.sparsity.pruner import Pruner
from tfticket.sparsity.pruners import GlobalPruner
from tfticket.sparsity.saliency import SaliencyScore
from tfticket.sparsity.scores import WeightScore
from tfticket.wording import brief, check_name

Rewind = Literal["weights", "learning_rate", "none"]


@dataclass(frozen=True)
class Procedure:
    """Settings of a `TicketSearch` that define its trials; see there for each of them."""

    schedule: PruningSchedule
    level_steps: int
    pruner: Pruner
    score: WeightScore | SaliencyScore | None
    rewind_step: int
    rewind: Rewind
    optimizer_state: Literal["restore", "fresh"]
    score_at: Literal["end", "early_stop"]
    controls: Sequence[Control]
    control_levels: Sequence[int] | None
    seed: int

    def __post_init__(self) -> None:
        check_name("rewind", self.rewind, get_args(Rewind))
        check_name("optimizer_state", self.optimizer_state, ("restore", "fresh"))
        check_name("score_at", self.score_at, ("end", "early_stop"))
        if not isinstance(self.schedule, PruningSchedule):
            raise TypeError(
                "`schedule` must be a pruning schedule, such as IterativePruning(0.2, levels=10), "
                f"OneShot(0.9) or PolynomialDecay(0.9, levels=5). Received: {brief(self.schedule)}."
            )
        if not 0 <= self.rewind_step < self.level_steps:
            raise ValueError(
                "`rewind_step` must be at least 0 and below `level_steps`. Received: "
                f"rewind_step={self.rewind_step}, level_steps={self.level_steps}"
            )
        names = [control.name for control in self.controls]
        if len(set(names)) < len(names) or TICKET in names:
            raise ValueError(f"Each control needs a name of its own. Received: {names}")

    def ticket(self, level: int) -> Trial:
        """Return the trial of the ticket of a level; level 0 is the dense network."""
        return Trial(level, TICKET, self.rewind_step if level else 0, self.level_steps)

    def trials(self) -> list[Trial]:
        """List all trials of the search, in the order of training."""
        dense = [control.name for control in self.controls if control.first_level == 0]
        trials = [self.ticket(0), *(Trial(0, name, 0, self.level_steps) for name in dense)]
        levels = range(1, self.schedule.levels + 1)
        with_controls = levels if self.control_levels is None else self.control_levels
        for level in levels:
            trials.append(self.ticket(level))
            for control in self.controls:
                if level in with_controls and level >= control.first_level:
                    first = 0 if control.begins_at_step_zero else self.rewind_step
                    trials.append(Trial(level, control.name, first, self.level_steps))
        return trials

    def check_sparsity(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        """Refuse a schedule that the pruner couldn't follow to its end, before anything is trained.

        Where each variable is pruned for itself, how many weights go doesn't depend on the scores,
        so any scores show it. Where all compete, only the scores decide who is left with none.

        Args:
            shapes: Key to shape of what is pruned.

        Raises:
            MaskError: names the level, and the variables that would be left empty.
        """
        mask, rng = Mask.ones(shapes), np.random.default_rng(0)
        scores = {key: rng.random(shape, np.float32) for key, shape in shapes.items()}
        levels = range(1, self.schedule.levels + 1)
        for level in levels:
            try:
                if isinstance(self.pruner, GlobalPruner):
                    self.pruner.quotas(Mask.ones(shapes), self.schedule.sparsity(level))
                else:
                    mask = self.pruner.prune(scores, mask, self.schedule.rate(level))
            except MaskError as error:
                raise MaskError(
                    f"The search would stop at level {level} of {levels.stop - 1}: {error}"
                ) from error

    def check_epochs(self, steps_per_epoch: int) -> None:
        """Raise a `ModelError` when epochs don't end where networks begin and end."""
        given = {"level_steps": self.level_steps, "rewind_step": self.rewind_step}
        wrong = {name: steps for name, steps in given.items() if steps % steps_per_epoch}
        if wrong:
            divisor = int(np.gcd(self.level_steps, self.rewind_step))
            near = " ".join(
                f"The nearest to {name}={steps} that would do: "
                f"{_nearest(steps, steps_per_epoch, least=name == 'level_steps')}."
                for name, steps in wrong.items()
            )
            raise ModelError(
                "Each network must end, and the rewind step fall, at the end of an epoch. "
                f"Received: level_steps={self.level_steps}, rewind_step={self.rewind_step}, epochs "
                f"of {steps_per_epoch} steps. {near} Or give `fit` `steps_per_epoch` that divides "
                f"{divisor}."
            )


def _nearest(steps: int, epoch: int, *, least: int) -> str:
    """The multiples of an epoch below and above, in words."""
    below = steps // epoch
    return " or ".join(
        f"{epochs * epoch} ({plural(epochs, 'epoch')})"
        for epochs in (below, below + 1)
        if epochs >= least
    )
