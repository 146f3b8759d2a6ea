"""Tables as a page sets them: numbers that have become text."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

from tfticket.display import words
from tfticket.lottery.comparison import Interval
from tfticket.report.estimate import Estimate

T = TypeVar("T")


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


def table(
    items: Iterable[T], *columns: tuple[str, Callable[[T], Cell | str]], keep_empty: bool = True
) -> Table | None:
    """Set a row for each item.

    Args:
        items: What the rows are about.
        columns: Heading, and the cell of an item; a text is a cell without a second line.
        keep_empty: Whether columns stay in which no cell says anything.

    Returns:
        The table, or None without items.

    Example:
        >>> table([0.5, 0.25], ("share", lambda share: f"{share:.0%}")).rows[1][0].text
        '25%'
    """
    found = [[say(item) for _, say in columns] for item in items]
    rows = [[cell if isinstance(cell, Cell) else Cell(cell) for cell in row] for row in found]
    if not rows:
        return None
    said = [
        keep_empty or any(row[place] not in (Cell(""), Cell(words.NONE)) for row in rows)
        for place in range(len(columns))
    ]
    return Table(
        columns=tuple(name for (name, _), keep in zip(columns, said, strict=True) if keep),
        rows=tuple(
            tuple(cell for cell, keep in zip(row, said, strict=True) if keep) for row in rows
        ),
    )


def interval_cell(
    found: Interval | None, say: Callable[[float], str], *, absent: str = words.NONE
) -> Cell:
    """A mean, and beneath it its interval, which a single seed doesn't have."""
    if found is None:
        return Cell(absent)
    return Cell(say(found.mean), words.interval(found, say))


def gain_cell(gain: Estimate | None) -> Cell:
    """A difference of rates in points with its interval, marked by whether that leaves out 0."""
    if gain is None or gain.seeds < 2:
        return interval_cell(gain, words.points)
    tag = "cant_tell" if gain.includes(0) else "winning" if gain.mean > 0 else "worse"
    return Cell(words.points(gain.mean), words.interval(gain, words.points), tag=tag)


def range_cell(found: Estimate | None, say: Callable[[float], str]) -> Cell:
    """A mean, and beneath it the lowest and highest seed where they differ."""
    if found is None:
        return Cell(words.NONE)
    low, high = say(found.smallest), say(found.largest)
    return Cell(say(found.mean), f"{low} to {high}" if low != high else "")
