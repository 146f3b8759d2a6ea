"""The numbers of a run of the kind `edge`: its files, the choice, and what was expected of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from tfticket.display import words
from tfticket.errors import RunError, TFTicketError
from tfticket.files import read_table
from tfticket.report.contents import Summary as BaseSummary
from tfticket.report.estimate import Estimate
from tfticket.report.expectation import POINTS_LOST, Expectation, Measured, Unit, check, counted
from tfticket.report.reading import RunFiles

_TIMES = Unit(lambda value: f"{value:.1f}", neutral=1.0)
_MEASURES = {
    "smaller": ("times smaller than dense fp32", _TIMES),
    "smaller_gzip": ("times smaller after gzip than the dense fp32 file", _TIMES),
    "faster": ("times as fast as dense fp32", _TIMES),
    "loss": ("change of test accuracy, points", POINTS_LOST),
}
"""Measure of an expectation to its words and its unit."""


@dataclass(frozen=True)
class Summary(BaseSummary):
    """The files of a run and the one to ship, as far as the run is finished.

    Attributes:
        study: The table of files.
    """

    study: Study = field(repr=False)

    @property
    def missing(self) -> tuple[str, ...]:
        """See `report.contents.Summary`."""
        if self.complete:
            return ()
        searches = (str(search["structure"]) for search in self.study.searches)
        sentences = [
            f"the search {name} is not finished"
            for name in searches
            if not (self.files.path / "searches" / name / "COMPLETE").is_file()
        ]
        return tuple(sentences) or ("the table of files is not made yet",)

    @property
    def headline(self) -> str:
        """The file to ship, with its size, speed and change of accuracy."""
        row = self.study.chosen
        if row is None:
            reason = self.study.choice.get("reason") or self.study.failure
            return f"No file to ship. {reason}" if reason else "No file is chosen yet."
        sentences = [
            f"Ship {row['name']}: {row['smaller']:.1f} times smaller and {row['speedup']:.1f} "
            f"times as fast as the dense fp32 file on {self.study.host}."
        ]
        changes = {
            each["seed"]: each["test_accuracy"] - each["dense_test_accuracy"]
            for each in self.study.replicates
            if each["failure"] is None
        }
        if changes:
            found = Estimate.of_extremes(changes)
            bounds = f" ({words.interval(found, words.points)})" if found.seeds > 1 else ""
            sentences.append(
                f"It changes test accuracy by {words.points(found.mean)} points{bounds}, over "
                f"{words.plural(found.seeds, 'seed')}."
            )
        return " ".join([*sentences, *counted(self.expectations)])

    @cached_property
    def expectations(self) -> tuple[Expectation, ...]:
        """The recipe's expectations of the chosen file, or of another; every seed must meet them.

        They are held against the table of files: none while there is no table.
        """
        if not self.study.rows:
            return ()
        chosen = str(self.study.choice.get("name", ""))
        tables = [
            {**table, "network": table.get("network") or chosen} for table in self.files.expect
        ]
        return check(tables, self._measure)

    def _measure(self, table: Mapping[str, Any]) -> Measured:
        study, name, measure = self.study, table["network"], str(table["measure"])
        about, unit = _MEASURES[measure]
        row = study.row(name)
        value = None if row is None else _of_row(row, measure, study.baseline)
        if value is None:
            return Measured(None, about, unit, name, remark="there is no such file")
        values = {study.seed: value}
        if name == study.choice.get("name") and measure != "smaller_gzip":
            values |= {
                each["seed"]: _of_replicate(each, measure)
                for each in study.replicates[1:]
                if each["failure"] is None
            }
        return Measured(Estimate.of_extremes(values), about, unit, name)

    def results(self) -> dict[str, Any]:
        """The choice, its replicates, and all rows."""
        return {
            "host": self.study.host,
            "seed": self.study.seed,
            "choice": dict(self.study.choice),
            "replicates": [dict(each) for each in self.study.replicates],
            "rows": [dict(row) for row in self.study.rows],
        }


def _of_row(row: Row, measure: str, baseline: Row) -> float | None:
    if measure != "loss":
        return float(row["speedup" if measure == "faster" else measure])
    if row["test_accuracy"] is None or baseline["test_accuracy"] is None:
        return None
    return float(baseline["test_accuracy"] - row["test_accuracy"])


def _of_replicate(found: Mapping[str, Any], measure: str) -> float:
    if measure == "loss":
        return float(found["dense_test_accuracy"] - found["test_accuracy"])
    return float(found["speedup" if measure == "faster" else measure])


def summarize_files(files: RunFiles) -> Summary:
    """Summarize a run that has been read, finished or not.

    Raises:
        RunError: when its table is damaged.
    """
    return Summary(files, read_study(files))


_REMEDY = "Remove it and run the recipe again; what was trained is kept."

Row = Mapping[str, Any]
"""One network in one format; see `tfticket.export.rows.to_rows`."""


@dataclass(frozen=True)
class Study:
    """The content of `edge.json`.

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
    """Read the table of a run.

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
