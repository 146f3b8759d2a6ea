"""What a run tells while it goes on, and to whom."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

_TIMED_STEPS = 300


@dataclass(frozen=True)
class PlannedLevel:
    """One level of the search.

    Attributes:
        level: How often the network will have been pruned; 0 is dense.
        counts: Key to the number of surviving weights.
        prunable: Number of prunable weights of the dense network.
        exact: Whether the pruner says the counts exactly. Where only the scores decide (all layers
            compete, or what lives and dies together differs in size) they are what is expected.
    """

    level: int
    counts: Mapping[str, int]
    prunable: int
    exact: bool = True

    @property
    def remaining(self) -> int:
        """Number of surviving weights."""
        return sum(self.counts.values())

    @property
    def density(self) -> float:
        """Share of the prunable weights that survive, in (0, 1]."""
        return self.remaining / self.prunable


def worth_timing(steps: int) -> bool:
    """Whether so many steps take longer than to find out, by a network of its own, how long."""
    return steps >= _TIMED_STEPS


@dataclass(frozen=True)
class Plan:
    """What a search for tickets will do, before it starts.

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
        structure: What lives and dies together, as in the recipe.
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
    structure: str = "unstructured"


@dataclass(frozen=True)
class PlannedCell:
    """One network of a recipe of the kind `norms`.

    Attributes:
        branch: Its name.
        seeds: How many times it is trained.
        steps: Optimizer steps of one training.
        searched: Optimizer steps of the search that finds its ticket, if it needs one.
    """

    branch: str
    seeds: int
    steps: int
    searched: int = 0


@dataclass(frozen=True)
class NormsPlan:
    """What a recipe of another kind than `lottery` will do, before it starts.

    Attributes:
        title: The recipe's title.
        seeds: The seeds.
        cells: The networks.
        probes: How often the landscape is measured in one training; 0 if it isn't.
        steps_total: Optimizer steps of the whole run.
        steps_left: Those that are still to do; fewer than the total when a run is resumed.
        seconds: Estimated time for the steps left; None where it can't be told yet.
        size_bytes: Estimated size of the run directory when it is complete.
        searches: Whether the cells are searches for tickets, whose networks have levels.
    """

    title: str
    seeds: tuple[int, ...]
    cells: tuple[PlannedCell, ...]
    probes: int
    steps_total: int
    steps_left: int
    seconds: float | None
    size_bytes: int
    searches: bool = False


class Progress(Protocol):
    """Who wants to know how a run goes on. All of it is for show: a run never depends on it."""

    def plan(self, plan: Plan | NormsPlan) -> None:
        """Before the first step."""

    def begin(self, seed: int, branch: str, level: int, steps: int, density: float) -> None:
        """A network begins; it will make `steps` optimizer steps."""

    def update(self, step: int, measured: Mapping[str, float]) -> None:
        """An evaluation, after `step` of the network's own steps.

        Measured are `loss` and `val_loss`, `accuracy` and `val_accuracy` in [0, 1] where there are
        classes, and where the landscape is tracked `learning_rate`, `gauge` and `beta`.
        """

    def end(self, seed: int, branch: str, level: int, summary: Mapping[str, float]) -> None:
        """A network ends; `summary` holds its `test` and `summary` measurements by name."""

    def message(self, text: str) -> None:
        """Anything else worth a line."""

    def part(self, name: str) -> Progress:
        """Who hears of one of several tasks that go on at the same time; it has no plan.

        Networks of one part begin and end one after the other.
        """


class Silence:
    """Wants to know nothing."""

    def plan(self, plan: Plan | NormsPlan) -> None:
        """See `Progress`."""

    def begin(self, seed: int, branch: str, level: int, steps: int, density: float) -> None:
        """See `Progress`."""

    def update(self, step: int, measured: Mapping[str, float]) -> None:
        """See `Progress`."""

    def end(self, seed: int, branch: str, level: int, summary: Mapping[str, float]) -> None:
        """See `Progress`."""

    def message(self, text: str) -> None:
        """See `Progress`."""

    def part(self, name: str) -> Progress:
        """See `Progress`."""
        return self
