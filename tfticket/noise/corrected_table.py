"""Copies of CSV and Parquet files with some labels corrected, and nothing else changed."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfticket.data.cells import Cells
from tfticket.data.table_files import LONGEST_ROW, header_of
from tfticket.errors import DataError
from tfticket.reading import MOST_UNPACKED, read_text

if TYPE_CHECKING:
    import pyarrow as pa


def corrected_table(path: Path, cells: Cells, labels: Mapping[int, str]) -> bytes:
    """Return the content of a table with other labels in some rows.

    Of a CSV file all other rows stay as they are, byte for byte. A Parquet file keeps its columns,
    their types and its metadata.

    Args:
        path: The file, CSV or Parquet by the name of its data.
        cells: Its rows, as they were read.
        labels: Place of an example in `cells` to the name of its class.

    Raises:
        DataError: when the file isn't what was read any more, or a label doesn't fit its column.
    """
    rows = {int(cells.rows[place]): label for place, label in labels.items()}
    column = cells.columns.index(cells.label_column)
    values = cells.table.column(column)
    before = {row: values[row].as_py() for row in rows}
    if path.read_bytes()[:4] == b"PAR1":
        return _parquet(path, column, rows, before)
    return _csv(path, column, rows, before, count=cells.table.num_rows)


def _csv(
    path: Path, column: int, rows: Mapping[int, str], before: Mapping[int, Any], *, count: int
) -> bytes:
    _, separator = header_of(path)
    text = read_text(path, most_bytes=MOST_UNPACKED)
    mark, text = text[: text.startswith("\ufeff")], text.removeprefix("\ufeff")
    made, place = io.StringIO(newline=""), -2  # the header is no row
    limit = csv.field_size_limit(LONGEST_ROW)
    try:
        for cells, raw in _records(text, separator):
            place += bool(cells)
            if not cells or place not in rows:
                made.write(raw)
                continue
            if cells[column] != (before[place] or ""):
                raise _changed(path)
            cells[column] = rows[place]
            ending = raw[len(raw.rstrip("\r\n")) :]
            csv.writer(made, delimiter=separator, lineterminator=ending).writerow(cells)
    except (csv.Error, IndexError) as error:
        raise _changed(path) from error
    finally:
        csv.field_size_limit(limit)
    if place + 1 != count:
        raise _changed(path)
    return (mark + made.getvalue()).encode()


def _records(text: str, separator: str) -> Iterator[tuple[list[str], str]]:
    """Yield the cells of each row, none for an empty line, with the text that holds them."""
    taken: list[str] = []

    def lines() -> Iterable[str]:
        for line in io.StringIO(text, newline=""):
            taken.append(line)
            yield line

    for cells in csv.reader(lines(), delimiter=separator):
        yield cells, "".join(taken)
        taken.clear()


def _parquet(path: Path, column: int, rows: Mapping[int, str], before: Mapping[int, Any]) -> bytes:
    import pyarrow as pa
    from pyarrow import parquet

    table = parquet.read_table(path)
    field = table.schema.field(column)
    is_category = pa.types.is_dictionary(field.type)
    kind = field.type.value_type if is_category else field.type
    values = table.column(column).to_pylist()
    for row, label in rows.items():
        if row >= len(values) or values[row] != before[row]:
            raise _changed(path)
        values[row] = _value(label, kind, path)
    made = pa.array(values, kind)
    if is_category:
        made = made.dictionary_encode().cast(field.type)
    sink = pa.BufferOutputStream()
    parquet.write_table(table.set_column(column, field, made), sink)
    return bytes(sink.getvalue())


def _value(label: str, kind: pa.DataType, path: Path) -> Any:
    """The value of a column that is read as a class of this name."""
    from pyarrow import types

    try:
        if types.is_integer(kind):
            return int(label)
        if types.is_floating(kind):
            return float(label)
    except ValueError as error:
        raise DataError(
            f"The labels of `{path}` are of the type {kind}, which can't hold {label!r:.60}."
        ) from error
    return label == "true" if types.is_boolean(kind) else label


def _changed(path: Path) -> DataError:
    return DataError(f"`{path}` was changed since it was read. Run the command again.")
