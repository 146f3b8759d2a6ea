"""Two networks compared seed by seed: differences, ratios and their intervals.

A seed's networks share their initial weights and the order of the data, so they are compared in
pairs, which takes the luck of a seed out of the comparison. Each measure gets a two-sided Student t
interval over the seeds. The interval speaks of seeds only: the test set is taken as given.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import special

from tfticket.errors import RunError


@dataclass(frozen=True, kw_only=True)
class Criteria:
    """What counts as equal, how sure to be, and how finely the measures are known.

    Attributes:
        margin: Loss of test accuracy that still counts as none, in [0, 1); 0.002 is 0.2 points.
        confidence: Coverage of every interval, in (0, 1).
        accuracy_resolution: Step of the accuracy scale, one over the size of the test set.
        step_resolution: Steps between two evaluations, hence between two possible early stops.

    The two resolutions keep a handful of seeds that agree to the last digit from passing as
    certainty: the spread over seeds is never taken below the spread that rounding alone gives.

    Raises:
        RunError: A value lies outside its range.
    """

    margin: float = 0.002
    confidence: float = 0.95
    accuracy_resolution: float = 0.0
    step_resolution: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.margin < 1:
            raise RunError(f"`margin` must lie in [0, 1). Received: margin={self.margin}.")
        if not 0 < self.confidence < 1:
            raise RunError(
                "`confidence` must lie strictly between 0 and 1; 0.95 is usual. "
                f"Received: confidence={self.confidence}."
            )
        if min(self.accuracy_resolution, self.step_resolution) < 0:
            raise RunError(
                "The resolutions can't be negative. Received: "
                f"accuracy_resolution={self.accuracy_resolution}, "
                f"step_resolution={self.step_resolution}."
            )


USUAL = Criteria()


@dataclass(frozen=True)
class Outcome:
    """What one training of one network came to.

    Attributes:
        accuracy: Test accuracy at the early-stop iteration, in [0, 1].
        accuracy_at_end: Test accuracy after the last step, in [0, 1].
        early_stop_step: Optimizer steps until the minimum of the validation loss. 0 (the loss never
            fell below its first value) counts as 1.
    """

    accuracy: float
    accuracy_at_end: float
    early_stop_step: float


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
    """

    mean: float
    lower: float
    upper: float
    spread: float
    seeds: int
    confidence: float

    def exp(self) -> Interval:
        """The interval of a ratio, from that of its logarithm."""
        return Interval(
            mean=math.exp(self.mean),
            lower=math.exp(self.lower),
            upper=math.exp(self.upper),
            spread=self.spread,
            seeds=self.seeds,
            confidence=self.confidence,
        )

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
        gain: Difference in test accuracy at the early-stop iteration, a' - a.
        gain_at_end: The same after the last step.
        speedup: Early-stop iteration of the second over that of the first, j / j'.
    """

    seeds: tuple[int, ...]
    gain: Interval
    gain_at_end: Interval
    speedup: Interval

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "seeds": list(self.seeds),
            "gain": self.gain.to_dict(),
            "gain_at_end": self.gain_at_end.to_dict(),
            "speedup": self.speedup.to_dict(),
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
    first: Mapping[int, Outcome],
    second: Mapping[int, Outcome],
    *,
    criteria: Criteria = USUAL,
) -> Comparison:
    """Compare two networks over the seeds that both were trained with.

    Args:
        first: Outcomes of the network in question, by seed.
        second: Outcomes of the one it is held against, by seed.
        criteria: Confidence and resolutions; the margin plays no part here.

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
    steps = np.maximum([[a.early_stop_step, b.early_stop_step] for a, b in pairs], 1.0)
    # The error of log j is that of j over j; here at the typical steps of each side.
    relative = criteria.step_resolution / math.sqrt(12) / np.exp(np.log(steps).mean(axis=0))
    level = criteria.confidence
    return Comparison(
        seeds=seeds,
        gain=t_interval(
            [a.accuracy - b.accuracy for a, b in pairs], confidence=level, floor=accuracy_floor
        ),
        gain_at_end=t_interval(
            [a.accuracy_at_end - b.accuracy_at_end for a, b in pairs],
            confidence=level,
            floor=accuracy_floor,
        ),
        speedup=t_interval(
            np.log(steps[:, 1] / steps[:, 0]).tolist(),
            confidence=level,
            floor=float(np.hypot(*relative)),
        ).exp(),
    )


def half_widths(spread: float, seeds: np.ndarray, *, confidence: float) -> np.ndarray:
    """Half the width of the t interval, for each number of seeds, shape `(n,)`, all above 1."""
    return special.stdtrit(seeds - 1, (1 + confidence) / 2) * spread / np.sqrt(seeds)
