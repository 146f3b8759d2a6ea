"""Plans of runs that are never run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from tfticket.runs.plan import Plan, PlannedCondition, Survivors


def network(branch: str, seeds: int, steps: int, searched: int = 0) -> PlannedCondition:
    """Networks that are trained with the first so many seeds."""
    return PlannedCondition(branch, tuple(range(seeds)), steps, searched=searched)


def search(
    levels: Iterable[Survivors],
    branches: Mapping[str, Iterable[int]],
    *,
    seeds: tuple[int, ...] = (0, 1),
    steps: int = 100,
    steps_left: int | None = None,
    **facts: Any,
) -> Plan:
    """The plan of a search for tickets; nothing of it is done."""
    survivors = tuple(levels)
    conditions = tuple(
        PlannedCondition(branch, seeds, steps, level, survivors=survivors[level])
        for branch, own in branches.items()
        for level in own
    )
    if steps_left is None:
        steps_left = steps * len(conditions) * len(seeds)
    given = {"seconds": None, "size_bytes": 0, "rows": "levels", **facts}
    return Plan("Tiny", seeds, conditions, steps_left, **given)
