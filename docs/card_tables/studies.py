"""Provenance, deviations and single values of studies of every kind."""

from __future__ import annotations

import functools
import json
import re
import tomllib
from collections.abc import Callable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

from card_tables import numbers
from card_tables.numbers import bullets, plain, plural, table

ROOT = Path(__file__).resolve().parents[2]

_DOWNLOADED = ("mnist", "cifar10")  # data that --data-dir must say where to find
_STEP = re.compile(r"(\w+)|\[([^\]]+)\]")
SHOWN: Mapping[str, Callable[..., str]] = {
    "percent": numbers.percent,
    "points": numbers.points,
    "times": numbers.times,
    "density": numbers.density,
    "number": numbers.fixed,
}


@functools.cache
def read(name: str, file: str) -> Mapping[str, Any]:
    """A JSON file of a published study, with its numbers as decimals.

    Args:
        name: Name of the study, a folder of `saved_models/`.
        file: `card`, `summary` or `model`.
    """
    path = ROOT / "saved_models" / name / f"{file}.json"
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"), parse_float=Decimal)
    return found


def summary(name: str) -> Mapping[str, Any]:
    """The summary of a study."""
    return read(name, "summary")


@functools.cache
def recipe(name: str) -> Mapping[str, Any]:
    """The recipe of a study."""
    text = (ROOT / "recipes" / f"{name}.toml").read_text(encoding="utf-8")
    return tomllib.loads(text, parse_float=Decimal)


def study(name: str) -> str:
    """Recipe, size, command, versions, and where the numbers are."""
    card, of_recipe = read(name, "card"), recipe(name)
    command = f"tfticket recipe run {name}"
    if of_recipe["data"]["name"] in _DOWNLOADED:
        command += " --data-dir DIR"
    if card["seeds"] != of_recipe["seeds"]:
        command += f" --seeds {card['seeds'][0]}-{card['seeds'][-1]}"
    versions, commit = card["versions"], card.get("git_commit")
    made = f"Run on {card['started'][:10]}" + (f" at commit `{commit[:7]}`" if commit else "")
    return (
        f"Recipe [`{name}`](../recipes/{name}.toml), {_size(name)}: `{command}`. {made}, with "
        f"tfticket {versions['tfticket']}, Keras {versions['keras']}, "
        f"TensorFlow {versions['tensorflow']}. All numbers: "
        f"[summary.json](../saved_models/{name}/summary.json), "
        f"[card.json](../saved_models/{name}/card.json)."
    )


def published() -> str:
    """A table of all published studies: recipe, title, size, and the summary."""
    folders = sorted((ROOT / "saved_models").glob("*/card.json"))
    rows = [
        [
            f"[`{name}`](../recipes/{name}.toml)",
            str(recipe(name)["title"]),
            _size(name),
            f"[summary.json](../saved_models/{name}/summary.json)",
        ]
        for name in (path.parent.name for path in folders)
    ]
    return table(["recipe", "title", "size", "numbers"], rows)


def deviations(name: str) -> str:
    """List the deviations of a recipe from its paper."""
    return bullets(recipe(name)["deviations"])


def headline(name: str) -> str:
    """The result of the study in the words of its report."""
    return plain(summary(name)["headline"])


def value(show: str, name: str, path: str, digits: str | None = None) -> str:
    """One number of a study, for a line of prose.

    Args:
        show: `percent`, `points`, `times`, `density` or `number`.
        name: Name of the study.
        path: File and keys, like `summary.verdicts[level=11].against_dense.gain`.
        digits: Decimals, where they aren't the usual ones.

    Returns:
        The number; with its interval where the path leads to an estimate.
    """
    file, _, keys = path.partition(".")
    found: Any = read(name, file)
    for key, condition in _STEP.findall(keys):
        if key:
            found = found[key]
        else:
            wanted = dict(part.split("=") for part in condition.split(","))
            found = next(x for x in found if all(str(x[k]) == v for k, v in wanted.items()))
    shown = functools.partial(SHOWN[show], **({"digits": int(digits)} if digits else {}))
    return numbers.interval(shown, found) if isinstance(found, Mapping) else shown(found)


def result(reading: str) -> str:
    """Return the result of an expectation, in the words of the documentation."""
    earlier = {
        "pass": "met",
        "fail": "not met",
        "can't tell": "not significant",
        "no criterion": "no bound",
        "noted": "no bound",
    }
    return earlier.get(reading, reading)


def _size(name: str) -> str:
    card, found = read(name, "card"), summary(name)
    seeds = plural(len(card["seeds"]), "seed")
    if "levels" in found:
        return f"{seeds}, {plural(sum(each['networks'] for each in found['levels']), 'network')}"
    if "cells" in card:
        count = sum(len(cell["measured"]) for cell in card["cells"])
        return f"{seeds}, {plural(count, 'trial')}"
    made = sum(row["failure"] is None for row in found["rows"])
    return f"{seeds}, {plural(made, 'file')} of seed {found['seed']}"
