"""From the columns of a table to rows of numbers."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np

from tfticket.data.cells import Feature
from tfticket.data.terms import looks_like_text, term_weights
from tfticket.errors import DataError
from tfticket.labels import MISSING_TEXTS, in_order
from tfticket.wording import shortened

if TYPE_CHECKING:
    import pyarrow as pa

MOST_CATEGORIES = 50
"""Limit of the categories of a column that get a feature of their own."""

_RARE, _MOST_RARE = 0.005, 20  # share of the rows, and rows: rarer categories are pooled
_ENOUGH = 0.9  # share of the cells that must be numbers for the others to count as missing
_MOST_BYTES = 2**31
_MOST_LISTED = 10
_NUMBER = re.compile(r"[+-]?([0-9]{1,400}(\.[0-9]{0,400})?|\.[0-9]{1,400})([eE][+-]?[0-9]{1,4})?")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}([T ][0-9:.]{5,15}(Z|[+-][0-9:]{4,5})?)?")
_DAY = 86_400.0
_FEWEST_NUMBERED = 20  # rows; fewer may be whole numbers without a gap by chance


@dataclass(frozen=True, eq=False)
class Inputs:
    """Model inputs encoded from a table.

    Attributes:
        x: Shape (n, features), float32, finite unless a number is too large for it.
        features: A description of each column of `x`.
        words: The encoding and the dropped columns, in words.
    """

    x: np.ndarray
    features: tuple[Feature, ...]
    words: str


@dataclass(frozen=True, eq=False)
class _Texts:
    """A column of texts.

    Attributes:
        codes: For each row the place of its text in `values`, -1 where it is empty, shape (n,).
        values: The different texts.
    """

    codes: np.ndarray
    values: list[str]


@dataclass
class _Made:
    """Encoded columns, collected one by one."""

    source: str
    rows: int
    columns: list[np.ndarray] = field(default_factory=list)
    features: list[Feature] = field(default_factory=list)
    kinds: dict[str, int] = field(default_factory=dict)
    dropped: dict[str, list[str]] = field(default_factory=dict)
    filled: int = 0

    def add(self, kind: str, made: Sequence[tuple[Feature, np.ndarray]]) -> None:
        self.kinds[kind] = self.kinds.get(kind, 0) + 1
        for feature, values in made:
            self.features.append(feature)
            with np.errstate(over="ignore"):  # told where inputs are checked
                self.columns.append(values if values.dtype == bool else values.astype(np.float32))
        if len(self.features) * self.rows * 4 > _MOST_BYTES:
            raise DataError(
                f"The features of `{self.source}` must fit into {_MOST_BYTES:,} bytes. Received: "
                f"{len(self.features):,} features or more of {self.rows:,} rows. Leave out columns "
                "or rows."
            )

    def drop(self, column: str, reason: str) -> None:
        self.dropped.setdefault(reason, []).append(column)


class _DroppedError(Exception):
    """A column that nothing is made of; the message says why, in a few words."""


def encode(table: pa.Table, columns: Sequence[str], known: np.ndarray, *, source: str) -> Inputs:
    """Make rows of numbers of the columns of a table.

    - Numbers stay as they are. A missing one becomes the median of its column, and a feature
      `NAME is missing` says so. A text among numbers (at most 1 in 10) and infinity count as
      missing. Booleans are 0 and 1, dates are days since 1970, times of day are hours, and lists of
      equally many numbers are as many columns.
    - A column of other texts is a category, with a feature of 0 and 1 for each of its
      `MOST_CATEGORIES` most frequent values. The others are pooled into one more feature, and so
      are values in one row, or in less than 0.5 % of the rows and in less than 20; empty cells are
      one more. Of two features that say the same, the first one is left out.
    - Texts of three words or more are weighted by TF-IDF, see `terms.term_weights`.
    - Dropped are constant columns, texts that differ in each row, and whole numbers that count the
      rows.

    Args:
        table: The table.
        columns: Names of the columns to use.
        known: Places of the rows that all of this is measured on, shape (m,).
        source: Name of the table for the error.

    Raises:
        DataError: when no column is left, or there are too many features for the memory.
    """
    made, texts = _Made(source, table.num_rows), dict[str, _Texts]()
    for name in columns:
        try:
            parsed = _parsed(table[name], known)
            if isinstance(parsed, _Texts):
                if looks_like_text(parsed.values, parsed.codes[known], alone=len(columns) == 1):
                    texts[name] = parsed
                else:
                    made.add("categories", _of_categories(name, parsed, known))
            elif parsed.ndim == 2:
                made.add("lists of numbers", _of_list(name, parsed, known))
            else:
                made.add("numbers", _of_numbers(name, parsed, known))
        except _DroppedError as reason:
            made.drop(name, str(reason))
    for name, column in texts.items():
        words, weights = term_weights(column.values, column.codes, known, share=len(texts))
        if words:
            features = [Feature(f"{name}: {word}", name) for word in words]
            made.add("texts by TF-IDF", list(zip(features, weights.T, strict=True)))
        else:
            made.drop(name, "no word in several rows")
    if not made.features:
        raise DataError(
            f"`{source}` must have a column beside the labels that says something about them. "
            f"Received: {_dropped(made) or 'no other column'}."
        )
    x = np.empty((table.num_rows, len(made.features)), np.float32)
    for place, values in enumerate(made.columns):
        x[:, place] = values
    return Inputs(x, tuple(made.features), _words(made))


def _words(made: _Made) -> str:
    kinds = ", ".join(
        f"{count:,} column{'s' if count > 1 else ''} of {kind}"
        for kind, count in made.kinds.items()
    )
    dropped = _dropped(made)
    count = len(made.features)
    told = f"{count:,} feature{'s' if count > 1 else ''} from {kinds}"
    return f"{told}; {dropped}" if dropped else told


def _dropped(made: _Made) -> str:
    if not made.dropped:
        return ""
    reasons = []
    for reason, names in made.dropped.items():
        listed = ", ".join(shortened(name) for name in names[:_MOST_LISTED])
        more = f" and {len(names) - _MOST_LISTED:,} more" if len(names) > _MOST_LISTED else ""
        reasons.append(f"{listed}{more} ({reason})")
    return f"dropped: {', '.join(reasons)}"


# From a column of a file to numbers or texts


def _parsed(column: pa.ChunkedArray, known: np.ndarray) -> np.ndarray | _Texts:
    """Return numbers with NaN for missing ones, float64, shape (n,) or (n, k); or texts."""
    import pyarrow as pa

    kind = column.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return _of_texts(column, known)
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return _of_lists(column)
    if pa.types.is_null(kind):
        raise _DroppedError("empty")
    if pa.types.is_date(kind) or pa.types.is_timestamp(kind):
        return _floats(column.cast(pa.timestamp("us"), safe=False).cast(pa.int64())) / 1e6 / _DAY
    if pa.types.is_time(kind):
        return _floats(column.cast(pa.time64("us")).cast(pa.int64())) / 3600e6
    if pa.types.is_duration(kind):
        return _floats(column.cast(pa.duration("us"), safe=False).cast(pa.int64())) / 1e6 / _DAY
    if pa.types.is_boolean(kind):
        return _floats(column.cast(pa.int8()))
    if pa.types.is_decimal(kind) or pa.types.is_integer(kind) or pa.types.is_floating(kind):
        return _floats(column)
    raise _DroppedError(f"of the type {str(kind)[:40]}")


def _floats(column: pa.ChunkedArray) -> np.ndarray:
    import pyarrow as pa

    values = column.cast(pa.float64(), safe=False).to_numpy()
    return np.where(np.isfinite(values), values, np.nan)


def _of_lists(column: pa.ChunkedArray) -> np.ndarray:
    import pyarrow as pa
    import pyarrow.compute as pc

    lengths = pc.list_value_length(column).unique().to_pylist()
    if len(lengths) != 1 or not lengths[0]:
        raise _DroppedError("lists of several lengths")
    inside = pc.list_flatten(column)
    if not (pa.types.is_integer(inside.type) or pa.types.is_floating(inside.type)):
        raise _DroppedError(f"of the type {str(column.type)[:40]}")
    return _floats(inside).reshape(len(column), lengths[0])


def _of_texts(column: pa.ChunkedArray, known: np.ndarray) -> np.ndarray | _Texts:
    """Return numbers, if nearly all texts are some or are dates; else the texts."""
    import pyarrow as pa
    import pyarrow.compute as pc

    texts = pc.utf8_trim_whitespace(column)
    empty = pc.is_in(texts, value_set=pa.array(sorted(MISSING_TEXTS), texts.type))
    texts = pc.if_else(empty, pa.scalar(None, texts.type), texts)
    try:
        return _floats(texts.cast(pa.float64()))
    except pa.ArrowInvalid:  # one that isn't a number
        pass
    coded = pc.dictionary_encode(texts).combine_chunks()
    found = _Texts(
        coded.indices.fill_null(-1).to_numpy().astype(np.int64), coded.dictionary.to_pylist()
    )
    for read in (number_in, _days):
        numbers = np.array([*(read(text) for text in found.values), np.nan])[found.codes]
        there = (found.codes >= 0)[known].sum()
        if np.isfinite(numbers[known]).sum() >= _ENOUGH * max(there, 1):
            return np.where(np.isfinite(numbers), numbers, np.nan)
    return found


def number_in(text: str) -> float:
    """Return a number; NaN if the text is none."""
    return float(text) if _NUMBER.fullmatch(text) else math.nan


def _days(text: str) -> float:
    """Return the days from 1970 to a date of ISO 8601; NaN if it is none."""
    if not _DATE.fullmatch(text):
        return math.nan
    try:
        date = datetime.fromisoformat(text)
    except ValueError:
        return math.nan
    return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp() / _DAY


# From numbers and texts to features


def _of_numbers(
    name: str, values: np.ndarray, known: np.ndarray
) -> list[tuple[Feature, np.ndarray]]:
    seen, missing = values[known], np.isnan(values)
    there = seen[~np.isnan(seen)]
    if not there.size:
        raise _DroppedError("empty")
    made = []
    if there.min() != there.max():
        if _counts_rows(values[~missing]):
            raise _DroppedError("it counts the rows")
        filled = np.where(missing, np.median(there), values) if missing.any() else values
        made.append((Feature(name, name), filled))
    if len(there) < len(seen):
        made.append((Feature(f"{name} is missing", name), missing))
    if not made:
        raise _DroppedError("constant")
    return made


def _counts_rows(values: np.ndarray) -> bool:
    """Return whether numbers have no gap and no repeat, as indices of data frames do."""
    return bool(
        len(values) >= _FEWEST_NUMBERED
        and values.max() - values.min() == len(values) - 1
        and len(np.unique(values)) == len(values)
    )


def _of_list(name: str, values: np.ndarray, known: np.ndarray) -> list[tuple[Feature, np.ndarray]]:
    made = []
    for place, column in enumerate(values.T):
        try:
            found = _of_numbers(f"{name}[{place}]", column, known)
        except _DroppedError:  # one of many
            continue
        made += [(Feature(feature.name, name), each) for feature, each in found]
    if not made:
        raise _DroppedError("constant")
    return made


def _of_categories(name: str, texts: _Texts, known: np.ndarray) -> list[tuple[Feature, np.ndarray]]:
    codes = texts.codes[known]
    counts = np.bincount(codes[codes >= 0], minlength=len(texts.values))
    there, different = int(counts.sum()), int((counts > 0).sum())
    least = min(max(2, math.ceil(_RARE * there)), _MOST_RARE)
    frequent = np.argsort(-counts, kind="stable")[:MOST_CATEGORIES]
    kept = {texts.values[code]: code for code in frequent if counts[code] >= least}
    if different > 1 and not kept:
        raise _DroppedError("another text in each row" if counts.max() == 1 else "rare texts alone")
    groups = [(f"{name} = {shortened(text)}", texts.codes == kept[text]) for text in in_order(kept)]
    pooled = (texts.codes >= 0) & ~np.isin(texts.codes, list(kept.values()))
    groups += [(f"{name} = any other", pooled), (f"{name} is missing", texts.codes < 0)]
    groups = [(each, rows) for each, rows in groups if rows[known].any()]
    if len(groups) < 2:
        raise _DroppedError("constant" if there else "empty")
    if len(groups) == 2:
        groups = groups[1:]  # it says all
    return [(Feature(each, name), rows) for each, rows in groups]
