"""How much is pruned at which level, and at which steps something is measured.

A schedule is a frozen dataclass. Of a `PruningSchedule`, `rate(level)` is the share of the
*surviving* weights that goes between level - 1 and level, the quantity that Frankle & Carbin (2019,
arXiv:1803.03635) write as p^(1/n); `sparsity(level)` is the share of all prunable weights that is
gone by then. A `StepSchedule` names steps.
"""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from dataclasses import dataclass


class PruningSchedule(ABC):
    """Level to pruning rate. Levels count from 1; level 0 is the dense network."""

    levels: int

    @abstractmethod
    def sparsity(self, level: int) -> float:
        """Share of all prunable weights that is pruned at `level`, in [0, 1)."""

    def rate(self, level: int) -> float:
        """Share of the surviving weights that is pruned on the way from `level` - 1 to `level`."""
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
        levels: How often to prune, at least 1.
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
    """All at once: level 1 has the final sparsity.

    Args:
        final_sparsity: In (0, 1).
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
    """Fast at first, then slower: s_l = s_f (1 - (1 - l/n)^power).

    Source: Zhu & Gupta (2017, arXiv:1710.01878), equation 1, with initial sparsity 0 and power 3,
    over levels in place of steps.

    Args:
        final_sparsity: s_f, in (0, 1).
        levels: n, at least 1.
        power: At least 1.
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
    """Which optimizer steps, counted from 0."""

    @abstractmethod
    def due(self, step: int) -> bool:
        """Whether `step` is one of them."""

    def first_due(self, steps: range) -> int | None:
        """The first of `steps` that is due, or None."""
        return next((step for step in steps if self.due(step)), None)


@dataclass(frozen=True)
class Every(StepSchedule):
    """Steps `start`, `start + interval`, `start + 2 interval`, ...

    Args:
        interval: At least 1.
        start: At least 0.
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
    """The steps that are named.

    Args:
        steps: At least one, none below 0.
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
    """Geometrically spaced steps to evaluate at beside those of every `interval` steps.

    They begin at a tenth of the interval and grow by the square root of 2 until they would lie
    further apart than the interval, so that early in training, too, it can be told which of two
    networks learns how many times as fast.

    Args:
        interval: Steps between the regular evaluations, at least 1.

    Returns:
        Steps, rising, none of them a multiple of `interval`.

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
