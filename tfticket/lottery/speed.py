"""Speed of learning: steps to the lowest loss that two networks both reach.

The iteration of minimum validation loss, which Frankle & Carbin (2019, arXiv:1803.03635) report, is
where a flat and noisy curve happens to be lowest: at the end of a short training for every network,
and anywhere in a long one. It hides differences in speed. Time to a target (as MLPerf measures it)
doesn't, and a pair of networks defines the target:

    L    = max(min_t l(t), min_t l'(t))     the lowest validation loss that both networks reach
    s(L) = the first evaluated step with a validation loss of at most L

The ratio s(L) / s'(L) is the speed-up of the second network. Swapping the two networks gives the
reciprocal, both reach L by construction, and for two networks of one distribution the logarithm of
the ratio is symmetric about 0.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from tfticket.errors import RunError
from tfticket.wording import brief_repr


@dataclass(frozen=True)
class LossCurve:
    """Validation loss along one training.

    Attributes:
        steps: Optimizer steps of the evaluations, rising, at least one.
        losses: The validation loss at each of them; NaN and infinity count as not learned.

    Raises:
        RunError: when the two differ in length, are empty, or the steps don't rise.

    Example:
        >>> LossCurve((100, 200, 300), (0.9, 0.4, 0.5)).lowest
        0.4
    """

    steps: tuple[int, ...]
    losses: tuple[float, ...]

    __repr__ = brief_repr

    def __post_init__(self) -> None:
        rising = all(a < b for a, b in zip(self.steps, self.steps[1:], strict=False))
        if not self.steps or len(self.steps) != len(self.losses) or not rising:
            raise RunError(
                "A loss curve needs one loss for each of its steps, which rise. Received: steps="
                f"{self.steps}, losses={self.losses}."
            )

    @property
    def lowest(self) -> float:
        """Minimum of the finite losses; infinity when there is none."""
        return min((loss for loss in self.losses if math.isfinite(loss)), default=math.inf)

    def at(self, steps: Iterable[int]) -> LossCurve:
        """Return the curve at those of its steps that are among `steps`."""
        kept = set(steps)
        pairs = [pair for pair in zip(self.steps, self.losses, strict=True) if pair[0] in kept]
        return LossCurve(tuple(step for step, _ in pairs), tuple(loss for _, loss in pairs))

    def reached(self, loss: float) -> Reached:
        """When the validation loss first is at most `loss`; the last evaluation if it never is."""
        before = 0
        for step, value in zip(self.steps, self.losses, strict=True):
            if value <= loss or step == self.steps[-1]:
                return Reached(step, before)
            before = step
        raise AssertionError("a curve has a last step")


@dataclass(frozen=True)
class Reached:
    """When a loss was reached, as far as the evaluations can tell.

    Attributes:
        step: The first evaluated step at which it was.
        before: The evaluation before that one, at which it wasn't; 0 if there is none.
    """

    step: int
    before: int

    @property
    def uncertainty(self) -> float:
        """Standard deviation of log(step) from the spacing of evaluations alone.

        The true step lies between `before` and `step`; uniformly, as far as anybody knows.
        """
        return (self.step - self.before) / self.step / math.sqrt(12)


def steps_to_common_loss(first: LossCurve, second: LossCurve) -> tuple[Reached, Reached]:
    """When each of two networks reaches the lowest validation loss that both reach.

    Only steps at which both were evaluated count, so that neither has a finer ruler. A network
    whose loss is never finite hasn't learned: it counts as reaching the other's lowest loss at its
    last evaluation.

    Args:
        first: Of one network.
        second: Of the other.

    Returns:
        When the first reached it, and when the second did.

    Raises:
        RunError: when they have no evaluated step in common.

    Example:
        >>> dense = LossCurve((100, 200, 300, 400), (0.9, 0.7, 0.5, 0.4))
        >>> ticket = LossCurve((100, 200, 300, 400), (0.8, 0.4, 0.3, 0.35))
        >>> [reached.step for reached in steps_to_common_loss(dense, ticket)]
        [400, 200]
    """
    if first.steps != second.steps:
        common = set(first.steps) & set(second.steps)
        if not common:
            raise RunError(
                "Two networks are compared at steps at which both were evaluated. Received: steps "
                f"{_ends(first)} and {_ends(second)}, none of them in common."
            )
        first, second = first.at(common), second.at(common)
    lowest = [loss for loss in (first.lowest, second.lowest) if math.isfinite(loss)]
    loss = max(lowest, default=-math.inf)
    return first.reached(loss), second.reached(loss)


def _ends(curve: LossCurve) -> str:
    return f"{curve.steps[0]} to {curve.steps[-1]}"
