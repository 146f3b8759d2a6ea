"""How the structure of tickets depends on the other keys of a search, in recipes of all kinds."""

from __future__ import annotations

from collections.abc import Iterator

from tfticket.recipe.consistency import Problem
from tfticket.recipe.lottery_schema import Lottery

_ROUNDING = 1e-3  # what a pruner of n of m rounds to its pattern


def structure_problems(lottery: Lottery, table: str) -> Iterator[Problem]:
    """What doesn't go together with the structure.

    Args:
        lottery: How tickets are searched.
        table: The key of that table: `lottery`, or `tickets`.
    """
    yield from _pattern(lottery, table)
    if lottery.pruner == "erk" and lottery.structure in _NOT_ERK:
        yield Problem(
            f"{table}.pruner",
            f"must be global or layerwise for structure = {lottery.structure!r}: "
            f"{_NOT_ERK[lottery.structure]}. Received: 'erk'.",
            (f"{table}.structure",),
        )
    if lottery.structure != "channel":
        return
    if "output" in lottery.rates:
        yield Problem(
            f"{table}.rates",
            "gives layers whose channels are pruned their own rates; those of the output layer are "
            "the classes, which stay. Remove `output`.",
            (f"{table}.structure",),
        )
    if lottery.score == "random" and lottery.pruner == "global":
        yield Problem(
            f"{table}.pruner",
            "must be layerwise for random channels: a channel scores the mean of its weights, and "
            "means of few random numbers differ more than those of many, so that nearly all would "
            "go from the narrow layers. Received: 'global'.",
            (f"{table}.structure", f"{table}.score"),
        )


_NOT_ERK = {
    "n_of_m": "ERK gives each layer a density of its own, and n of m all of them the same",
    "channel": "ERK is about the weights of one kernel, and a channel goes through several",
}


def _pattern(lottery: Lottery, table: str) -> Iterator[Problem]:
    others = (f"{table}.structure",)
    if (lottery.pattern is None) == (lottery.structure == "n_of_m"):
        yield Problem(
            f"{table}.pattern",
            "is for structure = 'n_of_m', which needs it, as [2, 4]. Received: structure = "
            f"{lottery.structure!r}.",
            others,
        )
        return
    if lottery.pattern is None:
        return
    n, m = lottery.pattern
    if n >= m:
        yield Problem(
            f"{table}.pattern",
            f"must be [n, m] with n below m: of each m inputs n stay. Received: [{n}, {m}].",
        )
        return
    density = _final_density(lottery)
    if density < n / m - _ROUNDING:
        key = "levels" if lottery.schedule == "iterative" else "final_sparsity"
        yield Problem(
            f"{table}.{key}",
            f"must not lead below a density of {n}/{m} = {n / m:g}, since of each {m} inputs {n} "
            f"stay. Received: {density:.4g} at the last level. Prune less, or try schedule = "
            f"'polynomial' with final_sparsity = {1 - n / m:g}, which ends at the pattern.",
            tuple(f"{table}.{name}" for name in ("pattern", "schedule", "rate", "rates")),
        )


def _final_density(lottery: Lottery) -> float:
    """The lowest density of a layer at the last level."""
    if lottery.schedule != "iterative":
        return 1.0 - (lottery.final_sparsity or 0.0)
    return (1.0 - max(lottery.rate or 0.0, *lottery.rates.values(), 0.0)) ** lottery.levels
