"""A small valid recipe of the kind `noisy`, to be changed by each test."""

from __future__ import annotations

import tomllib

from tfticket.recipe.overrides import apply, parse_override
from tfticket.recipe.parsing import parse
from tfticket.studies.noisy.schema import NoisyRecipe

TOML = """
kind = "noisy"
title = "Tiny"
last = 1
methods = ["cross_entropy"]
data = { name = "digits", batch_size = 20, validation = 40, limit = 200 }
model = { name = "lenet_300_100", width = 0.1 }

[train]
optimizer = { name = "sgd", momentum = 0.9 }
learning_rate = 0.1
steps = 20
evaluate_every = 10
jit = false

[[noise]]
kind = "symmetric"
rate = 0.3
exact = true
"""
SELECTION = "selection={epochs=20, iterations=2}"


def tables(*changes: str) -> dict:
    """The raw tables, with changes like `train.steps=10`."""
    return apply({"name": "tiny_noisy", **tomllib.loads(TOML)}, map(parse_override, changes))


def recipe(*changes: str) -> NoisyRecipe:
    """The same, checked."""
    made = parse(tables(*changes))
    assert isinstance(made, NoisyRecipe)
    return made
