"""The examples in docstrings give what they say."""

import doctest
import importlib

import pytest

EXAMPLES = (
    "tfticket.data.chunked",
    "tfticket.data.dataset",
    "tfticket.data.feed",
    "tfticket.data.loading",
    "tfticket.data.ordered",
    "tfticket.held",
    "tfticket.lottery.comparison",
    "tfticket.lottery.measure",
    "tfticket.lottery.speed",
    "tfticket.lottery.verdict",
    "tfticket.models.files",
    "tfticket.models.jit",
    "tfticket.models.losses",
    "tfticket.models.zoo",
    "tfticket.norms.catalog",
    "tfticket.norms.doctor",
    "tfticket.norms.folding",
    "tfticket.norms.landscape.records",
    "tfticket.norms.landscape.trackers",
    "tfticket.norms.layers.batch",
    "tfticket.norms.layers.convolution",
    "tfticket.norms.layers.fused",
    "tfticket.norms.layers.group",
    "tfticket.norms.layers.plain",
    "tfticket.norms.layers.response",
    "tfticket.norms.swap",
    "tfticket.recipe.lottery_schema",
    "tfticket.schedules",
)


@pytest.mark.parametrize("name", EXAMPLES)
def test_examples_run(name):
    found = doctest.testmod(importlib.import_module(name))
    assert found.attempted > 0
    assert found.failed == 0
