"""The plan of a run, and the listener that hears how it goes on."""

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
        exact: Whether the counts are exact. Where they depend on the scores (all layers compete, or
            the units of the structure differ in size) they are expected counts.
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
    """Whether timing a trial run beforehand is cheaper than the run."""
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
        structure: The structure that is pruned, as in the recipe.
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

    @property
    def networks(self) -> int:
        """Number of networks of the whole run."""
        return sum(map(len, self.branches.values())) * len(self.seeds)


@dataclass(frozen=True)
class PlannedCell:
    """One network of a recipe of another kind than `lottery`, or one search.

    Attributes:
        branch: Its name.
        seeds: How many times it is trained.
        steps: Optimizer steps of one training.
        searched: Optimizer steps of the search that finds its ticket, if it needs one.
        networks: Number of networks of one seed: one, or those of a search.
    """

    branch: str
    seeds: int
    steps: int
    searched: int = 0
    networks: int = 1


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

    @property
    def networks(self) -> int:
        """Number of networks of the whole run."""
        return sum(cell.seeds * cell.networks for cell in self.cells)


class Progress(Protocol):
    """A listener that hears how a run goes on; a run never depends on it."""

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
        """The listener of one of several tasks that run at the same time; it has no plan.

        Networks of one part begin and end one after the other.
        """


class Silence:
    """A listener that ignores every event."""

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
