"""Which file to ship: the Pareto front of a comparison, and one of it with the reason."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tfticket.errors import ExportError
from tfticket.export.comparison import Attempt, Comparison
from tfticket.export.targets import Objective

Cost = Callable[[Attempt], float]


@dataclass(frozen=True, eq=False)
class Choice:
    """The file to ship.

    Attributes:
        attempt: It.
        reason: Why, in words.
    """

    attempt: Attempt
    reason: str


def cost_bytes(attempt: Attempt) -> float:
    """Bytes of the file as it is."""
    return float("inf") if attempt.draft is None else attempt.draft.report.size_bytes


def cost_wire(attempt: Attempt) -> float:
    """Bytes after gzip."""
    return float("inf") if attempt.draft is None else attempt.draft.report.gzip_bytes


def cost_time(attempt: Attempt) -> float:
    """Time relative to the baseline, in one run."""
    return float("inf") if attempt.latency is None else 1.0 / attempt.latency.speedup


def _cost_both(attempt: Attempt) -> float:
    return cost_bytes(attempt) * cost_time(attempt)


_COSTS: dict[Objective, Cost] = {"bytes": cost_bytes, "time": cost_time, "both": _cost_both}


def pareto_front(attempts: Sequence[Attempt], cost: Cost) -> list[Attempt]:
    """Those that no other beats: nobody is as accurate at less cost, or more accurate at as much.

    Args:
        attempts: With files and accuracies.
        cost: What is to be small.

    Returns:
        By rising cost; of equals the first.
    """
    front: list[Attempt] = []
    known = [attempt for attempt in attempts if attempt.accuracy is not None]
    for attempt in sorted(known, key=lambda a: (cost(a), -(a.accuracy or 0.0))):
        if not front or (attempt.accuracy or 0.0) > (front[-1].accuracy or 0.0):
            front.append(attempt)
    return front


def choose(comparison: Comparison, *, objective: Objective, margin: float) -> Choice:
    """The best file among those that are accurate enough.

    Accurate enough is what loses at most `margin` against the baseline, on the data that files were
    checked on, never on test data. Without labels, every file that passed its checks is.

    Args:
        comparison: The attempts.
        objective: What is to be small.
        margin: Accuracy that may be lost, in [0, 1).

    Raises:
        ExportError: when no file passed, with each reason.
    """
    needed = None
    if comparison.baseline.accuracy is not None:
        needed = comparison.baseline.accuracy - margin
    enough = [
        attempt
        for attempt in comparison.passed
        if needed is None or (attempt.accuracy is not None and attempt.accuracy >= needed)
    ]
    tried = [attempt for attempt in enough if attempt is not comparison.baseline]
    if not tried:
        raise ExportError(_none_passed(comparison, needed))
    best = min(tried, key=_COSTS[objective])
    return Choice(best, _reason(best, comparison, objective, margin, len(tried)))


def _none_passed(comparison: Comparison, needed: float | None) -> str:
    reasons = []
    for attempt in comparison.attempts[1:]:
        if attempt.failure is not None:
            reasons.append(attempt.failure)
        elif attempt.accuracy is not None and needed is not None:
            reasons.append(f"{attempt.name} has an accuracy of {attempt.accuracy:.2%}.")
    demand = "" if needed is None else f" and reach an accuracy of {needed:.2%}"
    return f"A file must pass its checks{demand}. None did: {' '.join(reasons)}"


def _reason(
    best: Attempt, comparison: Comparison, objective: Objective, margin: float, tried: int
) -> str:
    baseline = comparison.baseline
    what = {
        "bytes": "the fewest bytes",
        "time": "the shortest time",
        "both": "the smallest product of bytes and time",
    }[objective]
    smaller = cost_bytes(baseline) / cost_bytes(best)
    speedup = 0.0 if best.latency is None else best.latency.speedup
    passed = f"{what[0].upper()}{what[1:]} of {tried} files that passed"
    if baseline.accuracy is not None and best.accuracy is not None:
        lost = 100 * (best.accuracy - baseline.accuracy)
        passed += f" and lose at most {100 * margin:g} points of accuracy ({lost:+.2f} here)"
    return (
        f"{passed}: {smaller:.1f} times smaller and {speedup:.1f} times as fast as "
        f"{baseline.name}, measured on {comparison.host}."
    )
