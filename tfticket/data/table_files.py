"""Tables in CSV and Parquet files of strangers, read within the limits stated here.

Whatever the bytes are, a reader returns a table with different names of columns and at least one
row, or raises `UnreadableError`.
"""

from __future__ import annotations

import codecs
import csv
import io
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfticket.reading import MOST_EXPANSION, MOST_UNPACKED, UnreadableError, parse_json
from tfticket.wording import brief

if TYPE_CHECKING:
    import pyarrow as pa

MOST_COLUMNS = 10_000
"""Limit of the columns of a table; longer rows are features, which `.npz` files hold better."""
LONGEST_ROW = 2**24
"""Size limit of a row of a CSV file, in bytes."""

_LONGEST_HEADER = 2**21
_SEPARATORS = ",;\t|"
_MOST_CELLS = 2**28  # of a Parquet file, which can hold any number of equal ones in a few bytes
_BATCH = 2**16  # rows
_NO_ROWS = "it has a header and no rows"


def read_csv(path: Path) -> pa.Table:
    """Read a CSV file in UTF-8 with a header; all cells are texts.

    Cells are separated by commas, semicolons, tabs or vertical bars, whichever splits the header
    into the most. Empty lines are no rows.

    Raises:
        UnreadableError: when it isn't such a file, or exceeds a limit.
    """
    from pyarrow import ArrowException, OSFile, string
    from pyarrow import csv as arrow_csv

    if path.stat().st_size > MOST_UNPACKED:
        raise UnreadableError(f"it has more than {MOST_UNPACKED:,} bytes")
    header, separator = header_of(path)
    names = _checked_names(header)
    wrong: list[Any] = []

    def refuse(row: Any) -> str:
        wrong.append(row)
        return "error"

    try:
        with OSFile(str(path)) as file:  # given the path, it would unpack what is called .gz
            table = arrow_csv.read_csv(
                file,
                read_options=arrow_csv.ReadOptions(use_threads=False, block_size=LONGEST_ROW),
                parse_options=arrow_csv.ParseOptions(
                    delimiter=separator, newlines_in_values=True, invalid_row_handler=refuse
                ),
                convert_options=arrow_csv.ConvertOptions(
                    column_types=dict.fromkeys(header, string())
                ),
            )
    except (ArrowException, OSError, ValueError) as error:
        if wrong:
            row = wrong[0]
            raise UnreadableError(
                f"row {row.number} has {row.actual_columns:,} cells and the header "
                f"{row.expected_columns:,}"
            ) from error
        _check_utf8(path)
        if "Empty CSV file" in str(error):  # a header without an end of line
            raise UnreadableError(_NO_ROWS) from error
        if "straddling" in str(error):
            raise UnreadableError(
                f"a row has more than {LONGEST_ROW:,} bytes, perhaps for want of a closing quote"
            ) from error
        raise UnreadableError(f"{error!s:.200}") from error
    if len(names) != table.num_columns:
        raise UnreadableError("its header can't be understood: quotes must enclose whole cells")
    return _filled(table.rename_columns(names))


def header_of(path: Path) -> tuple[list[str], str]:
    """Return the cells of the first row of a CSV file that isn't empty, and what separates them.

    Raises:
        UnreadableError: when there is none.
    """
    try:
        with path.open("rb") as file:
            start = file.read(_LONGEST_HEADER)
    except OSError as error:
        raise UnreadableError(f"it can't be read: {error.strerror or error}") from error
    try:
        text = codecs.getincrementaldecoder("utf-8-sig")().decode(start)
    except UnicodeDecodeError:
        _check_utf8(path)
        raise
    rows = {separator: _first_row(text, separator) for separator in _SEPARATORS}
    separator = max(rows, key=lambda each: len(rows[each]))
    return rows[separator], separator


def _first_row(text: str, separator: str) -> list[str]:
    file = io.StringIO(text, newline="")
    try:
        row = next((row for row in csv.reader(file, delimiter=separator) if row), [])
    except csv.Error as error:
        raise UnreadableError(f"its header can't be understood: {error}") from error
    if not row:
        raise UnreadableError("it is empty")
    if len(text) == file.tell() and len(text.encode()) >= _LONGEST_HEADER - 4:
        raise UnreadableError(f"its header has more than {_LONGEST_HEADER:,} bytes")
    return row


def _check_utf8(path: Path) -> None:
    content = path.read_bytes()
    try:
        content.decode()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise UnreadableError(f"it isn't UTF-8 text: {error.reason} in line {line:,}") from error


def _checked_names(header: list[str]) -> list[str]:
    """Return names without spaces around them; a nameless column is called by its number."""
    if len(header) > MOST_COLUMNS:
        raise UnreadableError(
            f"it has {len(header):,} columns, more than {MOST_COLUMNS:,}: such rows of numbers are "
            "read from `npz:PATH`"
        )
    names = [name.strip() or f"column {number}" for number, name in enumerate(header, 1)]
    double = [name for name, count in Counter(names).items() if count > 1]
    if double:
        raise UnreadableError(f"several of its columns are called {brief(double[0])}")
    return names


def _filled(table: pa.Table) -> pa.Table:
    if not table.num_rows:
        raise UnreadableError(_NO_ROWS)
    return table


def read_parquet(path: Path) -> pa.Table:
    """Read a Parquet file; columns keep their types.

    Raises:
        UnreadableError: when it isn't such a file, or exceeds a limit.
    """
    from pyarrow import Table, parquet

    most = max(MOST_UNPACKED, MOST_EXPANSION * path.stat().st_size)
    try:
        with parquet.ParquetFile(path) as file:
            names = _checked_names(file.schema_arrow.names)
            rows, columns = file.metadata.num_rows, file.metadata.num_columns
            if rows * columns > _MOST_CELLS:
                raise UnreadableError(f"it has {rows:,} rows of {columns:,} columns, too many")
            batches, size = [], 0
            for batch in file.iter_batches(_BATCH, use_threads=False):
                size += batch.nbytes
                if size > most:  # whatever its header announces
                    raise UnreadableError(f"it unpacks to more than {most:,} bytes")
                batches.append(batch)
            table = Table.from_batches(batches, file.schema_arrow).rename_columns(names)
            table.validate(full=True)
            table = _decoded(table).replace_schema_metadata(file.schema_arrow.metadata)
    except UnreadableError:
        raise
    except Exception as error:  # whatever damaged bytes make pyarrow raise
        raise UnreadableError(f"it is no Parquet file, or damaged: {error!s:.200}") from error
    return _filled(table)


def declared_names(table: pa.Table, column: str) -> tuple[str, ...]:
    """Return the names of classes that Hugging Face Datasets declares of a column of numbers.

    Args:
        table: From `read_parquet`.
        column: Name of the column.

    Returns:
        A name for each number; empty where none are declared.
    """
    from pyarrow import types

    declared = (table.schema.metadata or {}).get(b"huggingface")
    if declared is None or not types.is_integer(table.schema.field(column).type):
        return ()
    try:
        names = parse_json(declared)["info"]["features"][column]["names"]
    except (UnreadableError, KeyError, TypeError):
        return ()
    fits = isinstance(names, list) and all(isinstance(name, str) for name in names)
    return tuple(names) if fits else ()


def _decoded(table: pa.Table) -> pa.Table:
    """Return the table with texts in place of the categories of data frames."""
    from pyarrow import types

    for place, column in enumerate(table.schema):
        if types.is_dictionary(column.type):
            values = table.column(place).cast(column.type.value_type)
            table = table.set_column(place, column.name, values)
    return table
