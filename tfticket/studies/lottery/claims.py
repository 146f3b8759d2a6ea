"""What a recipe expects of its tickets, checked against what came out."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tfticket.lottery.comparison import Comparison, Interval, compare
from tfticket.studies.lottery.summary import LevelSummary, Summary

# A level whose density differs from the claim's by more than this factor measures something else.
_NEAR = 1.3


@dataclass(frozen=True)
class CheckedClaim:
    """One claim, and what the run has to say to it.

    Attributes:
        claim: What the paper says, in short.
        source: Where it says so.
        measure: `accuracy`, `gain`, `speedup`, `early_stop_speedup` or `smallest_density`.
        value: The paper's number, in the measure's own unit (rates in [0, 1]).
        ours: The run's number over seeds, or None when it doesn't have one.
        density: The density at which ours was read, in (0, 1]; None where that says nothing.
        reading: How the two agree, in a few words.
    """

    claim: str
    source: str
    measure: str
    value: float
    ours: Interval | None
    density: float | None
    reading: str


def check_claims(expect: list[Mapping[str, Any]], summary: Summary) -> list[CheckedClaim]:
    """Holds each claim of a recipe against the run.

    Args:
        expect: The recipe's `expect`: tables with `claim`, `source`, `measure`, `value`, `branch`,
            `against`, `density`.
        summary: What the run came to.
    """
    return [_check(claim, summary) for claim in expect]


def _check(claim: Mapping[str, Any], summary: Summary) -> CheckedClaim:
    measure, value = str(claim["measure"]), float(claim["value"])
    if measure == "smallest_density":
        ours, density, why = _smallest_density(claim, summary)
    else:
        ours, density, why = _at_density(claim, summary)
    return CheckedClaim(
        claim=str(claim["claim"]),
        source=str(claim.get("source", "")),
        measure=measure,
        value=value,
        ours=ours,
        density=density,
        reading=why if ours is None or why else _reading(measure, value, ours),
    )


_Found = tuple[Interval | None, float | None, str]


def _at_density(claim: Mapping[str, Any], summary: Summary) -> _Found:
    branch, density = str(claim.get("branch", "ticket")), claim.get("density")
    level = _nearest(branch, density, summary)
    if level is None:
        return None, None, f"not measured: no finished {branch} network"
    if density and abs(math.log(level.density / density)) > math.log(_NEAR):
        return None, None, f"not measured: the nearest level has {100 * level.density:.3g} %"
    if claim["measure"] == "accuracy":
        return level.accuracy.interval, level.density, ""
    against = str(claim.get("against", "dense"))
    found = _comparison(level, against, summary)
    if found is None:
        return None, None, f"not measured: no {against} network to compare with"
    measures = {
        "gain": found.gain,
        "speedup": found.speedup,
        "early_stop_speedup": found.early_stop_speedup,
    }
    return measures[claim["measure"]], level.density, ""


def _smallest_density(claim: Mapping[str, Any], summary: Summary) -> _Found:
    """The lowest density with a mean gain of 0 or more: a' >= a, as one reads it off a figure."""
    branch, against = str(claim.get("branch", "ticket")), str(claim.get("against", "dense"))
    compared = [
        (level.density, found.gain)
        for level in summary.branch(branch)
        if level.level > 0 and (found := _comparison(level, against, summary)) is not None
    ]
    if not compared:
        return None, None, f"not measured: no {branch} and {against} networks to compare"
    reached = [(density, gain) for density, gain in compared if gain.mean >= 0]
    if not reached:
        return None, None, f"no {branch} network is as accurate"
    density, gain = min(reached, key=lambda pair: pair[0])
    sparsest = min(density for density, _ in compared)
    cut_short = density == sparsest > _NEAR * float(claim["value"])
    nan = math.nan
    return (
        Interval(density, nan, nan, nan, gain.seeds, gain.confidence),
        None,
        ("as far as this run went" if cut_short else ""),
    )


def _nearest(branch: str, density: float | None, summary: Summary) -> LevelSummary | None:
    if branch == "dense":
        return summary.dense
    levels = summary.branch(branch)
    if not levels or density is None:
        return levels[-1] if levels else None
    return min(levels, key=lambda level: abs(math.log(level.density / density)))


def _comparison(level: LevelSummary, against: str, summary: Summary) -> Comparison | None:
    other = summary.level(against, level.level)
    if other is None or not set(level.outcomes) & set(other.outcomes):
        return None
    return compare(level.outcomes, other.outcomes, criteria=summary.criteria)


def _reading(measure: str, value: float, ours: Interval) -> str:
    if measure == "smallest_density":
        return "as sparse or sparser" if ours.mean <= value * _NEAR else "not as sparse"
    if ours.seeds > 1 and ours.lower <= value <= ours.upper:
        return "inside our interval"
    if measure == "accuracy":
        return "higher" if ours.mean > value else "lower"
    neutral = 0.0 if measure == "gain" else 1.0
    if (ours.mean - neutral) * (value - neutral) <= 0:
        return "not seen"
    return "same direction, " + (
        "more" if abs(ours.mean - neutral) > abs(value - neutral) else "less"
    )
