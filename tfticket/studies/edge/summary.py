"""The numbers of a run of the kind `edge`: its files, the choice, and what the paper claims."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from tfticket.errors import RunError, TFTicketError
from tfticket.files import read_table
from tfticket.report import words
from tfticket.report.judging import Reading, counted
from tfticket.report.reading import RunFiles


@dataclass(frozen=True)
class Summary:
    """What a run came to, as far as it is finished.

    Attributes:
        name: Name of the recipe.
        title: Its title.
        run: Name of the run.
        complete: Whether the run is finished.
        missing: What isn't there yet, a sentence each; empty for a complete run.
        study: The table of files.
        claims: The recipe's expectations beside what came out.
    """

    name: str
    title: str
    run: str
    complete: bool
    missing: tuple[str, ...]
    study: Study
    claims: tuple[CheckedClaim, ...]

    @property
    def headline(self) -> str:
        """Which file to ship, and what it is worth."""
        row = self.study.chosen
        if row is None:
            reason = self.study.choice.get("reason") or self.study.failure
            return f"No file to ship. {reason}" if reason else "No file is chosen yet."
        found = [each for each in self.study.replicates if each["failure"] is None]
        losses = [100 * (each["dense_test_accuracy"] - each["test_accuracy"]) for each in found]
        parts = [
            f"Ship {row['name']}: {row['smaller']:.1f} times smaller and {row['speedup']:.1f} "
            f"times as fast as the dense fp32 file on {self.study.host}."
        ]
        if losses:
            spread = f" ({min(losses):+.2f} to {max(losses):+.2f})" if len(losses) > 1 else ""
            parts.append(
                f"It loses {statistics.mean(losses):+.2f} points of test accuracy{spread}, over "
                f"{words.plural(len(losses), 'seed')}."
            )
        return " ".join([*parts, *counted([claim.reading for claim in self.claims])])

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON: the content of `summary.json`."""
        return {
            "recipe": self.name,
            "kind": "edge",
            "title": self.title,
            "run": self.run,
            "complete": self.complete,
            "missing": list(self.missing),
            "headline": self.headline,
            "host": self.study.host,
            "seed": self.study.seed,
            "choice": dict(self.study.choice),
            "replicates": [dict(each) for each in self.study.replicates],
            "claims": [claim.to_dict() for claim in self.claims],
            "rows": [dict(row) for row in self.study.rows],
        }


def summarize_files(files: RunFiles) -> Summary:
    """Summarizes a run that has been read, finished or not.

    Raises:
        RunError: when its table is damaged.
    """
    return summarize_study(read_study(files))


def summarize_study(study: Study) -> Summary:
    """The same for a run whose table has been read already."""
    files = study.files
    return Summary(
        name=str(files.recipe.get("name", files.path.resolve().parent.name)),
        title=str(files.recipe.get("title", "")),
        run=files.path.resolve().name,
        complete=files.complete,
        missing=() if files.complete else _missing(study),
        study=study,
        claims=check_claims(study) if study.rows else (),
    )


def _missing(study: Study) -> tuple[str, ...]:
    searches = [str(search.get("structure", "unstructured")) for search in study.searches]
    sentences = [
        f"the search {name} is not finished"
        for name in searches
        if not (study.files.path / "searches" / name / "COMPLETE").is_file()
    ]
    return tuple(sentences) or ("the table of files is not made yet",)


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


@dataclass(frozen=True)
class CheckedClaim:
    """One expectation.

    Attributes:
        claim: In words.
        measure: What is read.
        network: The row it is read off.
        at_least: The smallest number that meets it, or None.
        at_most: The largest, or None.
        ours: The number, or None where the row isn't there.
        seeds: How many seeds were looked at: all must meet it.
        worst: The number of the seed that is worst.
        reading: Whether it is met by every seed.
    """

    claim: str
    measure: str
    network: str
    at_least: float | None
    at_most: float | None
    ours: float | None
    seeds: int
    worst: float | None
    reading: Reading

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {**asdict(self), "reading": str(self.reading)}


def check_claims(study: Study) -> tuple[CheckedClaim, ...]:
    """Holds each expectation of the recipe against the table."""
    return tuple(_check(claim, study) for claim in study.files.recipe.get("expect") or ())


def _check(claim: Mapping[str, Any], study: Study) -> CheckedClaim:
    name = claim.get("network") or str(study.choice.get("name", ""))
    row, measure = study.row(name), str(claim["measure"])
    ours = None if row is None else measured(row, measure, study.baseline)
    values = [] if ours is None else [ours]
    if name == study.choice.get("name") and measure != "smaller_gzip":
        values += [
            found
            for each in study.replicates[1:]
            if (found := _of_replicate(each, measure)) is not None
        ]
    low, high = claim.get("at_least"), claim.get("at_most")
    worst = (min if high is None else max)(values, default=None)
    met = worst is not None and (high is None or worst <= high) and (low is None or worst >= low)
    reading = Reading.CANT_TELL if worst is None else Reading.PASS if met else Reading.FAIL
    return CheckedClaim(
        str(claim["claim"]), measure, name, low, high, ours, len(values), worst, reading
    )


def measured(row: Row, measure: str, baseline: Row) -> float | None:
    """A measure of a row: `smaller`, `smaller_gzip`, `faster` or `loss` (on test data)."""
    if measure == "loss":
        if row["test_accuracy"] is None or baseline["test_accuracy"] is None:
            return None
        return float(baseline["test_accuracy"] - row["test_accuracy"])
    return float(row["speedup" if measure == "faster" else measure])


def _of_replicate(found: Mapping[str, Any], measure: str) -> float | None:
    if found["failure"] is not None:
        return None
    if measure == "loss":
        return float(found["dense_test_accuracy"] - found["test_accuracy"])
    return float(found["speedup" if measure == "faster" else measure])
