"""Examples in docstrings give the results that they state."""

import doctest
import importlib
import re
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
    module, runner = importlib.import_module(name), doctest.DocTestRunner()
    long = []
    for example in doctest.DocTestFinder().find(module, extraglobs=GLOBALS):
        runner.run(example, clear_globs=False)
        made = {key: each for key, each in example.globs.items() if key not in vars(module)}
        long += [text for each in made.values() if not is_short(text := repr(each), each)]
    assert runner.tries > 0
    assert runner.failures == 0
    assert long == []


@pytest.mark.parametrize("folder", ["tfticket", "benchmarks", "tools", "docs"])
def test_none_begins_with_a_question_word(folder):
    files = sorted((PACKAGE.parent / folder).rglob("*.py"))
    assert files
    first = re.compile(r'^ *"""(What|Whether|How|Who) .*', re.MULTILINE)
    found = {str(path): first.search(path.read_text(encoding="utf-8")) for path in files}
    assert [f"{path}: {match[0]}" for path, match in found.items() if match] == []


def is_short(text, value):
    """Return whether the `repr` of a value of ours is one line, without its arrays."""
    ours = type(value).__module__.startswith("tfticket.")
    return not ours or (len(text) <= 250 and " at 0x" not in text and "array([" not in text)
