"""Schedules of pruning rates by level, and of steps to measure at.

A schedule is a frozen dataclass. Of a `PruningSchedule`, `rate(level)` is the share of the
*surviving* weights that is pruned between level - 1 and level, which Frankle & Carbin (2019,
arXiv:1803.03635) write as p^(1/n); `sparsity(level)` is the share of all prunable weights that is
pruned by then. A `StepSchedule` is a set of steps.
"""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from dataclasses import dataclass

__all__ = [
    "At",
    "Every",
    "IterativePruning",
    "OneShot",
    "PolynomialDecay",
    "PruningSchedule",
    "StepSchedule",
    "early_steps",
]


class PruningSchedule(ABC):
    """Abstract base of schedules of pruning rates. Level 0 is the dense network.

    Attributes:
        levels: Number of prunings.

    Example:
        >>> schedule: PruningSchedule = IterativePruning(0.2, levels=3)
        >>> [round(schedule.sparsity(level), 3) for level in range(4)]
        [0.0, 0.2, 0.36, 0.488]
    """

    levels: int

    @abstractmethod
    def sparsity(self, level: int) -> float:
        """Return the share of all prunable weights that is pruned at `level`, in [0, 1)."""

    def rate(self, level: int) -> float:
        """Return the share of the survivors of `level` - 1 that is pruned at `level`."""
        self._check_level(level, first=1)
        before = 1.0 - self.sparsity(level - 1)
        return 1.0 - (1.0 - self.sparsity(level)) / before

    def _check_level(self, level: int, *, first: int = 0) -> int:
        if not first <= level <= self.levels:
            raise ValueError(
                f"`level` must be in [{first}, {self.levels}]. Received: level={level}"
            )
        return level


@dataclass(frozen=True)
class IterativePruning(PruningSchedule):
    """The same share of the surviving weights at each level: s_l = 1 - (1 - p)^l.

    Source: Frankle & Carbin (2019), section 2, "iterative pruning".

    Args:
        rate_per_level: p, in (0, 1).
        levels: Number of prunings, at least 1.

    Raises:
        ValueError: when an argument is out of range.

    Example:
        >>> IterativePruning(0.2, levels=3).rate(2)
        0.2
    """

    rate_per_level: float
    levels: int

    def __post_init__(self) -> None:
        _check_share("rate_per_level", self.rate_per_level)
        _check_levels(self.levels)

    def sparsity(self, level: int) -> float:
        """See `PruningSchedule`."""
        return 1.0 - (1.0 - self.rate_per_level) ** self._check_level(level)

    def rate(self, level: int) -> float:
        """See `PruningSchedule`."""
        self._check_level(level, first=1)
        return self.rate_per_level


@dataclass(frozen=True)
class OneShot(PruningSchedule):
    """One-shot pruning: level 1 has the final sparsity.

    Args:
        final_sparsity: Sparsity of level 1, in (0, 1).

    Raises:
        ValueError: when it is out of range.

    Example:
        >>> OneShot(0.9).sparsity(1)
        0.9
    """

    final_sparsity: float

    def __post_init__(self) -> None:
        _check_share("final_sparsity", self.final_sparsity)

    @property
    def levels(self) -> int:  # type: ignore[override]
        """Always 1."""
        return 1

    def sparsity(self, level: int) -> float:
        """See `PruningSchedule`."""
        return self.final_sparsity if self._check_level(level) else 0.0


@dataclass(frozen=True)
class PolynomialDecay(PruningSchedule):
    """Polynomial decay, fast at first: s_l = s_f (1 - (1 - l/n)^power).

    Source: Zhu & Gupta (2017, arXiv:1710.01878), equation 1, with initial sparsity 0 and power 3,
    over levels in place of steps.

    Args:
        final_sparsity: s_f, in (0, 1).
        levels: n, at least 1.
        power: Exponent, at least 1.

    Raises:
        ValueError: when an argument is out of range.

    Example:
        >>> schedule = PolynomialDecay(0.8, levels=4)
        >>> [round(schedule.sparsity(level), 3) for level in range(5)]
        [0.0, 0.463, 0.7, 0.788, 0.8]
    """

    final_sparsity: float
    levels: int
    power: float = 3.0

    def __post_init__(self) -> None:
        _check_share("final_sparsity", self.final_sparsity)
        _check_levels(self.levels)
        if self.power < 1:
            raise ValueError(f"`power` must be at least 1. Received: power={self.power}")

    def sparsity(self, level: int) -> float:
        """See `PruningSchedule`."""
        remaining = 1.0 - self._check_level(level) / self.levels
        return self.final_sparsity * (1.0 - float(remaining**self.power))


class StepSchedule(ABC):
    """Abstract base of sets of optimizer steps, counted from 0.

    Example:
        >>> schedule: StepSchedule = Every(100)
        >>> schedule.due(300)
        True
    """

    @abstractmethod
    def due(self, step: int) -> bool:
        """Tell whether `step` is one of them."""

    def first_due(self, steps: range) -> int | None:
        """Return the first of `steps` that is due, or None."""
        return next((step for step in steps if self.due(step)), None)


@dataclass(frozen=True)
class Every(StepSchedule):
    """Steps `start`, `start + interval`, `start + 2 interval`, ...

    Args:
        interval: Distance of two steps, at least 1.
        start: First step, at least 0.

    Raises:
        ValueError: when an argument is out of range.

    Example:
        >>> Every(100, start=50).first_due(range(60, 200))
        150
    """

    interval: int
    start: int = 0

    def __post_init__(self) -> None:
        if self.interval < 1 or self.start < 0:
            raise ValueError(
                "`interval` must be at least 1 and `start` at least 0. Received: "
                f"interval={self.interval}, start={self.start}"
            )

    def due(self, step: int) -> bool:
        """See `StepSchedule`."""
        return step >= self.start and (step - self.start) % self.interval == 0


@dataclass(frozen=True)
class At(StepSchedule):
    """The given steps.

    Args:
        steps: At least one step, none below 0.

    Raises:
        ValueError: when there is no step, or a negative one.

    Example:
        >>> At((0, 10)).due(10)
        True
    """

    steps: tuple[int, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "steps", tuple(self.steps))
        if not self.steps or min(self.steps) < 0:
            raise ValueError(
                f"`steps` must name one step or more, from 0 on. Received: steps={self.steps}"
            )

    def due(self, step: int) -> bool:
        """See `StepSchedule`."""
        return step in self.steps


def early_steps(interval: int) -> tuple[int, ...]:
    """Return geometrically spaced steps to evaluate at beside every `interval` steps.

    They begin at a tenth of the interval and grow by the square root of 2 until their distance
    would exceed the interval, so that the ratio of two networks' speeds can be measured early in
    training, too.

    Args:
        interval: Steps between the regular evaluations, at least 1.

    Returns:
        Increasing steps, none of them a multiple of `interval`.

    Example:
        >>> early_steps(100)
        (10, 14, 20, 28, 40, 57, 80, 113, 160, 226)
    """
    exact = (interval / 10 * 2 ** (n / 2) for n in itertools.count())
    near = itertools.takewhile(lambda step: step * (2**0.5 - 1) < interval, exact)
    rounded = sorted({max(1, round(step)) for step in near})
    return tuple(step for step in rounded if step % interval)


def _check_share(name: str, value: float) -> None:
    if not 0.0 < value < 1.0:
        raise ValueError(f"`{name}` must be in (0, 1), not in percent. Received: {name}={value}")


def _check_levels(levels: int) -> None:
    if levels < 1:
        raise ValueError(f"`levels` must be at least 1. Received: levels={levels}")
