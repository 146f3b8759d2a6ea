"""What a recipe expects of the file to ship, beside what it came to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from tfticket.report.edge.study import Row, Study
from tfticket.report.judging import Reading


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
