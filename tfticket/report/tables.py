"""Tables as a page sets them: numbers that have become text."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Strip:
    """An interval drawn in a table cell; places are in [0, 1] of the column's range.

    Attributes:
        lower: Left end.
        mean: The dot.
        upper: Right end.
        zero: Where the difference is 0.
        margin: Where it is minus the margin.
    """

    lower: float
    mean: float
    upper: float
    zero: float
    margin: float


@dataclass(frozen=True)
class Cell:
    """One cell.

    Attributes:
        text: What it says.
        detail: A second, smaller line.
        tag: A verdict, set as a mark beside its words; empty for other cells.
        strip: An interval to draw, or None.
    """

    text: str
    detail: str = ""
    tag: str = ""
    strip: Strip | None = None


@dataclass(frozen=True)
class Table:
    """A table.

    Attributes:
        columns: Headings; those that begin with `<` head text, the others numbers.
        rows: One cell a column.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
