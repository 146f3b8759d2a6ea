"""Labels as people write them, turned into numbers: names, whole numbers, and missing ones."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from tfticket.errors import DataError
from tfticket.wording import brief, did_you_mean

MISSING = -1
"""The number of a label that is missing."""
MISSING_TEXTS = frozenset(
    {"", "?", "#N/A", "<NA>", "N/A", "n/a", "NA", "NaN", "nan", "NULL", "null", "None"}
)
"""The texts that stand for a missing value in tables and label files, as most tools write them."""
LABEL_COLUMNS = ("given", "label", "labels", "target", "class", "y")
"""The names by which a column of labels is found, the first one first."""

_WHOLE = re.compile(r"[+-]?[0-9]{1,18}(\.0*)?")
_MOST_NAMES = 10


def numbered(
    labels: ArrayLike, class_names: Sequence[str] | None = None, *, name: str = "`labels`"
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Turn labels into numbers, and list the names of their classes.

    Missing are -1, NaN, None and the texts in `MISSING_TEXTS`. Numbers stay what they are. Names
    get the place in `class_names`, or else in their own order: by number if all of them are whole
    numbers, else by the alphabet. Spaces around a name don't count.

    Args:
        labels: Shape (n,) or (n, 1): whole numbers of any type, booleans or texts.
        class_names: The known names. Texts must be among them, or all be whole numbers below their
            count; numbers must be below it, too.
        name: Beginning of the error.

    Returns:
        Numbers, shape (n,), int64, at least 0 and -1 where a label is missing; and the names of the
        classes, which are empty for numbers without known names.

    Raises:
        DataError: when they are no labels, or not among `class_names`.

    Example:
        >>> numbered(["dog", "cat", None, "dog"])
        (array([ 1,  0, -1,  1]), ('cat', 'dog'))
        >>> numbered([0.0, np.nan, 2.0])
        (array([ 0, -1,  2]), ())
        >>> numbered(["10", "9"], ("1", "9", "10"))[0]
        array([2, 1])
    """
    array = _column(labels, name)
    if array.dtype.kind in "biuf":
        numbers, names = _whole(array, name), tuple(class_names or ())
        if names and numbers.size and numbers.max() >= len(names):
            at = int(numbers.argmax())
            raise DataError(
                f"{name} must be below the number of classes, {len(names)}. Received: {array[at]} "
                f"at example {at}."
            )
        return numbers, names
    places, found = _distinct(array.tolist(), class_names or (), name)
    names = tuple(class_names or in_order(found))
    known = {text.strip(): number for number, text in enumerate(names)}
    if class_names and not known.keys() >= set(found) and all(map(is_whole, found)):
        values = np.array([*map(_number, found), MISSING])
        return numbered(values[places], names, name=name)
    unknown = [text for text in found if text not in known]
    if unknown:
        at = int(np.argmax(places == found.index(unknown[0])))
        few = f": {', '.join(known)}" if len(known) <= _MOST_NAMES else ""
        raise DataError(
            f"{name} must be among the {len(known):,} classes{few}. Received: {brief(unknown[0])} "
            f"at example {at}{f' and {len(unknown) - 1:,} others' if len(unknown) > 1 else ''}."
            f"{did_you_mean(unknown[0][:100], known)}"
        )
    values = np.array([*(known[text] for text in found), MISSING], np.int64)
    return values[places], names


def in_order(names: Iterable[str]) -> list[str]:
    """Sort names of classes: by number if all are whole numbers, else by the alphabet.

    Example:
        >>> in_order(["10", "9"]), in_order(["b", "a10", "a9"])
        (['9', '10'], ['a10', 'a9', 'b'])
    """
    names = list(names)
    return sorted(names, key=_number if all(map(is_whole, names)) else None)


def is_whole(text: str) -> bool:
    """Return whether a text is a whole number, such as `-3` or `3.0`."""
    return _WHOLE.fullmatch(text) is not None


def _number(whole: str) -> int:
    return int(whole.partition(".")[0])


def _column(labels: ArrayLike, name: str) -> np.ndarray:
    try:
        array = np.asarray(labels)
    except ValueError as error:
        raise DataError(
            f"{name} must be one an example, not rows of several lengths. Received: {error}"
        ) from error
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.dtype.kind == "O" and array.ndim == 1 and all(map(_is_number, array)):
        array = np.array([np.nan if _is_missing(value) else value for value in array], np.float64)
    if array.ndim != 1 or array.dtype.kind not in "biufSUTO":
        raise DataError(
            f"{name} must be whole numbers or names, one an example. Received: {array.dtype} of "
            f"shape {array.shape}. `labels.argmax(axis=1)` turns one-hot rows into numbers."
        )
    return array


def _whole(array: np.ndarray, name: str) -> np.ndarray:
    """Return whole numbers of at least -1 as int64; NaN becomes -1."""
    if array.dtype.kind == "f":
        array = np.where(np.isnan(array), MISSING, array.astype(np.float64))
        wrong = array != np.rint(array)
        if wrong.any():
            at = int(np.argmax(wrong))
            raise DataError(
                f"{name} must be whole numbers or names. Received: {array[at]:g} at example {at}. "
                "A regression has no labels."
            )
    if array.size and (array.min() < MISSING or array.max() > np.iinfo(np.int32).max):
        raise DataError(
            f"{name} must be 0 or more, and -1 where one is missing. Received: numbers from "
            f"{array.min():g} to {array.max():g}."
        )
    return array.astype(np.int64)


def _distinct(values: list[Any], known: Collection[str], name: str) -> tuple[np.ndarray, list[str]]:
    """Return for each value its place among the distinct texts, -1 if it is missing; the texts.

    Args:
        values: Texts, bytes, numbers, and what stands for a missing value.
        known: Names of classes, which are never taken for a missing value.
        name: Beginning of the error.
    """
    places, found = np.empty(len(values), np.int64), dict[str, int]()
    missing = MISSING_TEXTS.difference(known)
    for at, value in enumerate(values):
        if isinstance(value, bytes):
            value = value.decode(errors="replace")
        if _is_missing(value):
            places[at] = MISSING
        elif isinstance(value, str | int | float):
            text = str(value).strip()
            gone = text in missing
            places[at] = MISSING if gone else found.setdefault(text, len(found))
        else:
            raise DataError(
                f"{name} must be whole numbers or names. Received: {type(value).__name__} at "
                f"example {at}."
            )
    return places, list(found)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | np.number) or _is_missing(value)


def _is_missing(value: Any) -> bool:
    """Return whether it is None, NaN, or one of the missing values of pandas."""
    nameless = type(value).__name__ in ("NAType", "NaTType")
    return value is None or nameless or (isinstance(value, float) and value != value)
