"""How the keys of a recipe of the kind `edge` depend on one another."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from tfticket.recipe.consistency import Problem, Rule, listed, on_one_device, twice
from tfticket.recipe.edge_schema import EdgeRecipe
from tfticket.recipe.lottery_rules import RULES as LOTTERY_RULES


def _unique(recipe: EdgeRecipe) -> Iterator[Problem]:
    yield from twice({"edge.formats": recipe.edge.formats})
    structures = [search.structure for search in recipe.search]
    for index, structure in enumerate(structures):
        if structure in structures[:index]:
            yield Problem(
                f"search[{index}].structure",
                f"must be another in each search. Received again: {structure!r}.",
            )


def _searches(recipe: EdgeRecipe) -> Iterator[Problem]:
    """What holds for a search on its own; what all have in common is told once."""
    told: set[tuple[str, str]] = set()
    for index, search in enumerate(recipe.searches().values()):
        for rule in LOTTERY_RULES:
            for problem in rule(search):
                found = _renamed(problem, index)
                if (found.key, found.message) not in told:
                    told.add((found.key, found.message))
                    yield found


def _renamed(problem: Problem, index: int) -> Problem:
    def rename(key: str) -> str:
        return f"search[{index}]{key.removeprefix('lottery')}" if key.startswith("lottery") else key

    return replace(
        problem,
        key=rename(problem.key),
        message=problem.message.replace("lottery.", f"search[{index}]."),
        others=tuple(rename(key) for key in problem.others),
    )


def _one_dense_network(recipe: EdgeRecipe) -> Iterator[Problem]:
    for key in ("rewind_step", "rewind", "score_at"):
        values = [getattr(search, key) for search in recipe.search]
        if len(set(values)) > 1:
            yield Problem(
                f"search.{key}",
                "must be the same in all searches, which share their dense network. Received: "
                f"{listed(values)}.",
            )


def _claims(recipe: EdgeRecipe) -> Iterator[Problem]:
    for index, claim in enumerate(recipe.expect):
        if (claim.at_least is None) == (claim.at_most is None):
            yield Problem(
                f"expect[{index}]",
                "must have either `at_least` or `at_most`. Received: "
                f"{'neither' if claim.at_least is None else 'both'}.",
            )


RULES: tuple[Rule, ...] = (_unique, on_one_device, _searches, _one_dense_network, _claims)
