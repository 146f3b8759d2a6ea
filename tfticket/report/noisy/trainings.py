"""Each method over seeds, and against cross-entropy that met the same labels.

The accuracy of a training is that on the clean test data, the mean of both networks and of the last
evaluations. Its best value along training is nowhere, since the test data would have chosen it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tfticket.lottery.comparison import Interval, t_interval
from tfticket.report.noisy.cells import Cell, Study
from tfticket.report.spread import Spread

CONFIDENCE = 0.95
ACCURACY = "accuracy_last"


@dataclass(frozen=True)
class Training:
    """One method under one noise, over seeds.

    Attributes:
        cell: What it is.
        measures: Name to spread over seeds, of its end.
        gain: Accuracy minus that of cross-entropy under the same noise, paired by seed; None
            without a common seed, and for cross-entropy.
    """

    cell: Cell
    measures: Mapping[str, Spread]
    gain: Interval | None

    def values(self, name: str) -> Mapping[int, float]:
        """Seed to value; empty for what wasn't measured."""
        return self.measures[name].values if name in self.measures else {}

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "branch": self.cell.branch,
            "noise": self.cell.noise,
            "method": self.cell.method,
            "kind": self.cell.method_kind,
            "gain": None if self.gain is None else self.gain.to_dict(),
            "measures": {name: found.to_dict() for name, found in self.measures.items()},
        }


def summarize_trainings(study: Study) -> tuple[Training, ...]:
    """Those with a finished seed, in the order of the recipe."""
    baselines = {
        cell.noise: study.measures(cell.branch).get(ACCURACY, {})
        for cell in reversed(study.cells)
        if cell.is_baseline
    }
    found = ((cell, study.measures(cell.branch)) for cell in study.cells)
    return tuple(
        Training(
            cell=cell,
            measures={
                name: Spread(values, interval(list(values.values())))
                for name, values in measures.items()
            },
            gain=None
            if cell.is_baseline
            else difference(measures.get(ACCURACY, {}), baselines.get(cell.noise, {})),
        )
        for cell, measures in found
        if measures
    )


def difference(own: Mapping[int, float], other: Mapping[int, float]) -> Interval | None:
    """The first minus the second, paired by seed; None without a common seed."""
    common = sorted(own.keys() & other.keys())
    return interval([own[seed] - other[seed] for seed in common]) if common else None


def interval(values: Sequence[float]) -> Interval:
    """Student's t over seeds, at the confidence of the page."""
    return t_interval(values, confidence=CONFIDENCE)
