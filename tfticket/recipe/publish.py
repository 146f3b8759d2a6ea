"""From a run to the small set of files that is kept: `saved_models/<recipe>/`.

The card says what each file is worth: which recipe, seeds and versions made it, what was measured,
and its hash. It is written last, so a folder with a card is whole.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from tfticket.errors import RunError
from tfticket.files import write_atomic, write_json
from tfticket.recipe import parsing, publish_edge, publish_lottery, publish_noisy, publish_norms
from tfticket.recipe.published import MOST_BYTES, Published, too_large
from tfticket.recipe.rundir import RunDir

CARD = "card.json"
_KINDS: Mapping[str, Callable[[RunDir], Published]] = {
    "lottery": publish_lottery.chosen,
    "norms": publish_norms.chosen,
    "noisy": publish_noisy.chosen,
    "edge": publish_edge.chosen,
}


def publish(run: str | Path, root: str | Path) -> Path:
    """Copies summary, figures, what the kind of the run adds, and a card of a complete run.

    Args:
        run: The run directory, with its report.
        root: Usually `saved_models`.

    Returns:
        The folder `root/<recipe>`. What an older card there lists and the new one doesn't is
        removed.

    Raises:
        RunError: when the run isn't complete, lacks what is to be copied, or a file is larger than
            2 MB.
    """
    source = RunDir(run)
    recipe = source.resolved()
    if not source.complete:
        raise RunError(f"Only a complete run can be published. Received: {source.path}; resume it.")
    published = _KINDS[recipe["kind"]](source)
    for name, content in published.contents.items():
        if len(content) > MOST_BYTES:
            raise too_large(name, len(content))
    target = Path(root) / recipe["name"]
    outdated = _listed(target) - published.contents.keys()
    for name, content in published.contents.items():
        _write(target / name, content)
    files = {name: _facts(content) for name, content in published.contents.items()}
    write_json(target / CARD, _card(source, recipe, published.card) | {"files": files})
    for name in outdated:
        (target / name).unlink(missing_ok=True)
    return target


def _write(path: Path, content: bytes) -> None:
    def write(file: BinaryIO) -> None:
        file.write(content)

    write_atomic(path, write)


def _facts(content: bytes) -> dict[str, Any]:
    return {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def _listed(target: Path) -> set[str]:
    card = target / CARD
    return set(json.loads(card.read_text(encoding="utf-8"))["files"]) if card.is_file() else set()


def _card(run: RunDir, recipe: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    environment = run.environment_facts()
    return {
        "recipe": recipe["name"],
        "kind": recipe["kind"],
        "title": recipe["title"],
        "recipe_sha256": parsing.sha256(recipe),
        "seeds": recipe["seeds"],
        **own,
        "versions": environment.get("versions", {}),
        "git_commit": environment.get("git_commit"),
        "started": environment.get("started"),
    }
