"""A small valid recipe of the kind `norms`, to be changed by each test."""

from __future__ import annotations

import tomllib

from tfticket.recipe.overrides import apply, parse_override
from tfticket.recipe.parsing import parse
from tfticket.studies.norms.schema import NormsRecipe

TOML = """
kind = "norms"
title = "Tiny"
data = { name = "digits", batch_size = 16, validation = 40, limit = 80 }
model = { name = "conv2", width = 0.05 }

[train]
optimizer = { name = "sgd" }
learning_rate = 0.1
steps = 4
evaluate_every = 2
jit = false

[[arms]]
norms = ["none", "batch"]
"""


def tables(*changes: str) -> dict:
    """The raw tables, with changes like `train.steps=10`."""
    return apply({"name": "tiny_norms", **tomllib.loads(TOML)}, map(parse_override, changes))


def recipe(*changes: str) -> NormsRecipe:
    """The same, checked."""
    made = parse(tables(*changes))
    assert isinstance(made, NormsRecipe)
    return made
