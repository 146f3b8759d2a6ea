"""Tables with a column of labels, from CSV and Parquet files."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tfticket.data.cells import Cells
from tfticket.data.columns import encode, number_in
from tfticket.data.dataset import Source, Split
from tfticket.data.sources import resolved
from tfticket.data.table_files import declared_names, read_csv, read_parquet
from tfticket.errors import DataError
from tfticket.labels import LABEL_COLUMNS, MISSING_TEXTS, is_whole, numbered
from tfticket.reading import UnreadableError
from tfticket.wording import did_you_mean, shortened

if TYPE_CHECKING:
    import pyarrow as pa

_READERS = {"csv": read_csv, "parquet": read_parquet}
_OPTION = "?label="
_MOST_LISTED = 30
_MOST_FRACTIONS = 100  # different labels that aren't whole numbers
_FEW_ROWS = 10


def read(
    name: str,
    data_dir: str | os.PathLike[str] | None,
    *,
    label_column: str | None = None,
    known: Callable[[int], np.ndarray] | None = None,
) -> Source:
    """Read a table: one column of labels, and inputs that are made of the others.

    The labels are the column that is named, or else the first of `given`, `label`, `labels`,
    `target`, `class` and `y` that exists. Labels are names, whatever they look like, so that 1, 2
    and 3 are three classes; they are ordered by number if all are whole numbers. Only a Parquet
    file of Hugging Face Datasets has numbers of classes (-1 is missing) and declares their names.

    Inputs are rows of float32; `columns.encode` says how columns become features. What is fitted
    (medians, categories, words) is fitted on `known`: on every row of an audit, and for training on
    the rows that aren't test data. Validation data are among them, so that each seed has the same
    features.

    Args:
        name: `csv:PATH` or `parquet:PATH`, with an optional `?label=COLUMN` at its end.
        data_dir: Folder that a relative PATH starts from.
        label_column: Name of the column of labels, in place of `?label=COLUMN`.
        known: Given the number of rows, returns the places of those that features are fitted on;
            None takes all.

    Raises:
        DataError: when the file can't be read, has no such column, or its labels are no classes.
    """
    prefix, _, path = name.partition(":")
    file = resolved(path, data_dir)
    if not file.exists() and _OPTION in path:
        path, _, asked = path.rpartition(_OPTION)
        file = resolved(path, data_dir)
        if label_column not in (None, asked):
            raise DataError(
                f"A table has one column of labels. Received: {name} and "
                f"label_column={label_column!r}."
            )
        label_column = asked
    if not file.is_file():
        raise DataError(
            f"`{prefix}:PATH` must name a file that exists. Received: {file.absolute()}, no such "
            "file."
        )
    try:
        table = _READERS[prefix](file)
    except UnreadableError as error:
        raise DataError(
            f"`{file}` can't be read as a table: {error}. It must be "
            + (
                "a CSV file in UTF-8 whose first row names its columns."
                if prefix == "csv"
                else "a Parquet file."
            )
        ) from error
    label = _found(table.column_names, label_column, str(file))
    declared, told = declared_names(table, label), f"`{label}` of `{file}`"
    labels = table[label].to_numpy() if declared else _labels(table[label], told)
    y, class_names = numbered(labels, declared, name=f"The labels in {told}")
    rows = np.arange(table.num_rows)
    inputs = encode(
        table, [each for each in table.column_names if each != label],
        rows if known is None else known(len(rows)), source=str(file),
    )  # fmt: skip
    return Source(
        Split(inputs.x, y, cells=Cells(table, rows, label)),
        None,
        description=f"Table {file.name}, {len(rows):,} rows, labels in `{label}`; {inputs.words}.",
        class_names=class_names,
        features=inputs.features,
    )


def _found(names: Sequence[str], asked: str | None, file: str) -> str:
    """Return the name of the column of labels."""
    if asked is not None:
        if asked in names:
            return asked
        problem = f"`{file}` has no column {asked!r}.{did_you_mean(asked, names)}"
    else:
        lower = {name.lower(): name for name in reversed(names)}
        for name in LABEL_COLUMNS:
            if name in names or name in lower:
                return name if name in names else lower[name]
        problem = (
            f"`{file}` has no column called {', '.join(LABEL_COLUMNS[:-1])} or {LABEL_COLUMNS[-1]}."
        )
        if any(_is_number(name) for name in names):
            problem += " Its first row, which must name the columns, holds numbers."
    few = ", ".join(shortened(name) for name in names[:_MOST_LISTED])
    more = f" and {len(names) - _MOST_LISTED:,} more" if len(names) > _MOST_LISTED else ""
    raise DataError(
        f"{problem} Name the column of labels (`csv:PATH?label=COLUMN`, "
        "`label_column=`, `--label-column`). "
        f"Columns: {few}{more}."
    )


def _is_number(text: str) -> bool:
    return not math.isnan(number_in(text))


def _labels(column: pa.ChunkedArray, name: str) -> np.ndarray:
    """Return names of classes, shape (n,), None where one is missing; refuse what are none."""
    values = column.to_pylist()
    if not all(value is None or isinstance(value, str | int | float) for value in values):
        raise DataError(f"{name} must hold numbers or texts to be labels. Received: {column.type}.")
    texts = [_label(value) for value in values]
    different = {text for text in texts if text is not None and text not in MISSING_TEXTS}
    if len(different) == len(texts) >= _FEW_ROWS:
        raise DataError(
            f"{name} must hold classes. Received: another one in each of {len(texts):,} rows."
        )
    if all(map(is_whole, different)):
        if not any("." in text for text in different):
            return np.array(texts, object)
        whole = [text.partition(".")[0] if text in different else None for text in texts]
        return np.array(whole, object)
    if len(different) > _MOST_FRACTIONS and all(map(_is_number, different)):
        raise DataError(
            f"{name} must hold classes. Received: {len(different):,} different numbers with "
            "fractions, which look like the target of a regression."
        )
    return np.array(texts, object)


def _label(value: Any) -> str | None:
    if value is None or value != value:
        return None
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).lower() if isinstance(value, bool) else str(value).strip()
