"""Outcomes of networks with a given accuracy and speed, for tests of comparisons and verdicts."""

from __future__ import annotations

from tfticket.lottery.comparison import Outcome
from tfticket.lottery.speed import LossCurve

LAST = 20_000


def falling_at(step, *, spacing=25):
    """A validation loss that falls at the first evaluation from `step` on, and then stays."""
    grid = tuple(range(spacing, LAST + 1, spacing))
    return LossCurve(grid, tuple(float(at < step) for at in grid))


def outcomes(accuracies, steps, at_end=None, *, spacing=25):
    """Seed to outcome; each network reaches its lowest loss, and stops early, at its step."""
    at_end = accuracies if at_end is None else at_end
    return {
        seed: Outcome(
            float(accuracy), float(end), float(step), (falling_at(step, spacing=spacing),)
        )
        for seed, (accuracy, end, step) in enumerate(zip(accuracies, at_end, steps, strict=True))
    }
