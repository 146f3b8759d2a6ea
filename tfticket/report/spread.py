"""One measure over the seeds of a run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tfticket.lottery.comparison import Interval


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
