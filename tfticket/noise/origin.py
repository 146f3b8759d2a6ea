"""The data that an audit was about, as the file beside its tables says it."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tfticket.errors import DataError, RunError
from tfticket.files import read_table

PathLike = str | os.PathLike[str]

SUMMARY = "summary.json"
"""The file beside the tables of an audit that names their data."""

_WITH_PATHS = ("folder", "npz", "csv", "parquet")
_OPTIONS = re.compile(r"(@[1-9]\d*x[1-9]\d*|\?label=.*)$", re.DOTALL)


@dataclass(frozen=True)
class Origin:
    """The data of an audit, by name.

    Attributes:
        data: What `data.load` takes, with an absolute path.
        labels: File of the labels in question; None for the data's own.
        data_dir: Folder of the data sets, or None.
        limit: Only so many examples were looked at, the first ones; None for all.
    """

    data: str
    labels: str | None = None
    data_dir: str | None = None
    limit: int | None = None

    @classmethod
    def of(
        cls,
        data: str,
        *,
        labels: PathLike | None = None,
        data_dir: PathLike | None = None,
        limit: int | None = None,
        label_column: str | None = None,
    ) -> Origin:
        """Make paths absolute, so that they hold from any folder.

        Args:
            data: What `data.load` takes.
            labels: File of the labels in question; None for the data's own.
            data_dir: Folder of the data sets, from which a relative path starts.
            limit: Number of examples that were looked at; None for all.
            label_column: Column of the labels of a table; None leaves it to `data`.

        Example:
            >>> Origin.of("digits").data, Origin.of("npz:a.npz", data_dir="/b").data
            ('digits', 'npz:/b/a.npz')
        """
        if label_column is not None:
            data += f"?label={label_column}"
        kind, colon, path = data.partition(":")
        if colon and kind in _WITH_PATHS:
            options = _OPTIONS.search(path)
            name = path.removesuffix(options[0]) if options else path
            data = f"{kind}:{_absolute(name, data_dir)}{options[0] if options else ''}"
        return cls(
            data,
            None if labels is None else _absolute(labels),
            None if data_dir is None else _absolute(data_dir),
            limit,
        )

    @classmethod
    def beside(
        cls,
        table: Path,
        *,
        data: str | None = None,
        labels: PathLike | None = None,
        data_dir: PathLike | None = None,
    ) -> Origin:
        """Find the data of a table: what is given, else what `summary.json` beside it says.

        Args:
            table: The table.
            data: What `data.load` takes; None reads the file.
            labels: File of the labels in question; None reads the file, if there is one.
            data_dir: Folder of the data sets; likewise.

        Raises:
            DataError: when neither names the data.
            RunError: when the file is damaged.
        """
        file = table.parent / SUMMARY
        said = cls._read(file) if file.is_file() else {}
        name = data or said.get("data")
        if not name:
            raise DataError(
                f"It isn't known which data `{table}` is about: no {SUMMARY} of `tfticket noise "
                "clean` lies beside it. Give --data DATA, or put the table into that folder."
            )
        return cls.of(
            name,
            labels=labels or said.get("labels"),
            data_dir=data_dir or said.get("data_dir"),
            limit=said.get("limit"),
        )

    @classmethod
    def _read(cls, file: Path) -> Mapping[str, Any]:
        said = read_table(file, remedy="Give --data DATA.")
        for key, kind in (("data", str), ("labels", str), ("data_dir", str), ("limit", int)):
            if said.get(key) is not None and not isinstance(said[key], kind):
                raise RunError(
                    f"`{file}` is damaged: `{key}` must be of the type {kind.__name__}. Received: "
                    f"{said[key]!r:.80}. Give --data DATA."
                )
        return said

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)

    @property
    def folder(self) -> Path | None:
        """The folder of images; None for other data."""
        kind, _, path = self.data.partition(":")
        return Path(_OPTIONS.sub("", path)) if kind == "folder" else None

    @property
    def file(self) -> Path | None:
        """The file of a table; None for other data."""
        kind, _, path = self.data.partition(":")
        return Path(_OPTIONS.sub("", path)) if kind in ("csv", "parquet") else None


def _absolute(path: PathLike, start: PathLike | None = None) -> str:
    return str((Path(start or ".").expanduser() / Path(path).expanduser()).absolute())
