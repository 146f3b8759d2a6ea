"""The tables of labels: one row for every example, and what a person decided.

`tfticket noise clean` writes the first, its page the second, and people edit both in spreadsheets:
a table is read as text of a stranger, and whatever is in it ends in rows or in one error.
"""

from __future__ import annotations

import csv
import io
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tfticket.errors import DataError
from tfticket.files import table_cell
from tfticket.reading import UnreadableError, read_text
from tfticket.wording import did_you_mean

COLUMNS = (
    "id",
    "file",
    "given",
    "given_name",
    "suggested",
    "suggested_name",
    "score",
    "is_issue",
    "fold",
    "margin",
    "expected_precision",
    "duplicate_of",
    "is_outlier",
    "note",
)
"""Columns of `labels.csv` and `suspects.csv`."""

DECIDED_COLUMNS = ("id", "file", "given_name", "suggested_name", "decision", "label_name")
"""Columns of `decisions.csv`, which the page saves."""

Decision = Literal["", "confirm", "correct", "reject"]
DECISIONS: tuple[Decision, ...] = ("confirm", "correct", "reject")

_MOST_BYTES = 2**28
_DIGITS = 15  # of an id
_NEEDED = ("id", "file", "given_name", "suggested_name", "is_issue")
_TRUTHS = {"true": True, "false": False}


@dataclass(frozen=True)
class LabelRow:
    """A row of a table of labels.

    Attributes:
        line: Its line in the file, from 1.
        id: Place of the example in the data, from 0; None for a file that couldn't be read.
        file: Its path below the folder of the data; empty where examples have no files.
        given_name: Class that is given; empty where the label is missing.
        suggested_name: Class that is suggested.
        score: Issue score, in [0, 1]; NaN where the example wasn't looked at.
        is_issue: Whether it is a label issue.
        decision: A person's word; empty in a table that holds none.
        label_name: Class that is right by a `correct`.
    """

    line: int
    id: int | None
    file: str
    given_name: str
    suggested_name: str
    score: float = math.nan
    is_issue: bool = False
    decision: Decision = ""
    label_name: str = ""


@dataclass(frozen=True)
class LabelTable:
    """A table of labels as it was read.

    Attributes:
        path: The file.
        rows: Its rows, in their order.
        decided: Whether it holds decisions.
    """

    path: Path
    rows: tuple[LabelRow, ...]
    decided: bool

    @property
    def whole(self) -> bool:
        """True if it is about every example, and not about label issues alone."""
        return not self.decided and any(not row.is_issue for row in self.rows)


def csv_text(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    r"""Format a table as CSV text, in which no cell is a formula to a spreadsheet.

    Example:
        >>> csv_text(("id", "name"), [("0", "=A1"), ("1", "a, b")])
        'id,name\n0,\'=A1\n1,"a, b"\n'
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([table_cell(cell) for cell in row] for row in rows)
    return text.getvalue()


def read_label_table(path: str | os.PathLike[str]) -> LabelTable:
    """Read `labels.csv`, `suspects.csv` or `decisions.csv`.

    Further columns are allowed, semicolons in place of commas too, as spreadsheets write them.

    Raises:
        DataError: when it can't be read, lacks a column, or a cell doesn't fit its column.
    """
    path = Path(path)
    try:
        text = read_text(path, most_bytes=_MOST_BYTES).removeprefix("\ufeff")
    except UnreadableError as error:
        raise DataError(f"`{path}` can't be read as a table of labels: {error}.") from error
    first = text.partition("\n")[0]
    delimiter = ";" if first.count(";") > first.count(",") else ","
    try:
        cells = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
        header = [name.strip() for name in next(cells, [])]
        decided = "decision" in header
        _check_header(path, header, DECIDED_COLUMNS if decided else _NEEDED)
        rows = tuple(
            _row(path, cells.line_num, dict(zip(header, each, strict=False)))
            for each in cells
            if each
        )
    except csv.Error as error:
        raise DataError(f"`{path}` can't be read as a table of labels: {error}.") from error
    return LabelTable(path, rows, decided)


def _check_header(path: Path, header: Sequence[str], needed: Sequence[str]) -> None:
    missing = [name for name in needed if name not in header]
    if missing:
        raise DataError(
            f"`{path}` lacks the {'columns' if len(missing) > 1 else 'column'} "
            f"{', '.join(missing)}. A table of labels has {', '.join(needed)}. Received: "
            f"{', '.join(header)[:200] or 'an empty file'}. Give labels.csv or suspects.csv of "
            "`tfticket noise clean`, or decisions.csv, which its page saves."
        )


def _row(path: Path, line: int, cells: Mapping[str, str]) -> LabelRow:
    def cell(name: str) -> str:
        return cells.get(name, "")

    def wrong(name: str, rule: str) -> DataError:
        return DataError(
            f"`{path}`, line {line}: `{name}` is {cell(name)!r:.80}. It must be {rule}."
        )

    place, score = cell("id").strip(), cell("score").strip()
    if place and not (place.isascii() and place.isdigit() and len(place) <= _DIGITS):
        raise wrong("id", "a whole number of at least 0, the place of the example in the data")
    try:
        number = float(score or "nan")
    except ValueError as error:
        raise wrong("score", "a number in [0, 1], or empty") from error
    is_issue = _TRUTHS.get(cell("is_issue").strip().lower() or "false")
    if is_issue is None:
        raise wrong("is_issue", "true or false")
    decision = cell("decision").strip().lower()
    if decision not in ("", *DECISIONS):
        hint = did_you_mean(decision, DECISIONS)
        raise wrong(
            "decision", f"{', '.join(DECISIONS[:-1])} or {DECISIONS[-1]}{hint and '.' + hint}"
        )
    return LabelRow(
        line,
        int(place) if place else None,
        cell("file"),
        cell("given_name"),
        cell("suggested_name"),
        number,
        is_issue,
        decision,
        cell("label_name"),
    )


def unescaped(cell: str) -> str:
    """Return the text behind a cell: without the quote that keeps it from being a formula.

    Example:
        >>> unescaped("'=A1"), unescaped("'tis")
        ('=A1', "'tis")
    """
    plain = cell.removeprefix("'")
    return plain if table_cell(plain) == cell else cell
