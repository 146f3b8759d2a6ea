"""The parts of a run: trials, the tasks that train them, and the plan of conditions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

if TYPE_CHECKING:
    from tfticket.recipe.schema import Recipe
    from tfticket.runs.rundir import RunDir

_TIMED_STEPS = 300  # of fewer, timing some beforehand takes longer than the run
_TICKET = "ticket"


class Trial(NamedTuple):
    """One trained network: what its rows in the table of measurements have in common."""

    seed: int
    branch: str
    level: int = 0


@dataclass(frozen=True)
class Task:
    """A part of a run that can be done in any process, at any time after those it waits for.

    It leaves the same bits whenever and wherever it is done.

    Attributes:
        name: Its name in messages, unique in a run.
        trials: The networks that it trains, in their order; none for what leaves no rows.
        after: Names of the tasks that must be finished before it begins.
        folder: The directory of the run that its networks belong to, relative to that of the whole
            run: empty but for the searches in a run of the kind `edge`.
        parts: The same in smaller tasks, for several workers; none where it can't be divided, or
            one process is faster with the whole.
    """

    name: str
    trials: tuple[Trial, ...] = ()
    after: tuple[str, ...] = ()
    folder: str = ""
    parts: tuple[Task, ...] = ()


@dataclass(frozen=True)
class Survivors:
    """The weights that are left at one level of a search.

    Attributes:
        counts: Key to the number of surviving weights.
        prunable: Number of prunable weights of the dense network.
        exact: Whether the counts are exact. Where they depend on the scores (all layers compete, or
            the units of the structure differ in size) they are expected counts.
    """

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


@dataclass(frozen=True)
class PlannedCondition:
    """A condition, shared by trials of several seeds: a branch, or one level of a search.

    Attributes:
        branch: Its name.
        seeds: The seeds that it is trained with.
        steps: Optimizer steps of one seed.
        level: How often the network will have been pruned; 0 is dense.
        searched: Optimizer steps of the search that finds its ticket, if it needs one.
        networks: Number of networks of one seed: one, or those of a whole search.
        survivors: The weights that are left, where levels are planned.
    """

    branch: str
    seeds: tuple[int, ...]
    steps: int
    level: int = 0
    searched: int = 0
    networks: int = 1
    survivors: Survivors | None = None


@dataclass(frozen=True)
class Plan:
    """The plan of a run, before it starts.

    Attributes:
        title: The recipe's title.
        seeds: The seeds.
        conditions: What is trained.
        steps_left: Optimizer steps still to do; fewer than the total when a run is resumed.
        seconds: Estimated time for the steps left; None where it isn't known yet.
        size_bytes: Estimated size of the run directory when it is complete.
        rows: What a condition is: a level of a search for tickets, a whole search, or a network.
        probes: How often the landscape is measured in one training; 0 if it isn't.
        structure: The structure that is pruned, as in the recipe.
    """

    title: str
    seeds: tuple[int, ...]
    conditions: tuple[PlannedCondition, ...]
    steps_left: int
    seconds: float | None
    size_bytes: int
    rows: Literal["levels", "searches", "networks"] = "networks"
    probes: int = 0
    structure: str = "unstructured"

    @classmethod
    def of(
        cls,
        recipe: Recipe,
        run: RunDir,
        conditions: Sequence[PlannedCondition],
        *,
        seconds: Callable[[list[PlannedCondition]], float],
        timed: bool,
        **facts: Any,
    ) -> Plan:
        """Plan what isn't finished in a run.

        Args:
            recipe: The recipe.
            run: Its run directory.
            conditions: What is trained.
            seconds: Estimates the time that trials take, given the condition of each.
            timed: Whether to estimate time, where that takes less than the run.
            **facts: The other attributes.
        """
        left = [
            condition
            for condition in conditions
            for seed in condition.seeds
            if not run.finished(seed, condition.branch, condition.level)
        ]
        steps = sum(condition.steps + condition.searched for condition in left)
        return cls(
            title=recipe.title,
            seeds=recipe.seeds,
            conditions=tuple(conditions),
            steps_left=steps,
            seconds=seconds(left) if timed and steps >= _TIMED_STEPS else None,
            **facts,
        )

    @property
    def steps_total(self) -> int:
        """Optimizer steps of the whole run."""
        return sum((each.steps + each.searched) * len(each.seeds) for each in self.conditions)

    @property
    def networks(self) -> int:
        """Number of networks of the whole run."""
        return sum(len(each.seeds) * each.networks for each in self.conditions)

    @property
    def levels(self) -> tuple[Survivors, ...]:
        """The weights that are left in the tickets of a search, from level 0."""
        tickets = [each for each in self.conditions if each.branch == _TICKET]
        return tuple(each.survivors for each in tickets if each.survivors is not None)

    @property
    def branches(self) -> dict[str, tuple[int, ...]]:
        """Branch to the levels that are trained of it."""
        found: dict[str, tuple[int, ...]] = {}
        for each in self.conditions:
            found[each.branch] = (*found.get(each.branch, ()), each.level)
        return found
