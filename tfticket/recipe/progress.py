"""What a run tells while it goes on, and to whom."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class PlannedLevel:
    """One level of the search.

    Attributes:
        level: How often the network will have been pruned; 0 is dense.
        counts: Key to the number of surviving weights. The pruner says them exactly, except where
            only the scores decide (global pruning): then they are what is expected.
        prunable: Number of prunable weights of the dense network.
    """

    level: int
    counts: Mapping[str, int]
    prunable: int

    @property
    def remaining(self) -> int:
        """Number of surviving weights."""
        return sum(self.counts.values())

    @property
    def density(self) -> float:
        """Share of the prunable weights that survive, in (0, 1]."""
        return self.remaining / self.prunable


@dataclass(frozen=True)
class Plan:
    """What a run will do, before it starts.

    Attributes:
        title: The recipe's title.
        seeds: The seeds.
        levels: The levels of the search, from 0.
        branches: Branch to the levels that are trained of it.
        steps_per_level: Optimizer steps of one level.
        steps_total: Optimizer steps of the whole run.
        steps_left: Those that are still to do; fewer than the total when a run is resumed.
        seconds: Estimated time for the steps left; None where it can't be told yet.
        size_bytes: Estimated size of the run directory when it is complete.
    """

    title: str
    seeds: tuple[int, ...]
    levels: tuple[PlannedLevel, ...]
    branches: Mapping[str, tuple[int, ...]]
    steps_per_level: int
    steps_total: int
    steps_left: int
    seconds: float | None
    size_bytes: int


class Progress(Protocol):
    """Who wants to know how a run goes on. All of it is for show: a run never depends on it."""

    def plan(self, plan: Plan) -> None:
        """Before the first step."""

    def begin(self, seed: int, branch: str, level: int, steps: int, density: float) -> None:
        """A level begins; it will make `steps` optimizer steps."""

    def update(
        self, step: int, loss: float, accuracy: float, val_loss: float, val_accuracy: float
    ) -> None:
        """An evaluation, after `step` of the level's own steps. Accuracies are in [0, 1]."""

    def end(self, seed: int, branch: str, level: int, summary: Mapping[str, float]) -> None:
        """A level ends; `summary` holds its `test` and `summary` measurements by name."""

    def message(self, text: str) -> None:
        """Anything else worth a line."""


class Silence:
    """Wants to know nothing."""

    def plan(self, plan: Plan) -> None:
        """See `Progress`."""

    def begin(self, seed: int, branch: str, level: int, steps: int, density: float) -> None:
        """See `Progress`."""

    def update(
        self, step: int, loss: float, accuracy: float, val_loss: float, val_accuracy: float
    ) -> None:
        """See `Progress`."""

    def end(self, seed: int, branch: str, level: int, summary: Mapping[str, float]) -> None:
        """See `Progress`."""

    def message(self, text: str) -> None:
        """See `Progress`."""
