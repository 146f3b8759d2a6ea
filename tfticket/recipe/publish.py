"""From a run to the small set of files that is kept: `saved_models/<recipe>/`.

The card says what each file is worth: which recipe, seeds and versions made it, what was measured,
and its hash. It is written last, so a folder with a card is whole.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from tfticket.errors import RunError
from tfticket.files import read_table, understood, write_bytes, write_json
from tfticket.recipe import parsing, publish_edge, publish_lottery, publish_noisy, publish_norms
from tfticket.recipe.table import NAME
from tfticket.runs.published import MOST_BYTES, Published, too_large
from tfticket.runs.rundir import RunDir

CARD = "card.json"
_PUBLISHED = re.compile(r"(figures/)?\w[\w.-]{0,99}", re.ASCII)
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
            2 MB; when a file names a path that leads out of its folder. Nothing is written then.
    """
    source = RunDir(run)
    recipe = source.resolved()
    if not source.complete:
        raise RunError(f"Only a complete run can be published. Received: {source.path}; resume it.")
    with understood(
        f"The files of {source.path}", f"Make its report again by `tfticket report {source.path}`."
    ):
        published = _KINDS[recipe["kind"]](source)
        for name, content in published.contents.items():
            if len(content) > MOST_BYTES:
                raise too_large(name, len(content))
        files = {name: _facts(content) for name, content in published.contents.items()}
        card = _card(source, recipe, published.card) | {"files": files}
        target = Path(root) / _name(recipe, source)
    outdated = _listed(target) - published.contents.keys()
    _check_inside(Path(root), target, outdated | files.keys())
    for name, content in published.contents.items():
        write_bytes(target / name, content)
    write_json(target / CARD, card)
    for name in outdated:
        (target / name).unlink(missing_ok=True)
    return target


def _name(recipe: Mapping[str, Any], run: RunDir) -> str:
    name = recipe["name"]
    if not re.fullmatch(NAME, name):
        raise RunError(
            f"`{run.recipe_json}` names its recipe {name!r:.80}, which can't name a folder: that "
            "takes letters, digits, `_`, `-` and `.`. The file was changed; restore it."
        )
    return name


def _facts(content: bytes) -> dict[str, Any]:
    return {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def _listed(target: Path) -> set[str]:
    """Names of the files that the card of a folder lists, all of them inside the folder.

    Raises:
        RunError: when the card is damaged, or lists what `publish` never writes.
    """
    card = target / CARD
    if not card.is_file():
        return set()
    remedy = "Look at it, and remove it; then publish again."
    files = read_table(card, remedy=remedy).get("files")
    if not isinstance(files, dict):
        raise RunError(f"`{card}` must list the files of its folder. It doesn't. {remedy}")
    for name in files:
        if not _PUBLISHED.fullmatch(name):
            raise RunError(
                f"`{card}` lists {name!r:.80}, which is no file that is published: it could be "
                f"anything on this machine. Nothing was changed. {remedy}"
            )
    return set(files)


def _check_inside(root: Path, target: Path, names: Iterable[str]) -> None:
    """Raises `RunError` when a link on the way leads out of the root."""
    for folder in {target, *((target / name).parent for name in names)}:
        if not folder.resolve().is_relative_to(root.resolve()):
            raise RunError(
                f"`{folder}` is a link that leads out of {root}, where everything published must "
                "be. Nothing was changed. Remove the link, or publish with another --root."
            )


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
