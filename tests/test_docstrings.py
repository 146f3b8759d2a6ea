"""The examples in docstrings give what they say."""

import doctest
import importlib

import pytest

EXAMPLES = (
    "tfticket.export.c_array",
    "tfticket.export.facade",
    "tfticket.export.inspect.check",
    "tfticket.export.inspect.energy",
    "tfticket.export.inspect.explain",
    "tfticket.export.metadata",
    "tfticket.export.plain",
    "tfticket.export.preparation",
    "tfticket.export.result",
    "tfticket.export.tflite",
    "tfticket.held",
    "tfticket.lottery.comparison",
    "tfticket.lottery.measure",
    "tfticket.lottery.speed",
    "tfticket.lottery.verdict",
    "tfticket.studies.lottery.schema",
    "tfticket.schedules",
)


@pytest.mark.parametrize("name", EXAMPLES)
def test_examples_run(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # some write files
    found = doctest.testmod(importlib.import_module(name))
    assert found.attempted > 0
    assert found.failed == 0
