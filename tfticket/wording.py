"""Numbers in words, for the terminal and for pages."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Collection, Iterable, Mapping
from typing import Any, TypeVar

T = TypeVar("T")

_LONGEST = 40  # characters of a text in a `repr`
_MOST = 4  # items of a collection there


def duration(seconds: float, *, space: str = " ") -> str:
    """Write a length of time in its two leading units.

    Args:
        seconds: The time; not negative.
        space: Character between a number and its unit.

    >>> [duration(seconds) for seconds in (48.2, 700, 12_000, 200_000)]
    ['48 s', '12 min', '3 h 20 min', '2.3 days']
    """
    minutes = round(seconds / 60)
    if seconds < 90:
        return f"{seconds:.0f}{space}s"
    if minutes < 120:
        return f"{minutes}{space}min"
    if minutes < 48 * 60:
        return f"{minutes // 60}{space}h {minutes % 60}{space}min"
    return f"{seconds / 86_400:.1f}{space}days"


def ranges(numbers: Iterable[int]) -> str:
    """Write whole numbers in short.

    >>> ranges([5, 1, 3, 4])
    '1, 3 to 5'
    """
    found: list[list[int]] = []
    for number in sorted(set(numbers)):
        if found and number == found[-1][-1] + 1:
            found[-1].append(number)
        else:
            found.append([number])
    return ", ".join(f"{run[0]} to {run[-1]}" if len(run) > 1 else str(run[0]) for run in found)


def brief(value: Any) -> str:
    """Write a value as in `repr`, but short: of arrays and long collections their size alone.

    >>> brief({"kernel": 1.5}), brief(["a"] * 1000)
    ("{'kernel': 1.5}", '[1000 items]')
    """
    shape = getattr(value, "shape", None)
    if isinstance(shape, tuple) and shape:
        return f"array{tuple(map(int, shape))}"
    if isinstance(value, str):
        return repr(shortened(value))
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, bytes):
        return f"{len(value)} bytes"
    if isinstance(value, Mapping):
        if len(value) > _MOST or not all(map(_is_plain, value.values())):
            return f"{{{len(value)} items}}"
        return "{" + ", ".join(f"{k!r}: {brief(each)}" for k, each in value.items()) + "}"
    if isinstance(value, list | tuple):
        first, last = "[]" if isinstance(value, list) else "()"
        if len(value) > _MOST or not all(map(_is_plain, value)):
            return f"{first}{len(value)} items{last}"
        single = "," if isinstance(value, tuple) and len(value) == 1 else ""
        return f"{first}{', '.join(map(brief, value))}{single}{last}"
    if callable(value) and hasattr(value, "__qualname__"):
        return str(value.__qualname__)
    text = repr(value)
    return f"{type(value).__name__}()" if " at 0x" in text else text


def shortened(text: str, longest: int = _LONGEST) -> str:
    """Cut a text of more than 40 characters, or another number.

    >>> shortened("A long row of words, of which few are read")
    'A long row of words, of which few are...'
    """
    return text if len(text) <= longest else text[: longest - 3] + "..."


def _is_plain(value: Any) -> bool:
    return value is None or isinstance(value, str | int | float)


def brief_repr(value: Any) -> str:
    """Write a dataclass, or an object with attributes, as its call with short arguments.

    Made for `__repr__ = brief_repr` in the body of a class.

    >>> @dataclasses.dataclass
    ... class Curve:
    ...     losses: list[float]
    ...     __repr__ = brief_repr
    >>> Curve([0.5] * 100)
    Curve(losses=[100 items])
    """
    if dataclasses.is_dataclass(value):
        names = [field.name for field in dataclasses.fields(value) if field.repr]
    else:
        names = [name for name in vars(value) if not name.startswith("_")]
    inside = ", ".join(f"{name}={brief(getattr(value, name))}" for name in names)
    return f"{type(value).__name__}({inside})"


def did_you_mean(name: object, known: Iterable[str]) -> str:
    """Return a hint at the most similar known name, with a space before it; else nothing.

    >>> did_you_mean("layerwize", ["global", "layerwise"])
    " Did you mean 'layerwise'?"
    """
    close = difflib.get_close_matches(str(name).lower(), list(known), n=1, cutoff=0.5)
    return f" Did you mean {close[0]!r}?" if close else ""


def check_name(argument: str, value: object, known: Collection[str]) -> None:
    """Raise a `ValueError` with the known names, unless `value` is one of them.

    >>> check_name("rewind", "weight", ["weights", "none"])
    Traceback (most recent call last):
    ValueError: `rewind` must be 'weights', 'none'. Received: 'weight'. Did you mean 'weights'?
    """
    if value not in known:
        names = ", ".join(map(repr, known))
        raise ValueError(
            f"`{argument}` must be {names}. Received: {brief(value)}.{did_you_mean(value, known)}"
        )


def named(argument: str, value: Any, known: Mapping[str, T], kind: type[T] | tuple[type, ...], *,
          also: str) -> T:  # fmt: skip
    """Return what a name stands for, or a value that is one of the kind already.

    Args:
        argument: Name of the argument, for the message.
        value: A name of `known`, or an instance of `kind`.
        known: Name to value.
        kind: Class of the values.
        also: What can be given instead of a name, in words.

    Raises:
        ValueError: for a name that isn't known.
        TypeError: for a value of another type.

    >>> named("pruner", "gobal", {"global": 1}, int, also="a number")
    Traceback (most recent call last):
    ValueError: `pruner` must be 'global', or a number. Received: 'gobal'. Did you mean 'global'?
    """
    if isinstance(value, str) and value in known:
        return known[value]
    if isinstance(value, kind) and not isinstance(value, str):
        return value  # type: ignore[return-value]
    names = ", ".join(repr(name) for name in known)
    rule = f"`{argument}` must be {names}, or {also}. Received: {brief(value)}."
    if isinstance(value, str):
        raise ValueError(rule + did_you_mean(value, known))
    hint = " Give an instance, not the class." if isinstance(value, type) else ""
    raise TypeError(rule + hint)
