"""Examples in docstrings give the results that they state."""

import doctest
import importlib
from pathlib import Path

import keras
import numpy as np
import pytest

import tfticket

pytestmark = pytest.mark.slow

PACKAGE = Path(tfticket.__file__).parent
GLOBALS = {"keras": keras, "np": np, "__name__": "__main__"}
"""Names that an example may use without importing them; its classes are the reader's own."""

MODULES = sorted(
    ".".join(("tfticket", *path.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(
        ".__init__"
    )
    for path in PACKAGE.rglob("*.py")
    if ">>> " in path.read_text(encoding="utf-8") and path.name not in ("_legacy.py", "_child.py")
)


@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # some write files
    found = doctest.testmod(importlib.import_module(name), extraglobs=GLOBALS)
    assert found.attempted > 0
    assert found.failed == 0
