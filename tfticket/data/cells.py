"""The cells of a table as they stand in its file, to be shown beside what was made of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tfticket.wording import brief_repr

if TYPE_CHECKING:
    import pyarrow as pa  # a fifth of a second that other data doesn't need


@dataclass(frozen=True)
class Feature:
    """A column of the inputs that were made of a table.

    Attributes:
        name: What its numbers say, such as `age`, `age is missing` or `color = red`.
        column: The column of the table that it was made of.
    """

    name: str
    column: str


@dataclass(frozen=True, eq=False)
class Cells(Sequence[tuple[str, ...]]):
    r"""Rows of a table, as texts.

    Attributes:
        table: The table as it was read.
        rows: The places of these rows in it, shape (n,).
        label_column: Name of the column of labels.

    Example:
        >>> from pathlib import Path
        >>> from tfticket import data
        >>> _ = Path("pets.csv").write_text("age,label\n3,cat\n,dog\n")
        >>> cells = data.load_whole("csv:pets.csv").train.cells
        >>> cells.columns, cells.label_column, cells[1]
        (('age', 'label'), 'label', ('', 'dog'))
    """

    table: pa.Table
    rows: np.ndarray
    label_column: str

    __repr__ = brief_repr

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns, in the order of the file."""
        return tuple(self.table.column_names)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: Any) -> Any:
        """Return the cells of a row, or the rows of a slice; an empty cell is an empty text."""
        if isinstance(index, slice):
            return self.take(np.arange(len(self))[index])
        row = int(self.rows[index])
        return tuple(_text(column[row]) for column in self.table.columns)

    def take(self, places: np.ndarray) -> Cells:
        """Return the rows at some places, shape (m,)."""
        return Cells(self.table, self.rows[places], self.label_column)

    def to_bytes(self) -> np.ndarray:
        """Return these rows as bytes, shape (size,), uint8, for `from_bytes`."""
        import pyarrow as pa

        table = self.table.take(pa.array(self.rows))
        table = table.replace_schema_metadata({_LABEL: self.label_column})
        stream = pa.BufferOutputStream()
        with pa.ipc.new_stream(stream, table.schema) as writer:
            writer.write_table(table)
        return np.frombuffer(stream.getvalue(), np.uint8)

    @classmethod
    def from_bytes(cls, content: np.ndarray) -> Cells:
        """Return what `to_bytes` was called on, without a copy."""
        import pyarrow as pa

        table = pa.ipc.open_stream(pa.py_buffer(content)).read_all()
        label = table.schema.metadata[_LABEL.encode()].decode()
        return cls(table, np.arange(len(table)), label)


_LABEL = "label_column"


def _text(cell: pa.Scalar) -> str:
    try:
        value = cell.as_py()
    except Exception:  # dates beyond the calendar of Python
        return ""
    if value is None or value != value:
        return ""
    if isinstance(value, bytes):
        return f"{len(value):,} bytes"
    return f"{value:.15g}" if isinstance(value, float) else str(value)
