"""A small valid recipe of the kind `edge` as raw tables, to be changed by each test."""

from __future__ import annotations

import tomllib

from tfticket.recipe.overrides import apply, parse_override
from tfticket.recipe.parsing import parse
from tfticket.studies.edge.schema import EdgeRecipe

TOML = """
kind = "edge"
title = "Tiny"
seeds = [0, 1]
data = { name = "digits", validation = 0.15 }
model = { name = "lenet_300_100", width = 0.1 }

[train]
optimizer = { name = "adam" }
learning_rate = 0.01
steps = 60
evaluate_every = 30
jit = false

[[search]]
structure = "unstructured"
rate = 0.9
levels = 1

[[search]]
structure = "channel"
rate = 0.3
levels = 1

[edge]
formats = ["fp32", "int8", "sparse_fc"]
margin = 0.2
"""


def tables(*changes: str) -> dict:
    """The raw tables, with changes like `train.steps=10`."""
    return apply({"name": "tiny", **tomllib.loads(TOML)}, map(parse_override, changes))


def recipe(*changes: str) -> EdgeRecipe:
    """The same, checked."""
    return parse(tables(*changes))
