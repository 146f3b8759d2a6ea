"""Two networks compared seed by seed: differences, ratios and their intervals.

A seed's networks share their initial weights and the order of the data, so they are compared in
pairs, which takes the luck of a seed out of the comparison. Each measure gets a two-sided Student t
interval over the seeds. The interval speaks of seeds only: the test set is taken as given.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from scipy import special

from tfticket.errors import RunError
from tfticket.lottery.metric import ACCURACY, Metric
from tfticket.lottery.speed import LossCurve, steps_to_common_loss
from tfticket.wording import brief_repr, check_name


@dataclass(frozen=True, kw_only=True)
class Criteria:
    """Metric, margins, confidence and number of looks of a comparison.

    Attributes:
        margin: Loss of the metric that still counts as none, at least 0, in the unit of the metric:
            for an accuracy in [0, 1), where 0.002 is 0.2 points.
        time_margin: How much later still counts as not later, at least 0; 0.1 is 10 % more steps.
        confidence: Coverage of every interval at the first look at the data, in (0, 1).
        looks: How often the verdict has been read, this time included, each time with more seeds.
            Adding seeds because a verdict is open is another chance of an error, so each further
            look spends half of the error that is left: see `interval_confidence`.
        accuracy_resolution: Step of the scale of an accuracy, one over the size of the test set; 0
            for other metrics. The spread over seeds is never taken below the one that rounding
            alone gives, so that a few seeds with equal accuracies don't pass as certainty. The
            spacing of evaluations does the same for steps.
        metric: What networks are compared by, with its direction.
        margin_is: `absolute`, or `relative`: the margin is a share, in [0, 1), of the mean over the
            dense networks, which is taken as given.

    Raises:
        RunError: A value lies outside its range.

    Example:
        >>> Criteria().interval_confidence, Criteria(looks=2).interval_confidence
        (0.95, 0.975)
        >>> error = Metric.of("mean_squared_error")
        >>> by_error = Criteria(margin=0.05, metric=error, margin_is="relative")
        >>> dense = {0: Outcome(0.5, 0.5, 300, ())}
        >>> by_error.against(dense).margin
        0.025
    """

    margin: float = 0.002
    time_margin: float = 0.1
    confidence: float = 0.95
    looks: int = 1
    accuracy_resolution: float = 0.0
    metric: Metric = ACCURACY
    margin_is: Literal["absolute", "relative"] = "absolute"

    def __post_init__(self) -> None:
        check_name("margin_is", self.margin_is, ("absolute", "relative"))
        share = self.metric.is_share or self.margin_is == "relative"
        if not 0 <= self.margin < (1 if share else math.inf):
            rule = "lie in [0, 1)" if share else f"be a {self.metric.label} of at least 0"
            raise RunError(f"`margin` must {rule}. Received: margin={self.margin}.")
        if not 0 < self.confidence < 1:
            raise RunError(
                "`confidence` must lie strictly between 0 and 1; 0.95 is usual. "
                f"Received: confidence={self.confidence}."
            )
        if self.looks < 1:
            raise RunError(f"`looks` must be at least 1. Received: looks={self.looks}.")
        if min(self.accuracy_resolution, self.time_margin) < 0:
            raise RunError(
                "`time_margin` and `accuracy_resolution` must be at least 0. Received: "
                f"time_margin={self.time_margin}, accuracy_resolution={self.accuracy_resolution}."
            )

    @property
    def interval_confidence(self) -> float:
        """Coverage of the intervals at this look, in (0, 1)."""
        return 1 - 2 * self.alpha

    @property
    def alpha(self) -> float:
        """One-sided error of each test at this look; over all looks it sums to 1 - confidence."""
        return (1 - self.confidence) / float(2**self.looks)

    def against(self, dense: Mapping[int, Outcome]) -> Criteria:
        """Return the same criteria with an absolute margin.

        Args:
            dense: Outcomes of the dense networks, by seed.
        """
        if self.margin_is == "absolute" or not dense:
            return self
        mean = math.fsum(outcome.value for outcome in dense.values()) / len(dense)
        return replace(self, margin=self.margin * abs(mean), margin_is="absolute")

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; the metric is left out where it is the accuracy."""
        found = dict(vars(self), interval_confidence=self.interval_confidence)
        metric, margin_is = found.pop("metric"), found.pop("margin_is")
        if metric != ACCURACY:
            found |= {"metric": metric.name, "direction": metric.direction}
        return found if margin_is == "absolute" else found | {"margin_is": margin_is}


USUAL = Criteria()


@dataclass(frozen=True)
class Outcome:
    """The result of one trained network.

    Attributes:
        value: Metric on the test data at the early-stop iteration; an accuracy lies in [0, 1].
        value_at_end: The same after the last step.
        early_stop_step: Optimizer steps until the minimum of the validation loss. 0 (the loss never
            fell below its first value) counts as 1.
        curves: Validation loss along training; one curve, or several where the outcome is the mean
            of several networks (a control that was drawn more than once).
    """

    value: float
    value_at_end: float
    early_stop_step: float
    curves: tuple[LossCurve, ...]

    __repr__ = brief_repr


@dataclass(frozen=True)
class Interval:
    """A mean over seeds and its two-sided Student t interval.

    Attributes:
        mean: Mean over seeds; for a speed-up the geometric mean.
        lower: Lower bound; -inf (0 for a speed-up) with a single seed.
        upper: Upper bound; +inf with a single seed.
        spread: Standard deviation over seeds; for a speed-up that of its natural logarithm; nan
            with a single seed.
        seeds: Number of seeds.
        confidence: Coverage, in (0, 1).
        ratio: Whether it is of a ratio and was computed on the logarithm, as that of a speed-up.
    """

    mean: float
    lower: float
    upper: float
    spread: float
    seeds: int
    confidence: float
    ratio: bool = False

    @property
    def ends(self) -> tuple[float, float]:
        """Finite bounds: `lower` and `upper`, or twice the mean of a single seed."""
        return (self.lower, self.upper) if self.seeds > 1 else (self.mean, self.mean)

    def exp(self) -> Interval:
        """Return the interval of a ratio, from that of its logarithm."""
        return Interval(
            mean=math.exp(self.mean),
            lower=math.exp(self.lower),
            upper=math.exp(self.upper),
            spread=self.spread,
            seeds=self.seeds,
            confidence=self.confidence,
            ratio=True,
        )

    def reverse(self) -> Interval:
        """Return the interval of the opposite difference, or of the reciprocal ratio."""
        if self.ratio:
            mean, lower = 1 / self.mean, 1 / self.upper
            upper = 1 / self.lower if self.lower else math.inf
        else:
            mean, lower, upper = -self.mean, -self.upper, -self.lower
        return replace(self, mean=mean, lower=lower, upper=upper)

    def at(self, confidence: float) -> Interval:
        """Return the interval of the same seeds at another confidence, in (0, 1).

        Example:
            >>> interval = t_interval([0.1, 0.2, 0.4])
            >>> interval.at(0.99).lower < interval.lower < interval.at(0.9).lower
            True
        """
        if self.seeds < 2:
            return replace(self, confidence=confidence)
        mean = math.log(self.mean) if self.ratio else self.mean
        half = float(half_widths(self.spread, np.array([self.seeds]), confidence=confidence)[0])
        plain = Interval(mean, mean - half, mean + half, self.spread, self.seeds, confidence)
        return plain.exp() if self.ratio else plain

    def p_value(self, bound: float) -> float:
        """One-sided p-value of the hypothesis that the true mean is at most `bound`.

        Returns:
            In [0, 1]; 1 with a single seed, which can't reject anything.

        Example:
            >>> interval = t_interval([0.1, 0.2, 0.4])
            >>> round(interval.p_value(interval.lower), 3)  # by the meaning of a 95 % interval
            0.025
        """
        if self.seeds < 2:
            return 1.0
        distance = math.log(self.mean / bound) if self.ratio else self.mean - bound
        if self.spread == 0:
            return 0.0 if distance > 0 else 1.0
        t = distance / self.spread * math.sqrt(self.seeds)
        return float(special.stdtr(self.seeds - 1, -t))

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; a bound or spread that a single seed can't give is None."""

        def finite(value: float) -> float | None:
            return value if math.isfinite(value) else None

        known = self.seeds > 1
        return {
            "mean": finite(self.mean),
            "lower": finite(self.lower) if known else None,
            "upper": finite(self.upper) if known else None,
            "spread": finite(self.spread),
            "seeds": self.seeds,
            "confidence": self.confidence,
        }


@dataclass(frozen=True)
class Comparison:
    """One network against another over their common seeds; positive and above 1 favor the first.

    Attributes:
        seeds: The common seeds, sorted.
        gain: Difference in the metric on test data at the early-stop iteration, a' - a where higher
            is better and a - a' where lower is.
        gain_at_end: The same after the last step.
        speedup: Steps of the second over steps of the first, to the lowest validation loss that
            both reach, s(L) / s'(L); see `tfticket.lottery.speed`.
        early_stop_speedup: Early-stop iteration of the second over that of the first, j / j'.
    """

    seeds: tuple[int, ...]
    gain: Interval
    gain_at_end: Interval
    speedup: Interval
    early_stop_speedup: Interval

    __repr__ = brief_repr

    def reverse(self) -> Comparison:
        """Return the comparison of the second network with the first."""
        return Comparison(
            self.seeds,
            self.gain.reverse(),
            self.gain_at_end.reverse(),
            self.speedup.reverse(),
            self.early_stop_speedup.reverse(),
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "seeds": list(self.seeds),
            "gain": self.gain.to_dict(),
            "gain_at_end": self.gain_at_end.to_dict(),
            "speedup": self.speedup.to_dict(),
            "early_stop_speedup": self.early_stop_speedup.to_dict(),
        }


def t_interval(
    values: Sequence[float], *, confidence: float = 0.95, floor: float = 0.0
) -> Interval:
    """Student's t interval of the mean of independent values.

    Args:
        values: One value a seed, shape `(seeds,)`, at least one.
        confidence: Coverage, in (0, 1).
        floor: Smallest standard deviation to believe in.

    Returns:
        The interval; infinitely wide for a single value.

    Raises:
        RunError: There is no value, or one is not finite.
    """
    array = np.asarray(values, dtype=float)
    if array.ndim != 1 or array.size == 0 or not np.isfinite(array).all():
        raise RunError(f"An interval needs one finite number a seed. Received: {values!r}.")
    mean, n = float(array.mean()), array.size
    if n == 1:
        return Interval(mean, -math.inf, math.inf, math.nan, 1, confidence)
    spread = max(float(array.std(ddof=1)), floor)
    half = float(half_widths(spread, np.array([n]), confidence=confidence)[0])
    return Interval(mean, mean - half, mean + half, spread, n, confidence)


def compare(
    first: Mapping[int, Outcome], second: Mapping[int, Outcome], *, criteria: Criteria = USUAL
) -> Comparison:
    """Compare two networks over the seeds that both were trained with.

    Args:
        first: Outcomes of the network in question, by seed.
        second: Outcomes of the one it is held against, by seed.
        criteria: Metric, confidence and resolutions; the margin plays no part here.

    Returns:
        Paired intervals over the common seeds.

    Raises:
        RunError: There is no common seed.
    """
    seeds = tuple(sorted(set(first) & set(second)))
    if not seeds:
        raise RunError(
            "Two networks are compared seed by seed, so they need a seed in common. "
            f"Received: seeds {sorted(first)} and {sorted(second)}."
        )
    pairs = [(first[seed], second[seed]) for seed in seeds]
    # Two numbers rounded to a grid of step q differ by an error of variance 2 q^2 / 12.
    accuracy_floor = criteria.accuracy_resolution / math.sqrt(6)
    sign = criteria.metric.sign
    speeds = [_log_speedup(a, b) for a, b in pairs]
    floor = math.sqrt(math.fsum(error**2 for _, error in speeds) / len(speeds))
    confidence = criteria.interval_confidence
    return Comparison(
        seeds=seeds,
        gain=t_interval(
            [sign * (a.value - b.value) for a, b in pairs],
            confidence=confidence,
            floor=accuracy_floor,
        ),
        gain_at_end=t_interval(
            [sign * (a.value_at_end - b.value_at_end) for a, b in pairs],
            confidence=confidence,
            floor=accuracy_floor,
        ),
        speedup=t_interval(
            [speed for speed, _ in speeds], confidence=confidence, floor=floor
        ).exp(),
        early_stop_speedup=t_interval(
            [math.log(max(b.early_stop_step, 1.0) / max(a.early_stop_step, 1.0)) for a, b in pairs],
            confidence=confidence,
        ).exp(),
    )


def _log_speedup(first: Outcome, second: Outcome) -> tuple[float, float]:
    """log(s_second / s_first), the mean over their networks, and its error from the spacing."""
    reached = [steps_to_common_loss(a, b) for a in first.curves for b in second.curves]
    logs = [math.log(b.step / a.step) for a, b in reached]
    variances = [a.uncertainty**2 + b.uncertainty**2 for a, b in reached]
    return math.fsum(logs) / len(logs), math.sqrt(math.fsum(variances) / len(variances))


def half_widths(spread: float, seeds: np.ndarray, *, confidence: float) -> np.ndarray:
    """Half the width of the t interval, for each number of seeds, shape `(n,)`, all above 1."""
    quantiles = special.stdtrit(seeds - 1, (1 + confidence) / 2)
    widths: np.ndarray = quantiles * spread / np.sqrt(seeds)
    return widths
