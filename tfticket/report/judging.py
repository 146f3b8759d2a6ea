"""Whether a run meets what a recipe expects: pass, fail, or can't tell."""

from __future__ import annotations

import enum
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from tfticket.lottery.comparison import Interval
from tfticket.report import words


class Reading(enum.StrEnum):
    """What the interval over seeds says about a criterion."""

    PASS = "pass"
    FAIL = "fail"
    CANT_TELL = "can't tell"
    NOTED = "no criterion"


TAGS: Mapping[Reading, str] = MappingProxyType(
    {
        Reading.PASS: "winning",
        Reading.FAIL: "worse",
        Reading.CANT_TELL: "cant_tell",
        Reading.NOTED: "",
    }
)
"""The mark that a table sets beside a reading."""


def judge(
    ours: Interval | None, *, at_least: float | None, at_most: float | None
) -> tuple[Reading, str]:
    """Reads a criterion off an interval.

    Args:
        ours: The run's number over seeds, or None.
        at_least: Lower limit, or None.
        at_most: Upper limit, or None.

    Returns:
        `PASS` when the whole interval meets the criterion, `FAIL` when no part of it does, else
        `CANT_TELL`: one seed never tells. And a remark.
    """
    if at_least is None and at_most is None:
        return Reading.NOTED, ""
    if ours is None:
        return Reading.CANT_TELL, ""
    low = -math.inf if at_least is None else at_least
    high = math.inf if at_most is None else at_most
    mean_meets = "the mean meets it" if low <= ours.mean <= high else "the mean doesn't meet it"
    if ours.seeds < 2:
        return Reading.CANT_TELL, f"one seed; {mean_meets.replace('the mean', 'it')}"
    if low <= ours.lower and ours.upper <= high:
        return Reading.PASS, ""
    if ours.upper < low or ours.lower > high:
        return Reading.FAIL, ""
    return Reading.CANT_TELL, mean_meets


def beside_paper(ours: Interval, value: float, *, neutral: float) -> str:
    """How our number and the paper's agree.

    Args:
        ours: The run's number over seeds.
        value: The paper's.
        neutral: The number that would mean no difference.
    """
    if ours.seeds > 1 and ours.lower <= value <= ours.upper:
        return "the paper's number is inside our interval"
    if value == neutral:
        return "the paper saw no difference"
    if (ours.mean - neutral) * (value - neutral) <= 0:
        return "not the paper's direction"
    more = abs(ours.mean - neutral) > abs(value - neutral)
    return f"same direction as the paper, {'more' if more else 'less'}"


def counted(readings: Sequence[Reading]) -> list[str]:
    """How many criteria are met, as a sentence; nothing where there are none."""
    counts: Counter[Reading] = Counter(found for found in readings if found is not Reading.NOTED)
    if not counts:
        return []
    parts = [
        f"{counts[reading]} {verb}"
        for reading, verb in (
            (Reading.PASS, "met"),
            (Reading.FAIL, "not met"),
            (Reading.CANT_TELL, "can't be told"),
        )
        if counts[reading]
    ]
    return [f"Of {words.plural(counts.total(), 'expectation')}: {', '.join(parts)}."]


@dataclass(frozen=True)
class Spread:
    """One measure over seeds.

    Attributes:
        values: Seed to value, seeds rising.
        interval: Mean and Student t interval; infinitely wide with one seed.
    """

    values: Mapping[int, float]
    interval: Interval

    @property
    def mean(self) -> float:
        """Mean over seeds."""
        return self.interval.mean

    @property
    def smallest(self) -> float:
        """Minimum over seeds."""
        return min(self.values.values())

    @property
    def largest(self) -> float:
        """Maximum over seeds."""
        return max(self.values.values())

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            **self.interval.to_dict(),
            "min": self.smallest,
            "max": self.largest,
            "by_seed": {str(seed): value for seed, value in self.values.items()},
        }
