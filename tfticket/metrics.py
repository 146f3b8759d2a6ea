"""One long-format table of measurements for all areas."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from dataclasses import astuple, dataclass, fields
from pathlib import Path

from tfticket.errors import RunError


@dataclass(frozen=True, slots=True)
class Row:
    """One measured value.

    Attributes:
        seed: Seed of the trial.
        branch: `ticket` for the search itself (its level 0 is the dense network), else the name of
            the control.
        level: How often the network was pruned.
        step: Optimizer steps that the network had made, counted from step 0.
        epoch: The same in passes over the training data.
        split: `train`, `validation`, `test`, or `summary` for what belongs to the whole level.
        name: What was measured: `loss`, `accuracy`, ...
        value: The value; rates are in [0, 1].
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
    """Rows as CSV text; floats are written so that they read back as the same number."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    if header:
        writer.writerow(COLUMNS)
    writer.writerows(astuple(row) for row in rows)
    return text.getvalue()


def read_metrics(path: str | Path) -> list[Row]:
    """Reads a metrics table.

    Raises:
        RunError: when a line doesn't hold a row.
    """
    with Path(path).open(newline="", encoding="utf-8") as file:
        lines = csv.reader(file)
        if tuple(next(lines, ())) != COLUMNS:
            raise RunError(f"`{path}` must begin with the line {','.join(COLUMNS)}.")
        rows = []
        for number, line in enumerate(lines, start=2):
            try:
                seed, branch, level, step, epoch, split, name, value = line
                row = Row(
                    int(seed),
                    branch,
                    int(level),
                    int(step),
                    float(epoch),
                    split,
                    name,
                    float(value),
                )
            except ValueError as error:
                raise RunError(
                    f"Line {number} of `{path}` must hold {len(COLUMNS)} columns "
                    f"({','.join(COLUMNS)}). Received: {line}."
                ) from error
            rows.append(row)
    return rows
