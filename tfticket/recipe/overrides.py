"""Changes to a recipe's tables: `--set key=value` and `[smoke]`."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Iterable, Mapping
from tomllib import TOMLDecodeError
from typing import Any, NamedTuple

from tfticket.errors import RecipeError
from tfticket.reading import UnreadableError, check_plain, parse_toml


class Override(NamedTuple):
    """One change: the parts of a dotted key, and the value it gets."""

    key: tuple[str, ...]
    value: Any


def parse_override(text: str) -> Override:
    """Reads `key=value` by the rules of TOML, the same as in the file.

    A value that isn't TOML and doesn't begin like a string, a list or a table is taken as a string:
    `lottery.score=movement` needs no quotes.

    Raises:
        RecipeError: when there is no `=`, or key or value can't be read.
    """
    key, equals, value = (part.strip() for part in text.partition("="))
    if not equals or not key or not value or "\n" in key:
        raise RecipeError(
            f"A change to a recipe must look like `train.steps=2_000`. Received: {text!r:.80}."
        )
    path = _key(key, text)
    try:
        tables = _tables(value)
    except UnreadableError as error:
        raise RecipeError(
            f"The value of `{key}` must be valid TOML. Received: {value!r:.80} ({error})."
        ) from error
    if set(tables) != {"value"}:
        raise RecipeError(
            f"A change sets one key; give the others their own. Received: {text!r:.80}."
        )
    return Override(path, tables["value"])


def _tables(value: str) -> dict[str, Any]:
    try:
        return parse_toml(f"value = {value}")
    except UnreadableError as error:
        if not isinstance(error.__cause__, TOMLDecodeError) or value[0] in "[{\"'":
            raise
    check_plain(value)
    return {"value": value}


def _key(key: str, text: str) -> tuple[str, ...]:
    try:
        table: Any = parse_toml(f"{key} = 0")
    except UnreadableError as error:
        raise RecipeError(
            f"A key must be dotted words, like `train.steps`; quote what isn't a word, like "
            f'`lottery.rates."block1/*"`. Received: {key!r:.80} in {text!r:.80}.'
        ) from error
    path = []
    while isinstance(table, dict):
        ((name, table),) = table.items()
        path.append(name)
    return tuple(path)


def apply(raw: Mapping[str, Any], overrides: Iterable[Override]) -> dict[str, Any]:
    """A copy of a recipe's tables with the changes made, in their order.

    Raises:
        RecipeError: when a key goes into something that isn't a table.
    """
    changed = copy.deepcopy(dict(raw))
    for override in overrides:
        table: Any = changed
        for depth, part in enumerate(override.key[:-1], start=1):
            table = table.setdefault(part, {})
            if not isinstance(table, dict):
                raise RecipeError(
                    f"`{'.'.join(override.key)}` can't be set: `{'.'.join(override.key[:depth])}` "
                    f"is not a table. Received there: {table!r}."
                )
        table[override.key[-1]] = copy.deepcopy(override.value)
    return changed


def merge(raw: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of a recipe's tables with `changes` of the same shape laid over them."""
    merged = copy.deepcopy(dict(raw))
    for key, value in changes.items():
        both = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
        merged[key] = merge(merged[key], value) if both else copy.deepcopy(value)
    return merged


def fingerprint(overrides: Iterable[Override]) -> str:
    """Eight hexadecimal digits that stand for a set of changes, in whatever order."""
    lines = sorted(json.dumps([".".join(o.key), o.value], default=str) for o in overrides)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:8]
