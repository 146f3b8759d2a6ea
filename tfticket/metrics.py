"""The table of measurements of a run, in long format: one row for each value."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from dataclasses import astuple, dataclass, fields
from pathlib import Path

from tfticket.errors import RunError
from tfticket.reading import MOST_BITS, UnreadableError, read_text

__all__ = ["COLUMNS", "Row", "read_metrics", "to_csv"]

MOST_TABLE_BYTES = 256 * 2**20
"""Size limit of a table; a row has about 60 bytes."""


@dataclass(frozen=True, slots=True)
class Row:
    """One measured value.

    Attributes:
        seed: Seed of the trial.
        branch: `ticket` for the search itself (its level 0 is the dense network), else the name of
            the control.
        level: Number of prunings.
        step: Optimizer steps, counted from step 0.
        epoch: The same in passes over the training data.
        split: `train`, `validation`, `test`, or `summary` for values of the whole level.
        name: Name of the value: `loss`, `accuracy`, ...
        value: The value; rates are in [0, 1].

    Example:
        >>> Row(0, "ticket", 1, 600, 5.0, "validation", "accuracy", 0.9).level
        1
    """

    seed: int
    branch: str
    level: int
    step: int
    epoch: float
    split: str
    name: str
    value: float


COLUMNS = tuple(field.name for field in fields(Row))


def to_csv(rows: Iterable[Row], *, header: bool = True) -> str:
    """Write rows as CSV; floats are read back as the same numbers.

    Args:
        rows: The rows.
        header: Whether to begin with the names of the columns.

    Example:
        >>> to_csv([Row(0, "ticket", 1, 600, 5.0, "test", "accuracy", 0.9)], header=False).strip()
        '0,ticket,1,600,5.0,test,accuracy,0.9'
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    if header:
        writer.writerow(COLUMNS)
    writer.writerows(astuple(row) for row in rows)
    return text.getvalue()


def read_metrics(path: str | Path) -> list[Row]:
    """Read a table of measurements.

    Args:
        path: A CSV file, as written by `to_csv`.

    Raises:
        RunError: when the file can't be read, or a line of it isn't a row.

    Example:
        >>> row = Row(0, "ticket", 1, 600, 5.0, "test", "accuracy", 0.9)
        >>> length = Path("metrics.csv").write_text(to_csv([row]))
        >>> read_metrics("metrics.csv") == [row]
        True
    """
    lines = csv.reader(io.StringIO(read_table_text(path), newline=""))
    rows: list[Row] = []
    try:
        if tuple(next(lines, ())) != COLUMNS:
            raise RunError(f"`{path}` must begin with the line {','.join(COLUMNS)}.")
        for line in lines:
            rows.append(_row(line))
    except (csv.Error, ValueError) as error:
        raise RunError(
            f"Line {lines.line_num} of `{path}` must hold {len(COLUMNS)} columns "
            f"({','.join(COLUMNS)}). It doesn't: {error}."
        ) from error
    return rows


def read_table_text(path: str | Path) -> str:
    """Read a table of measurements as text; raises `RunError` when the file can't be read."""
    try:
        return read_text(path, most_bytes=MOST_TABLE_BYTES)
    except UnreadableError as error:
        raise RunError(
            f"The measurements in `{path}` can't be read: {error}. Restore the file, or begin the "
            "run anew with --fresh."
        ) from error


def _row(line: list[str]) -> Row:
    seed, branch, level, step, epoch, split, name, value = line
    return Row(
        _whole(seed), branch, _whole(level), _whole(step), float(epoch), split, name, float(value)
    )


def _whole(text: str) -> int:
    number = int(text)
    if number.bit_length() >= MOST_BITS:
        raise ValueError(f"a whole number has more than {MOST_BITS} bits")
    return number
