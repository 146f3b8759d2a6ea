"""The networks of a run, by branch and level, over the seeds that are finished."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tfticket.lottery.comparison import Outcome
from tfticket.lottery.metric import ACCURACY, Metric
from tfticket.lottery.speed import LossCurve
from tfticket.report.estimate import Estimate
from tfticket.report.reading import DENSE, Curve, Place

Results = Mapping[Place, Mapping[str, tuple[int, float]]]
"""Network to name to (step, value) of its results."""
Curves = Mapping[Place, Mapping[tuple[str, str], Curve]]
"""Network to (split, name) to the measure along training."""

_LOSS = ("validation", "loss")
_AT_EARLY_STOP, _AT_END = "{}_at_early_stop", "{}_at_end"
# A control may be drawn several times for one ticket: `reinit`, `reinit_2`, ...
_DRAW = re.compile(r"_\d+$")


@dataclass(frozen=True)
class _Network:
    """One finished network."""

    results: Mapping[str, tuple[int, float]]
    curve: LossCurve

    @classmethod
    def read(
        cls, results: Mapping[str, tuple[int, float]], curve: Curve | None, metric: str
    ) -> _Network | None:
        """None when it isn't finished."""
        needed = (_AT_EARLY_STOP.format(metric), _AT_END.format(metric), "density")
        if curve is None or not all(name in results for name in needed):
            return None
        steps, losses = curve.steps.astype(int).tolist(), curve.values.tolist()
        return cls(results, LossCurve(tuple(steps), tuple(losses)))


_BySeed = Mapping[int, list[_Network]]


@dataclass(frozen=True)
class LevelSummary:
    """The networks of one branch and level, over the seeds that are finished.

    Where a control was drawn several times for a ticket, a seed's value is the mean of its draws.

    Attributes:
        branch: `ticket`, or the name of a control.
        level: How often the network was pruned.
        density: Mean share of prunable weights that are left, in (0, 1].
        remaining: Mean number of them.
        prunable: Number of prunable weights of the dense network.
        value: Metric on the test data at the early-stop iteration; an accuracy lies in [0, 1].
        value_at_end: The same after the last step.
        early_stop_step: Optimizer steps until the minimum of the validation loss.
        curves: Validation loss along training, of each draw of each seed.
        seconds: Time that the level took, over all seeds.
        networks: How many were trained.
        still_falling: How many of them had the minimum of the validation loss at their last
            evaluation, so that the early-stop iteration is where training ended.
    """

    branch: str
    level: int
    density: float
    remaining: float
    prunable: int
    value: Estimate
    value_at_end: Estimate
    early_stop_step: Estimate
    curves: Mapping[int, tuple[LossCurve, ...]]
    seconds: float
    networks: int
    still_falling: int

    @property
    def outcomes(self) -> dict[int, Outcome]:
        """Seed to outcome, for comparisons."""
        return {
            seed: Outcome(
                self.value.values[seed],
                self.value_at_end.values[seed],
                self.early_stop_step.values[seed],
                self.curves[seed],
            )
            for seed in self.value.values
        }

    def to_dict(self, metric: Metric = ACCURACY) -> dict[str, Any]:
        """Plain values for JSON, where values have the name of the metric."""
        names = {"value": metric.key, "value_at_end": _AT_END.format(metric.key)}
        own = {key: value for key, value in vars(self).items() if key != "curves"}
        return {
            names.get(key, key): value.to_dict() if isinstance(value, Estimate) else value
            for key, value in own.items()
        }


def read_levels(
    results: Results, curves: Curves, *, confidence: float, metric: str = "accuracy"
) -> list[LevelSummary]:
    """All branches and levels with a finished network: `ticket` first, then controls by name.

    Args:
        results: Of each network.
        curves: Of each network.
        confidence: Coverage of the intervals, in (0, 1).
        metric: Name of the metric.
    """
    groups: dict[tuple[str, int], dict[int, list[_Network]]] = defaultdict(
        lambda: defaultdict(list)
    )
    for place in sorted(results):
        seed, branch, level = place
        network = _Network.read(results[place], curves.get(place, {}).get(_LOSS), metric)
        if network is not None:
            groups[_DRAW.sub("", branch), level][seed].append(network)
    order = sorted(groups, key=lambda group: (group[0] != DENSE[0], group))
    return [_level(*group, groups[group], confidence, metric) for group in order]


def _level(
    branch: str, level: int, by_seed: _BySeed, confidence: float, metric: str
) -> LevelSummary:
    at_early_stop, at_end = _AT_EARLY_STOP.format(metric), _AT_END.format(metric)

    def mean_of_draws(name: str, place: int = 1) -> dict[int, float]:
        return {
            seed: math.fsum(draw.results.get(name, (0, 0.0))[place] for draw in draws) / len(draws)
            for seed, draws in by_seed.items()
        }

    def estimate(name: str, place: int = 1) -> Estimate:
        return Estimate.of(mean_of_draws(name, place), confidence)

    def mean(name: str) -> float:
        return math.fsum(mean_of_draws(name).values()) / len(by_seed)

    draws = [draw.results for draws in by_seed.values() for draw in draws]
    return LevelSummary(
        branch=branch,
        level=level,
        density=mean("density"),
        remaining=mean("remaining"),
        prunable=round(mean("prunable")),
        value=estimate(at_early_stop),
        value_at_end=estimate(at_end),
        early_stop_step=estimate(at_early_stop, 0),
        curves={seed: tuple(draw.curve for draw in draws) for seed, draws in by_seed.items()},
        seconds=math.fsum(draw.get("seconds", (0, 0.0))[1] for draw in draws),
        networks=len(draws),
        still_falling=sum(draw[at_early_stop][0] >= draw[at_end][0] for draw in draws),
    )
