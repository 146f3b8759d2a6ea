"""A number over seeds: its mean, its interval, and how both were computed."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from tfticket.lottery.comparison import Interval, t_interval
from tfticket.wording import brief_repr

CONFIDENCE = 0.95
"""Coverage of the intervals of a study, unless its recipe says otherwise."""

MEAN = "mean over seeds"
DIFFERENCE = "mean of differences, paired by seed"
RATIO = "geometric mean of ratios, paired by seed"
EXTREMES = "mean, lowest and highest seed"
POINT = "read off means over seeds, without an interval"


@dataclass(frozen=True)
class Estimate(Interval):
    """An interval that knows the seeds it was computed from.

    Attributes:
        values: Seed to value, seeds rising; empty where they aren't known.
        how: `MEAN`, `DIFFERENCE` or `RATIO`, each with Student's t interval; `EXTREMES`, whose
            bounds are the lowest and highest value; `POINT`, whose bounds are the mean.

    Example:
        >>> estimate = Estimate.of({0: 0.81, 1: 0.83})
        >>> round(estimate.mean, 3), estimate.includes(0.8), estimate.includes(0.5)
        (0.82, True, False)
    """

    values: Mapping[int, float] = field(default_factory=dict)
    how: str = MEAN

    __repr__ = brief_repr

    @classmethod
    def of(cls, values: Mapping[int, float], confidence: float = CONFIDENCE) -> Estimate:
        """Estimate the mean.

        Raises:
            RunError: There is no value, or one is not finite.
        """
        interval = t_interval(list(values.values()), confidence=confidence)
        return cls(**vars(interval), values=values)

    @classmethod
    def of_difference(cls, own: Mapping[int, float], other: Mapping[int, float]) -> Estimate | None:
        """Estimate `own - other` over the common seeds; None without one."""
        values = {seed: own[seed] - other[seed] for seed in sorted(own.keys() & other.keys())}
        if not values:
            return None
        return cls(**vars(t_interval(list(values.values()))), values=values, how=DIFFERENCE)

    @classmethod
    def of_ratio(cls, own: Mapping[int, float], other: Mapping[int, float]) -> Estimate | None:
        """Estimate `own / other` over the common seeds in which both are above 0; else None."""
        values = {
            seed: own[seed] / other[seed]
            for seed in sorted(own.keys() & other.keys())
            if own[seed] > 0 and other[seed] > 0
        }
        if not values:
            return None
        logs = [math.log(value) for value in values.values()]
        return cls(**vars(t_interval(logs).exp()), values=values, how=RATIO)

    @classmethod
    def of_extremes(cls, values: Mapping[int, float]) -> Estimate:
        """Take the mean, and the lowest and highest value for bounds."""
        found = list(values.values())
        bounds = {**vars(t_interval(found)), "lower": min(found), "upper": max(found)}
        return cls(**bounds, values=values, how=EXTREMES)

    @classmethod
    def of_comparison(cls, interval: Interval) -> Estimate:
        """Take one interval of a `lottery.Comparison`, which keeps no values of its seeds."""
        return cls(**vars(interval), how=RATIO if interval.ratio else DIFFERENCE)

    @classmethod
    def of_point(cls, value: float, seeds: int) -> Estimate:
        """Take a number that was read off the means of so many seeds."""
        return cls(value, value, value, math.nan, seeds, CONFIDENCE, how=POINT)

    @property
    def smallest(self) -> float:
        """Lowest value of a seed."""
        return min(self.values.values())

    @property
    def largest(self) -> float:
        """Highest value of a seed."""
        return max(self.values.values())

    def reverse(self) -> Estimate:
        """The estimate of the difference, or ratio, the other way round."""
        values = {s: 1 / value if self.ratio else -value for s, value in self.values.items()}
        return replace(self, **(vars(super().reverse()) | {"values": values}))

    def includes(self, value: float) -> bool:
        """Return whether the interval of several seeds has `value`: no significant difference."""
        return self.seeds > 1 and self.lower <= value <= self.upper

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        by_seed = {str(seed): value for seed, value in self.values.items()}
        own = {"min": self.smallest, "max": self.largest, "by_seed": by_seed} if by_seed else {}
        return {**super().to_dict(), **own, "how": self.how}


def estimates(results: Mapping[int, Mapping[str, float]]) -> dict[str, Estimate]:
    """Estimate each measure over the seeds that have it, from seed to measure to value."""
    values: dict[str, dict[int, float]] = {}
    for seed, measures in results.items():
        for name, value in measures.items():
            values.setdefault(name, {})[seed] = value
    return {name: Estimate.of(of_seeds) for name, of_seeds in values.items()}
