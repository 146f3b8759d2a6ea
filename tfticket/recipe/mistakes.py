"""pydantic's findings in plain words: where, the rule, what was received, a close match."""

from __future__ import annotations

import difflib
import json
import types
from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, Tag, ValidationError
from pydantic.fields import FieldInfo

from tfticket.recipe.schema import Recipe
from tfticket.recipe.table import Problem


def problems(error: ValidationError, root: type[Recipe]) -> list[Problem]:
    """Returns one problem a key in the order of the schema, then the conflicts between keys."""
    found: dict[str, Problem] = {}
    conflicts: list[Problem] = []
    for details in error.errors(include_url=False):
        if details["type"] == "conflict":
            table = dotted(_locate(details["loc"], root)[0])
            conflicts += [
                Problem(".".join(filter(None, (table, key))), message)
                for key, message in details["ctx"]["problems"]
            ]
        else:
            problem = _problem(details, root)
            found.setdefault(problem.key, problem)
    # A list with a wrong item is also too short for pydantic, which leaves the item out.
    keys = [*found, *(problem.key for problem in conflicts)]
    wrong = [p for p in found.values() if not any(k.startswith(f"{p.key}[") for k in keys)]
    return wrong + conflicts


def _problem(details: Mapping[str, Any], root: type[Recipe]) -> Problem:
    path, table, field = _locate(details["loc"], root)
    kind, received = details["type"], details["input"]
    if kind in {"union_tag_invalid", "union_tag_not_found"}:
        return _wrong_tag(path, field, received)
    key = dotted(path)
    if kind == "extra_forbidden":
        return Problem(key, _unknown(str(path[-1]), table, root))
    if kind == "missing":
        return Problem(key, f"must be given: {_allowed(field)}.")
    if too_much := _too_much(details):
        return Problem(key, f"{too_much} Received: {shown(received)}.")
    choices = _choices(field.annotation) if field else []
    allowed = _allowed(field)
    if field is not None and str(path[-1]) not in table.model_fields:  # an item of a list
        of_item = f"one of {', '.join(choices)}" if choices else allowed
        allowed = next(_descriptions(field.annotation), of_item)
    message = f"must be {allowed}. Received: {shown(received)}."
    return Problem(key, message + _did_you_mean(received, choices))


def _too_much(details: Mapping[str, Any]) -> str | None:
    """The rule about what nobody could wait for; shares have rules of their own."""
    limits = details.get("ctx", {})
    if isinstance(limits.get("le"), int) and limits["le"] > 1:
        return f"must be at most {limits['le']:,}."
    if isinstance(limits.get("lt"), int):
        return f"must be below {limits['lt']:,}."
    return f"must have at most {limits['max_length']:,} items." if "max_length" in limits else None


def _locate(
    location: Iterable[str | int], root: type[Recipe]
) -> tuple[list[str | int], type[BaseModel], FieldInfo | None]:
    """The path of keys without pydantic's names of union members, the table and the field."""
    path: list[str | int] = []
    table: type[BaseModel] = root
    field: FieldInfo | None = None
    for part in location:
        if isinstance(part, int) or (field and get_origin(field.annotation) is dict):
            path.append(part)
            if field and isinstance(part, int):
                table, field = _item_table(field, table)
        elif field is None:
            path.append(part)
            field = table.model_fields.get(part)
            inner = _tables(field.annotation) if field else {}
            if None in inner:
                table, field = inner[None], None
        else:  # the tag of a union: a table of several, or a kind of plain value
            tables = _tables(field.annotation)
            if part in tables:
                table, field = tables[part], None
    return path, table, field


def _item_table(field: FieldInfo, table: type[BaseModel]) -> tuple[type[BaseModel], Any]:
    for item in get_args(field.annotation):
        if isinstance(item, type) and issubclass(item, BaseModel):
            return item, None
    return table, field


def _tables(annotation: Any) -> dict[str | None, type[BaseModel]]:
    """The tables that a field can hold, by tag; a single one by None."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return {None: annotation}
    members = get_args(annotation) if get_origin(annotation) in (Union, types.UnionType) else ()
    tables: dict[str | None, type[BaseModel]] = {}
    for member in members:
        tag = next((m.tag for m in get_args(member) if isinstance(m, Tag)), None)
        bare = get_args(member)[0] if get_origin(member) is Annotated else member
        if isinstance(bare, type) and issubclass(bare, BaseModel):
            named = bare.model_fields.get("name")
            tables[tag or (named.default if named else None)] = bare
    return tables


def _wrong_tag(path: list[str | int], field: FieldInfo | None, received: Any) -> Problem:
    tables = _tables(field.annotation) if field else {}
    tag_key = "name" if any("name" in t.model_fields for t in tables.values()) else "schedule"
    if not isinstance(received, dict):
        return Problem(dotted(path), f"must be {_allowed(field)}. Received: {shown(received)}.")
    choices = [str(tag) for tag in tables]
    key, tag = dotted([*path, tag_key]), received.get(tag_key)
    if tag is None:
        return Problem(key, f"must be given: one of {', '.join(choices)}.")
    message = f"must be one of {', '.join(choices)}. Received: {shown(tag)}."
    return Problem(key, message + _did_you_mean(tag, choices))


def _unknown(key: str, table: type[BaseModel], root: type[Recipe]) -> str:
    allowed = list(table.model_fields)
    homes = [
        name
        for name, field in root.model_fields.items()
        for inner in _tables(field.annotation).values()
        if key in inner.model_fields and inner is not table
    ]
    hint = _did_you_mean(key, allowed) or (f" It belongs to [{homes[0]}]." if homes else "")
    return f"is not a known key.{hint} Allowed: {', '.join(allowed)}."


def _allowed(field: FieldInfo | None) -> str:
    if field is None:
        return "a table"
    choices = _choices(field.annotation)
    return (
        field.description
        or next(_descriptions(field.annotation), None)
        or (f"one of {', '.join(choices)}" if len(choices) > 1 else ", ".join(choices))
        or ("true or false" if field.annotation is bool else "a table")
    )


def _descriptions(annotation: Any) -> Iterator[str]:
    for part in get_args(annotation):
        if isinstance(part, FieldInfo) and part.description:
            yield part.description
        elif not isinstance(part, FieldInfo):
            yield from _descriptions(part)


def _choices(annotation: Any) -> list[str]:
    if get_origin(annotation) is Literal:
        return [str(choice) for choice in get_args(annotation)]
    return [choice for part in get_args(annotation) for choice in _choices(part)]


def _did_you_mean(received: Any, choices: Iterable[str]) -> str:
    close = difflib.get_close_matches(str(received), list(choices), n=1)
    return f" Did you mean `{close[0]}`?" if close else ""


def dotted(path: Iterable[str | int]) -> str:
    """`["expect", 0, "value"]` as `expect[0].value`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text


def shown(value: Any) -> str:
    """A value as in TOML, cut where it gets long."""
    text = json.dumps(value, default=str, ensure_ascii=False)
    return text if len(text) <= 80 else f"{text[:77]}..."
