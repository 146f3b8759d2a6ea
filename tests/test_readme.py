"""What the README says is true: its examples run, its commands exist, its tables are complete."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest

from tfticket.cli import cli
from tfticket.recipe import catalog

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"<!-- example -->\n```python\n(.*?)```", README, re.DOTALL)


@pytest.mark.parametrize(
    "code", EXAMPLES, ids=["search", "sparsify", "norms", "noisy", "export", "chunks"]
)
def test_example_runs(code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    exec(compile(code, "README.md", "exec"), names)
    assert list(tmp_path.iterdir()), "each example ends with a file"


def test_each_recipe_is_in_the_table() -> None:
    kinds = "edge|lth|norms|noisy|noise|coteaching|incv|ticket"
    section = README.split("\n## Recipes\n")[1].split("\n## ")[0]  # benchmarks have such names, too
    listed = set(re.findall(rf"^\| `((?:{kinds})_\w+)` \|", section, re.MULTILINE))
    assert listed == {entry.name for entry in catalog.list_recipes()}


def test_each_command_of_the_readme_exists() -> None:
    lines = re.findall(r"(?:^|`|bin/)tfticket ([a-z][a-z-]*)(?: ([a-z]+))?", README, re.MULTILINE)
    assert len(lines) >= 5
    for noun, verb in lines:
        assert noun in cli.commands, noun
        command = cli.commands[noun]
        if isinstance(command, click.Group) and verb:
            assert verb in command.commands, f"{noun} {verb}"
