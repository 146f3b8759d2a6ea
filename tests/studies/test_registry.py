import json
import subprocess
import sys
from pathlib import Path

import coin
import pytest

from tfticket.errors import RecipeError
from tfticket.recipe.parsing import parse
from tfticket.runner import runner
from tfticket.runs.rundir import RunDir
from tfticket.runs.session import writing
from tfticket.studies import render, summarize
from tfticket.studies.registry import KINDS

pytestmark = pytest.mark.slow

RECIPE = {
    "name": "pennies",
    "title": "Is the penny fair?",
    "kind": "coin",
    "seeds": [0, 1],
    "throws": 10,
    "data": {"name": "digits"},
    "model": {},
    "train": {"optimizer": {"name": "sgd"}, "learning_rate": 0.1, "steps": 1},
}


@pytest.fixture
def coins(monkeypatch):
    monkeypatch.setitem(KINDS, "coin", coin.KIND)


def run(path):
    recipe = parse(RECIPE)
    with writing(RunDir(path), recipe, toml=b""):
        runner.run(recipe, RunDir(path))
    return RunDir(path)


@pytest.mark.usefixtures("coins")
def test_a_kind_is_one_folder_and_one_entry(tmp_path):
    done = run(tmp_path / "run")
    assert done.complete
    summary = summarize(done.path)
    assert summary.throws == 20
    assert json.loads(done.complete_file.read_text())["heads"] == summary.heads
    page = render(done.path).read_text()
    assert summary.headline in page
    assert "<svg" in page
    run(done.path)  # nothing is left to do


@pytest.mark.usefixtures("coins")
def test_its_keys_are_checked_by_its_schema():
    with pytest.raises(RecipeError, match="throws: must be a whole number of at least 1"):
        parse({**RECIPE, "throws": 0})


def test_without_its_entry_there_is_no_such_kind():
    with pytest.raises(RecipeError, match="coin"):
        parse(RECIPE)


@pytest.mark.parametrize(
    "kind", ["lottery", "norms", "noisy", "edge", "memorization", "locality", "widths"]
)
def test_summary_and_page_of_a_kind_need_no_tensorflow(kind):
    """They name their modules as text, which the test of imports doesn't follow."""
    script = (
        "import sys, pkgutil; from tfticket.studies.registry import KINDS; "
        f"kind = KINDS[{kind!r}]; "
        "pkgutil.resolve_name(kind.summary), pkgutil.resolve_name(kind.page); "
        "print(*(sys.modules.keys() & {'tensorflow', 'keras'}))"
    )
    assert output_of(script) == ""


def test_schemas_are_found_without_tensorflow_and_numpy():
    script = (
        "import sys; from tfticket.studies.registry import KINDS; assert len(KINDS) == 7; "
        "print(*(sys.modules.keys() & {'tensorflow', 'keras', 'numpy', 'vl_convert'}))"
    )
    assert output_of(script) == ""


def output_of(script):
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=root, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()
