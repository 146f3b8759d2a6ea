"""The examples in docstrings give what they say."""

import doctest
import importlib

import pytest

EXAMPLES = (
    "tfticket.children",
    "tfticket.cli.common",
    "tfticket.held",
    "tfticket.lottery.comparison",
    "tfticket.lottery.measure",
    "tfticket.lottery.speed",
    "tfticket.lottery.verdict",
    "tfticket.studies.lottery.schema",
    "tfticket.schedules",
    "tfticket.wording",
)


@pytest.mark.parametrize("name", EXAMPLES)
def test_examples_run(name):
    found = doctest.testmod(importlib.import_module(name))
    assert found.attempted > 0
    assert found.failed == 0
