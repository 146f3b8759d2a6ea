"""The examples in docstrings give what they say."""

import doctest
import importlib

import pytest

EXAMPLES = (
    "tfticket.held",
    "tfticket.lottery.comparison",
    "tfticket.lottery.measure",
    "tfticket.lottery.speed",
    "tfticket.lottery.verdict",
    "tfticket.noise.coteaching.forget_rate",
    "tfticket.noise.coteaching.selection",
    "tfticket.noise.estimate.noise_estimate",
    "tfticket.noise.labels.corruption",
    "tfticket.noise.labels.issues",
    "tfticket.noise.labels.transition",
    "tfticket.noise.losses",
    "tfticket.noise.theory",
    "tfticket.recipe.lottery_schema",
    "tfticket.schedules",
)


@pytest.mark.parametrize("name", EXAMPLES)
def test_examples_run(name):
    found = doctest.testmod(importlib.import_module(name))
    assert found.attempted > 0
    assert found.failed == 0
