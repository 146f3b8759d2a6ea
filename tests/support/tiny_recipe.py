"""A small valid recipe as raw tables, to be changed by each test."""

from __future__ import annotations

from tfticket.recipe.overrides import apply, parse_override
from tfticket.recipe.parsing import parse
from tfticket.studies.lottery.schema import LotteryRecipe

TOML = """
kind = "lottery"
title = "Tiny"
seeds = [0, 1]
data = { name = "digits" }
model = { name = "lenet_300_100" }

[train]
optimizer = { name = "sgd", momentum = 0.9 }
learning_rate = 0.1
steps = 300
jit = false

[lottery]
levels = 2

[controls]
reinit = false
"""


def tables(*changes: str) -> dict:
    """The raw tables, with changes like `train.steps=10`."""
    import tomllib

    return apply({"name": "tiny", **tomllib.loads(TOML)}, map(parse_override, changes))


def recipe(*changes: str) -> LotteryRecipe:
    """The same, checked."""
    return parse(tables(*changes))
