"""From the text of a recipe to a checked `Recipe`, and back to plain data.

All wrong keys and values are told in one `RecipeError`, with the conflicts between the keys of each
table whose own values are right; those between tables are told when all tables are right.
"""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from tfticket.errors import RecipeError
from tfticket.reading import UnreadableError, check_plain
from tfticket.recipe import mistakes
from tfticket.recipe.catalog import read_toml
from tfticket.recipe.overrides import Override, apply, merge
from tfticket.recipe.schema import Recipe
from tfticket.recipe.table import Problem
from tfticket.studies.kind import Kind
from tfticket.studies.lottery.schema import DEFAULT_RATE
from tfticket.studies.registry import KINDS, kind_of

_MOST_TOLD = 40


def load(
    path: str | Path,
    *,
    overrides: Sequence[Override] = (),
    smoke: bool = False,
    seeds: Sequence[int] | None = None,
) -> Recipe:
    """Reads and checks a recipe file.

    Args:
        path: The file; its stem is the recipe's name unless the recipe gives one.
        overrides: Changes to make, after those of `smoke`.
        smoke: Make the changes of the recipe's own `[smoke]` table.
        seeds: Takes the place of the recipe's seeds.

    Raises:
        RecipeError: with all mistakes of the file, and of its `[smoke]` table.
    """
    path = Path(path)
    raw = read_toml(path)
    if smoke or overrides or seeds is not None:
        changes = raw.pop("smoke", {})
        raw = merge(raw, changes if smoke and isinstance(changes, dict) else {})
        raw = apply(raw, overrides)
        raw = raw if seeds is None else {**raw, "seeds": list(seeds)}
    return parse(raw, source=str(path), name=path.stem)


def parse(raw: Mapping[str, Any], *, source: str = "recipe", name: str = "recipe") -> Recipe:
    """Checks the tables of a recipe, as TOML or JSON give them.

    Args:
        raw: The tables; not changed.
        source: What the error calls the recipe.
        name: The recipe's name unless it gives one.

    Raises:
        RecipeError: with all mistakes.
    """
    try:
        check_plain(dict(raw))  # `--set` can put what is nested deeply where that is already
    except UnreadableError as error:
        raise RecipeError(f"{source} can't be checked: {error}.") from error
    tables: dict[str, Any] = copy.deepcopy({"name": name, **raw})
    recipe, found = _check(tables)
    smoke = tables.pop("smoke", None)
    if isinstance(smoke, dict):
        _, others = _check(merge(tables, smoke))
        found += [Problem(f"with [smoke], {p.key}", p.message) for p in others if p not in found]
    if recipe is None or found:
        count = "a mistake" if len(found) == 1 else f"{len(found)} mistakes"
        lines = [f"  {problem.key:.200}: {problem.message}" for problem in found[:_MOST_TOLD]]
        if len(found) > _MOST_TOLD:
            lines.append(f"  and {len(found) - _MOST_TOLD} more")
        raise RecipeError(f"{source} has {count}:\n" + "\n".join(lines))
    return recipe


def _check(raw: dict[str, Any]) -> tuple[Recipe | None, list[Problem]]:
    kind = kind_of(raw)
    _fill_rate(raw, kind)
    _fill_normalize(raw)
    try:
        return kind.recipe.model_validate(raw), []
    except ValidationError as error:
        found = mistakes.problems(error, kind.recipe)
        return None, [_with_all_kinds(problem, raw) for problem in found]


def _with_all_kinds(problem: Problem, raw: Mapping[str, Any]) -> Problem:
    """A schema knows only its own kind."""
    if problem.key != "kind":
        return problem
    rule, names = "must be" if "kind" in raw else "must be given:", ", ".join(KINDS)
    received = f" Received: {mistakes.shown(raw['kind'])}." if "kind" in raw else ""
    return Problem("kind", f"{rule} one of {names}.{received}")


def _fill_rate(raw: dict[str, Any], kind: Kind) -> None:
    tables = raw.get(kind.table)
    for table in tables if isinstance(tables, list) else [tables]:
        if isinstance(table, dict) and table.get("schedule", "iterative") == "iterative":
            table.setdefault("rate", DEFAULT_RATE)


def _fill_normalize(raw: dict[str, Any]) -> None:
    """Says what "auto" means, as far as the recipe tells: `unit` is what older ones resolved to."""
    data, model = raw.get("data"), raw.get("model")
    if not isinstance(data, dict) or data.get("normalize", "auto") != "auto":
        return
    if isinstance(model, dict) and model.get("file") is not None:
        data["normalize"] = "none"
    elif not str(data.get("name")).startswith(("npz:", "csv:", "parquet:")):
        data["normalize"] = "unit"


def resolve(recipe: Recipe) -> dict[str, Any]:
    """The recipe as JSON data, with every default filled; `parse` gives the same recipe back.

    `smoke` is left out: it says how to make another recipe.
    """
    return recipe.model_dump(mode="json", exclude={"smoke"})


def sha256(resolved: Mapping[str, Any]) -> str:
    """The hash of a resolved recipe, whatever the order of its keys."""
    return hashlib.sha256(json.dumps(resolved, sort_keys=True).encode()).hexdigest()


def diff(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Compares two resolved recipes: a line for each key that differs, `key: old -> new`."""
    before, after = dict(_leaves(old)), dict(_leaves(new))
    return [
        f"{key:.200}: {_side(before, key):.200} -> {_side(after, key):.200}"
        for key in dict.fromkeys((*before, *after))
        if _side(before, key) != _side(after, key)
    ]


def _leaves(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in table.items():
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _side(leaves: Mapping[str, Any], key: str) -> str:
    return json.dumps(leaves[key], ensure_ascii=False) if key in leaves else "(absent)"
