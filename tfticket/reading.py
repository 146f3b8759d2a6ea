"""Text of strangers: one reader a format, each with limits that are stated here.

Whatever the bytes are, a reader gives plain values or raises one `UnreadableError`. What reads them
afterwards may take for granted that they aren't nested deeply, that each whole number fits into 64
bits, and that each text can be printed.
"""

from __future__ import annotations

import json
import os
import re
import tomllib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

MOST_BYTES = 64 * 2**20
"""Of a JSON file; the largest that Keras and tfticket write have a few MB."""
MOST_TOML_BYTES = 256 * 2**10
"""Of a recipe; the largest built-in one has 5 KB."""
MOST_LEVELS = 100
"""Of tables and lists inside one another, and parts of a dotted key."""
MOST_BITS = 64
"""Of a whole number, without its sign."""

# tomllib takes time that grows with the square of the parts of a key.
_PART = r"""(?:[\w-]+|"[^"\n]*"|'[^'\n]*')"""
_LONG_KEY = re.compile(rf"(?<![\w-])(?:{_PART}[ \t]*\.[ \t]*){{{MOST_LEVELS}}}")


class UnreadableError(ValueError):
    """What is wrong with a file or text, as a clause: `it isn't JSON: ...`."""


def read_text(path: str | os.PathLike[str], *, most_bytes: int = MOST_BYTES) -> str:
    """Read UTF-8 text.

    Args:
        path: The file.
        most_bytes: It may have so many bytes.

    Raises:
        UnreadableError: when it can't be read, is larger, or isn't UTF-8.
    """
    try:
        with Path(path).open("rb") as file:
            content = file.read(most_bytes + 1)
    except OSError as error:
        raise UnreadableError(f"it can't be read: {error.strerror or error}") from error
    if len(content) > most_bytes:
        raise UnreadableError(f"it has more than {most_bytes:,} bytes")
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise UnreadableError(f"it isn't UTF-8 text: {error.reason} at {error.start:,}") from error


def read_json(path: str | os.PathLike[str]) -> Any:
    """Read the value in a JSON file; raises `UnreadableError`."""
    return parse_json(read_text(path))


def read_toml(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read the tables of a TOML file; raises `UnreadableError`."""
    return parse_toml(read_text(path, most_bytes=MOST_TOML_BYTES))


def parse_json(text: str | bytes) -> Any:
    """The value that JSON describes; NaN and Infinity are allowed, as Python writes them.

    Raises:
        UnreadableError: when it isn't JSON, or is more than the limits of this module allow.

    >>> parse_json('{"level": 3}')
    {'level': 3}
    """
    return _parsed(json.loads, text, "JSON")


def parse_toml(text: str) -> dict[str, Any]:
    """The tables that TOML describes.

    Raises:
        UnreadableError: when it isn't TOML, or is more than the limits of this module allow.
    """
    if len(text) > MOST_TOML_BYTES:
        raise UnreadableError(f"it has more than {MOST_TOML_BYTES:,} characters")
    if _LONG_KEY.search(text):
        raise UnreadableError(f"a key has more than {MOST_LEVELS} parts")
    return _parsed(tomllib.loads, text, "TOML")


def _parsed(parse: Callable[[Any], Any], text: str | bytes, name: str) -> Any:
    try:
        value = parse(text)
    except RecursionError as error:
        raise UnreadableError(_too_deep()) from error
    except UnicodeDecodeError as error:
        raise UnreadableError(f"it isn't UTF-8 text: {error.reason} at {error.start:,}") from error
    except ValueError as error:
        if "int_max_str_digits" in str(error):  # Python's own limit, about 4,300 digits
            raise UnreadableError(_too_large()) from error
        raise UnreadableError(f"it isn't {name}: {error!s:.200}") from error
    check_plain(value)
    return value


def check_plain(value: Any) -> None:
    """Hold plain values against the limits, wherever they are from.

    Raises:
        UnreadableError: when they are nested more than `MOST_LEVELS` deep, a whole number has more
            than `MOST_BITS` bits, or a text can't be encoded.
    """
    layer: list[Any] = [value]
    level = 0
    while layer:
        inside: list[Any] = []
        for each in layer:
            if isinstance(each, dict | list) and level == MOST_LEVELS:
                raise UnreadableError(_too_deep())
            if isinstance(each, dict):
                _check_texts(each)
                inside += each.values()
            elif isinstance(each, list):
                inside += each
            elif isinstance(each, int) and each.bit_length() > MOST_BITS:
                raise UnreadableError(_too_large())
            elif isinstance(each, str):
                _check_texts([each])
        layer = inside
        level += 1


def _check_texts(texts: Iterable[Any]) -> None:
    for text in texts:
        if not text.isascii():
            try:
                text.encode()
            except UnicodeEncodeError as error:  # half of a pair of surrogates
                raise UnreadableError(f"it holds text that isn't Unicode: {text!a:.80}") from error


def _too_deep() -> str:
    return f"it is nested more than {MOST_LEVELS} levels deep"


def _too_large() -> str:
    return f"it holds a whole number of more than {MOST_BITS} bits"
