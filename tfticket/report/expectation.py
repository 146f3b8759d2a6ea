"""The expectations of a recipe (`[[expect]]`), checked against its run."""

from __future__ import annotations

import enum
import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from tfticket.display import words
from tfticket.report.estimate import EXTREMES, POINT, Estimate
from tfticket.report.tables import Cell, Table, interval_cell, table


class Verdict(enum.StrEnum):
    """Result of checking an expectation.

    `MET`: the whole interval satisfies it; `NOT_MET`: no part of it does; `NOT_SIGNIFICANT`:
    anything else, and always with one seed, which has no interval. `NOTED` is without a bound.
    """

    MET = "met"
    NOT_MET = "not met"
    NOT_SIGNIFICANT = "not significant"
    NOT_MEASURED = "not measured"
    NOTED = "noted"


TAGS: Mapping[Verdict, str] = MappingProxyType(
    {
        Verdict.MET: "winning",
        Verdict.NOT_MET: "worse",
        Verdict.NOT_SIGNIFICANT: "cant_tell",
        Verdict.NOT_MEASURED: "cant_tell",
        Verdict.NOTED: "",
    }
)
"""Verdict to the color of its mark on a page."""


@dataclass(frozen=True)
class Unit:
    """Presentation of the numbers of a measure.

    Attributes:
        say: Number to text.
        neutral: The number that means no difference; None where there is no such number.
        is_loss: Whether larger numbers are worse. They are shown with the other sign, since a loss
            is negative everywhere.
    """

    say: Callable[[float], str]
    neutral: float | None = None
    is_loss: bool = False

    def shown(self, value: float | None) -> str:
        """A number as text; a dash for None."""
        if value is None:
            return words.NONE
        return self.say(-value if self.is_loss else value)


POINTS = Unit(words.points, neutral=0.0)
POINTS_LOST = Unit(words.points, neutral=0.0, is_loss=True)
TIMES = Unit(words.factor, neutral=1.0)
RATE = Unit(words.percent2)


@dataclass(frozen=True)
class Measured:
    """The measurement of a run that an expectation is about.

    Attributes:
        estimate: The number over seeds; None where it wasn't measured.
        measure: What is measured, in words.
        unit: How to show it.
        detail: Where it was read: a part of training, a density, a network.
        remark: What there is to add; why there is no estimate.
        beside_paper: How it agrees with the paper's number, where a comparison of the two numbers
            doesn't say it.
    """

    estimate: Estimate | None
    measure: str
    unit: Unit
    detail: str = ""
    remark: str = ""
    beside_paper: str = ""


@dataclass(frozen=True)
class Expectation:
    """A claim with its bound, and what the run has to say to it.

    Attributes:
        table: Its table in the recipe: `claim`, `source`, `value` (the paper's number), `at_least`,
            `at_most`, and what is measured.
        measured: What came out.
    """

    table: Mapping[str, Any]
    measured: Measured

    @property
    def claim(self) -> str:
        """The claim in words."""
        return str(self.table["claim"])

    @property
    def estimate(self) -> Estimate | None:
        """The run's number over seeds."""
        return self.measured.estimate

    @property
    def value(self) -> float | None:
        """The paper's number."""
        return self.table.get("value")

    @property
    def bounds(self) -> tuple[float, float] | None:
        """Lowest and highest number that meet it; None without `at_least` and `at_most`."""
        low, high = self.table.get("at_least"), self.table.get("at_most")
        if low is None and high is None:
            return None
        return (-math.inf if low is None else low), (math.inf if high is None else high)

    @property
    def verdict(self) -> Verdict:
        """Verdict on the bound."""
        found, bounds = self.estimate, self.bounds
        if found is None:
            return Verdict.NOT_MEASURED
        if bounds is None:
            return Verdict.NOTED
        inside = bounds[0] <= found.lower and found.upper <= bounds[1]
        if found.how in (EXTREMES, POINT):  # every seed must meet it, also a single one
            return Verdict.MET if inside else Verdict.NOT_MET
        if found.seeds < 2:
            return Verdict.NOT_SIGNIFICANT
        if inside:
            return Verdict.MET
        outside = found.upper < bounds[0] or found.lower > bounds[1]
        return Verdict.NOT_MET if outside else Verdict.NOT_SIGNIFICANT

    @property
    def remark(self) -> str:
        """A few words beside the verdict."""
        found, said = self.estimate, ""
        if found is not None and self.verdict is Verdict.NOT_SIGNIFICANT and self.bounds:
            met = self.bounds[0] <= found.mean <= self.bounds[1]
            who = "the mean" if found.seeds > 1 else "one seed, which"
            said = f"{who} meets it" if met else f"{who} doesn't meet it"
        elif found is not None and self.value is not None:
            said = self.measured.beside_paper or beside_paper(
                found, self.value, self.measured.unit.neutral
            )
        return "; ".join(part for part in (said, self.measured.remark) if part)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON: the table of the recipe, and what came out."""
        return {
            "measure": self.measured.measure,
            **self.table,
            "ours": None if self.estimate is None else self.estimate.to_dict(),
            "reading": str(self.verdict),
            "why": self.remark,
        }


def check(
    tables: Iterable[Mapping[str, Any]], measure: Callable[[Mapping[str, Any]], Measured]
) -> tuple[Expectation, ...]:
    """Hold each expectation of a recipe against the run.

    Args:
        tables: The recipe's `expect`.
        measure: Says what came of one table.
    """
    return tuple(Expectation(table, measure(table)) for table in tables)


def beside_paper(ours: Estimate, value: float, neutral: float | None) -> str:
    """Say how our number and the paper's agree.

    Args:
        ours: The run's number over seeds.
        value: The paper's.
        neutral: The number that means no difference; None where there is no such number.
    """
    if ours.includes(value):
        return "the paper's number is inside our interval"
    if neutral is None:
        return "above the paper" if ours.mean > value else "below the paper"
    if value == neutral:
        return "the paper saw no difference"
    if (ours.mean - neutral) * (value - neutral) <= 0:
        return "not the paper's direction"
    more = abs(ours.mean - neutral) > abs(value - neutral)
    return f"same direction as the paper, {'more' if more else 'less'}"


def counted(expectations: Sequence[Expectation]) -> list[str]:
    """Say how many bounds are met, in a sentence; nothing where there are none."""
    counts = Counter(found.verdict for found in expectations if found.bounds is not None)
    if not counts:
        return []
    parts = [f"{counts[verdict]} {verdict}" for verdict in Verdict if counts[verdict]]
    return [f"Of {words.plural(counts.total(), 'expectation')}: {', '.join(parts)}."]


def all_met(expectations: Sequence[Expectation]) -> bool:
    """Return whether there are bounds and all are met."""
    return {found.verdict for found in expectations if found.bounds} == {Verdict.MET}


def expectation_table(expectations: Sequence[Expectation]) -> Table | None:
    """The paper's number, the bound, ours, and the verdict; without columns that nothing fills."""
    return table(
        expectations,
        ("<claim", lambda found: found.claim),
        ("<where", lambda found: str(found.table.get("source") or "")),
        ("<measure", lambda found: Cell(found.measured.measure, found.measured.detail)),
        ("paper", lambda found: found.measured.unit.shown(found.value)),
        ("asked for", _asked),
        ("here", _here),
        ("seeds", lambda found: str(found.estimate.seeds) if found.estimate else words.NONE),
        ("<verdict", lambda found: Cell(found.verdict, found.remark, tag=TAGS[found.verdict])),
        keep_empty=False,
    )


def _asked(found: Expectation) -> str:
    unit, signs = found.measured.unit, "\N{GREATER-THAN OR EQUAL TO}\N{LESS-THAN OR EQUAL TO}"
    limits = zip(signs[::-1] if unit.is_loss else signs, ("at_least", "at_most"), strict=True)
    said = [
        f"{sign} {unit.shown(found.table[name])}"
        for sign, name in limits
        if found.table.get(name) is not None
    ]
    return ", ".join(said) or words.NONE


def _here(found: Expectation) -> Cell:
    estimate, unit = found.estimate, found.measured.unit
    if estimate is not None and estimate.how == POINT:
        return Cell(unit.shown(estimate.mean))
    if estimate is not None and unit.is_loss:
        return interval_cell(estimate.reverse(), unit.say)
    return interval_cell(estimate, unit.say)
