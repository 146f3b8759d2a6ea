"""The table of files of a run, as it was written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tfticket.errors import RunError, TFTicketError
from tfticket.files import read_table
from tfticket.report.reading import RunFiles

_REMEDY = "Remove it and run the recipe again; what was trained is kept."

Row = Mapping[str, Any]
"""One network in one format; see `tfticket.export.rows.to_rows`."""


@dataclass(frozen=True)
class Study:
    """What `edge.json` says.

    Attributes:
        files: The run.
        rows: The baseline first; empty while there is no table yet.
        choice: Name, reason and explanations of the file to ship; empty without one.
        replicates: What it comes to with each seed.
        host: The processor that times were measured on.
        seed: Whose networks the rows are.
        margin: Accuracy that might be lost.
        kept: Names of the files that were kept.
    """

    files: RunFiles
    rows: tuple[Row, ...] = ()
    choice: Mapping[str, Any] = field(default_factory=dict)
    replicates: tuple[Mapping[str, Any], ...] = ()
    host: str = ""
    seed: int = 0
    margin: float = 0.0
    kept: tuple[str, ...] = ()

    @property
    def searches(self) -> list[Mapping[str, Any]]:
        """The searches of the recipe, with `structure` filled in."""
        found = self.files.recipe.get("search") or []
        return [{"structure": "unstructured", **search} for search in found]

    @property
    def passed(self) -> tuple[Row, ...]:
        """Rows that have a file."""
        return tuple(row for row in self.rows if row["failure"] is None)

    @property
    def failed(self) -> tuple[Row, ...]:
        """Rows that have none."""
        return tuple(row for row in self.rows if row["failure"] is not None)

    @property
    def baseline(self) -> Row:
        """The dense network in fp32."""
        return self.rows[0]

    @property
    def chosen(self) -> Row | None:
        """The row of the file to ship."""
        return self.row(str(self.choice.get("name", "")))

    @property
    def failure(self) -> str:
        """Why there is no table of files although the run is finished; empty otherwise."""
        if self.rows or not self.files.complete:
            return ""
        try:
            told = read_table(self.files.path / "COMPLETE")
            return " ".join(map(str, told.get("failed_exports", ())))
        except (OSError, TFTicketError, TypeError):
            return ""

    def row(self, name: str) -> Row | None:
        """The row of a name that has a file."""
        return next((row for row in self.passed if row["name"] == name), None)


def read_study(files: RunFiles) -> Study:
    """Reads the table of a run.

    Raises:
        RunError: when it is damaged.
    """
    path = files.path / "edge.json"
    if not path.is_file():
        return Study(files)
    content = read_table(path, remedy=_REMEDY)
    try:
        return Study(
            files=files,
            rows=tuple(content["rows"]),
            choice=content["choice"],
            replicates=tuple(content["replicates"]),
            host=content["host"],
            seed=content["seed"],
            margin=content["margin"],
            kept=tuple(content["files"]),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise RunError(
            f"`{path}` must be the table of a run's files. It isn't: {error!r}. {_REMEDY}"
        ) from error
