"""The kinds of recipes. A new kind is one line in `KINDS`, and one in `works.WORK`."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tfticket.recipe import edge_rules, lottery_rules, noisy_rules, norms_rules
from tfticket.recipe.consistency import Rule
from tfticket.recipe.edge_schema import EdgeRecipe
from tfticket.recipe.lottery_schema import LotteryRecipe
from tfticket.recipe.noisy_schema import NoisyRecipe
from tfticket.recipe.norms_schema import NormsRecipe
from tfticket.recipe.schema import Recipe

DEFAULT_RATE = 0.2


@dataclass(frozen=True)
class Kind:
    """What is said of recipes of one kind before anything runs.

    Attributes:
        recipe: The schema.
        rules: How its keys depend on one another.
        stand_ins: What takes the place of a required key that is wrong, while the other keys are
            checked.
        table: Where the search of tickets is described, or several are in a list; empty if the
            kind has none.
        unit: What a run is made of, as a listing calls it.
        grow: Given two resolved recipes, the old one with what in the new one only adds to it.
    """

    recipe: type[Recipe]
    rules: tuple[Rule, ...]
    stand_ins: Mapping[str, Any]
    table: str
    unit: str
    grow: Callable[[Mapping[str, Any], Mapping[str, Any]], dict[str, Any]]

    @property
    def completed(self) -> tuple[str, ...]:
        """The tables that `stand_ins` completes when they lack something."""
        return ("data", "train", self.table)


def _more_seeds(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    grown = copy.deepcopy(dict(before))
    if set(before["seeds"]) <= set(after["seeds"]):
        grown["seeds"] = after["seeds"]
    return grown


def _more_levels(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    grown = _more_seeds(before, after)
    levels = after["lottery"]["levels"]
    if before["lottery"]["schedule"] == "iterative" and before["lottery"]["levels"] <= levels:
        grown["lottery"]["levels"] = levels
    return grown


_COMMON: Mapping[str, Any] = {
    "name": "recipe",
    "title": "title",
    "data": {"name": "digits"},
    "model": {"name": "lenet_300_100"},
    "train": {"optimizer": {"name": "sgd"}, "learning_rate": 1.0, "steps": 1},
}

KINDS: Mapping[str, Kind] = {
    "lottery": Kind(
        recipe=LotteryRecipe,
        rules=lottery_rules.RULES,
        stand_ins={**_COMMON, "kind": "lottery", "lottery": {"levels": 1}},
        table="lottery",
        unit="level",
        grow=_more_levels,
    ),
    "norms": Kind(
        recipe=NormsRecipe,
        rules=norms_rules.RULES,
        stand_ins={**_COMMON, "kind": "norms", "arms": [{"norms": ["none"]}]},
        table="tickets",
        unit="network",
        grow=_more_seeds,
    ),
    "noisy": Kind(
        recipe=NoisyRecipe,
        rules=noisy_rules.RULES,
        stand_ins={
            **_COMMON,
            "kind": "noisy",
            "noise": [{"kind": "none"}],
            "methods": ["cross_entropy"],
        },
        table="",
        unit="training",
        grow=_more_seeds,
    ),
    "edge": Kind(
        recipe=EdgeRecipe,
        rules=edge_rules.RULES,
        stand_ins={**_COMMON, "kind": "edge", "search": [{"levels": 1, "rate": DEFAULT_RATE}]},
        table="search",
        unit="network",
        grow=_more_seeds,
    ),
}
"""By the `kind` of a recipe."""


def kind_of(raw: Mapping[str, Any]) -> Kind:
    """The kind of a recipe's tables; where it isn't said, the one whose tables they are most."""
    named = raw.get("kind")
    if isinstance(named, str) and named in KINDS:
        return KINDS[named]
    return max(KINDS.values(), key=lambda kind: len(raw.keys() & kind.recipe.model_fields.keys()))
