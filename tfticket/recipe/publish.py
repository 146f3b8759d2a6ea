"""From a run to the small set of files that is kept: `saved_models/<recipe>/`.

The card says what each file is worth: which recipe, seed and versions made it, what was measured,
and its hash. It is written last, so a folder with a card is whole.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

from tfticket.errors import RunError
from tfticket.files import write_atomic, write_json
from tfticket.metrics import read_metrics
from tfticket.recipe import parsing
from tfticket.recipe.rundir import RunDir

CARD = "card.json"
MOST_BYTES = 2_000_000
MOST_FIGURES = 4
_EXPORTED = re.compile(r"seed_(\d+)_level_(\d+).*\.tflite")


def publish(run: str | Path, root: str | Path) -> Path:
    """Copies ticket, exported model, summary, figures and a card of a complete run.

    The ticket is the smallest winning one, if it was exported; else the sparsest exported one.

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
    summary = _summary(source)
    seed, level, exported = _chosen(source, summary)
    files = {
        "ticket.npz": source.ticket(seed, "ticket", level),
        "model.tflite": exported,
        "model.json": exported.with_suffix(".json"),
        "summary.json": source.report / "summary.json",
    }
    figures = sorted((source.report / "figures").glob("*.png"))[:MOST_FIGURES]
    contents = {name: _read(path) for name, path in files.items()}
    contents |= {f"figures/{path.name}": _read(path) for path in figures}
    target = Path(root) / recipe["name"]
    outdated = _listed(target) - contents.keys()
    for name, content in contents.items():
        _write(target / name, content)
    card = _card(source, recipe, seed, level)
    write_json(target / CARD, card | {"files": {name: _facts(c) for name, c in contents.items()}})
    for name in outdated:
        (target / name).unlink(missing_ok=True)
    return target


def _summary(run: RunDir) -> dict[str, Any]:
    path = run.report / "summary.json"
    if not path.is_file():
        raise RunError(f"{path} is missing. Make it by `tfticket report {run.path}`.")
    return json.loads(path.read_text(encoding="utf-8"))


def _chosen(run: RunDir, summary: Mapping[str, Any]) -> tuple[int, int, Path]:
    """Seed, level and the smallest `.tflite` of the ticket to publish."""
    found: dict[tuple[int, int], list[Path]] = {}
    for path in sorted((run.path / "export").glob("*.tflite")):
        match = _EXPORTED.fullmatch(path.name)
        if match:
            found.setdefault((int(match[1]), int(match[2])), []).append(path)
    if not found:
        raise RunError(
            f"Nothing of {run.path} has been exported yet. Do so by `tfticket export {run.path}`."
        )
    winning = (summary.get("smallest_winning") or {}).get("level")
    levels = {level for _, level in found}
    level = winning if winning in levels else max(levels)
    seed = min(seed for seed, of_level in found if of_level == level)
    return seed, level, min(found[seed, level], key=lambda path: path.stat().st_size)


def _read(path: Path) -> bytes:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise RunError(f"{path} can't be read: {error.strerror}.") from error
    if len(content) > MOST_BYTES:
        raise RunError(
            f"A published file must have at most {MOST_BYTES:,} bytes. Received: {path} with "
            f"{len(content):,}. Export a sparser level, or a smaller format."
        )
    return content


def _write(path: Path, content: bytes) -> None:
    def write(file: BinaryIO) -> None:
        file.write(content)

    write_atomic(path, write)


def _facts(content: bytes) -> dict[str, Any]:
    return {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def _listed(target: Path) -> set[str]:
    card = target / CARD
    return set(json.loads(card.read_text(encoding="utf-8"))["files"]) if card.is_file() else set()


def _card(run: RunDir, recipe: Mapping[str, Any], seed: int, level: int) -> dict[str, Any]:
    measured: dict[int, dict[str, float]] = {0: {}, level: {}}
    for row in read_metrics(run.metrics):
        if (row.seed, row.branch) == (seed, "ticket") and row.split in ("test", "summary"):
            measured.setdefault(row.level, {})[row.name] = row.value
    environment = run.environment_facts()
    return {
        "recipe": recipe["name"],
        "title": recipe["title"],
        "recipe_sha256": parsing.sha256(recipe),
        "seed": seed,
        "seeds": recipe["seeds"],
        "level": level,
        "density": measured[level].get("density"),
        "ticket": measured[level],
        "dense": measured[0],
        "versions": environment.get("versions", {}),
        "git_commit": environment.get("git_commit"),
        "started": environment.get("started"),
    }
