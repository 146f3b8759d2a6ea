"""What the README says is true: its examples run, its commands exist, its links lead somewhere.

That its numbers are those of the published cards is tested in `test_docs.py`.
"""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import click
import pytest

from tfticket.cli import cli
from tfticket.recipe import catalog

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXAMPLES = re.findall(r"<!-- example -->\n```python\n(.*?)```", README, re.DOTALL)
LINKS = re.findall(r"\]\(([^)]+)\)", README)


@pytest.mark.slow
@pytest.mark.parametrize("code", EXAMPLES, ids=["search", "export", "norms", "noise"])
def test_example_runs(code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    exec(compile(code, "README.md", "exec"), names)
    assert list(tmp_path.iterdir()), "each example ends with a file"


def test_it_is_read_in_a_few_minutes() -> None:
    assert len(README.encode()) <= 8_000
    assert all(len(code.strip().splitlines()) <= 18 for code in EXAMPLES)


def test_each_command_exists() -> None:
    lines = re.findall(r"(?:^|`|bin/)tfticket ([a-z][a-z-]*)(?: ([a-z]+))?", README, re.MULTILINE)
    assert len(lines) >= 5
    for noun, verb in lines:
        assert noun in cli.commands, noun
        command = cli.commands[noun]
        if isinstance(command, click.Group) and verb:
            assert verb in command.commands, f"{noun} {verb}"
    named = set(re.findall(r"recipe run (\w+)", README))
    assert named <= {entry.name for entry in catalog.list_recipes()}


def test_links_and_images_are_absolute_and_in_the_repository() -> None:
    # A package index shows the README without the files beside it.
    home = PROJECT["urls"]["Repository"]
    raw = home.replace("github.com", "raw.githubusercontent.com") + "/main/"
    assert LINKS
    for link in LINKS:
        path = next((link.removeprefix(p) for p in (f"{home}/blob/main/", raw) if p in link), None)
        assert path is not None, link
        assert (ROOT / path).is_file(), link


def test_the_main_job_ends_as_the_published_run_of_it() -> None:
    card = ROOT / "saved_models" / "lth_mnist1d" / "summary.json"
    said = json.loads(card.read_text(encoding="utf-8"))["headline"]
    assert said.replace("\N{NARROW NO-BREAK SPACE}", " ") in " ".join(README.split())
