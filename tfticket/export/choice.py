"""The file to ship: targets, the Pareto front of a comparison, and the best file on it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from tfticket.display.words import plural
from tfticket.errors import ExportError
from tfticket.export.comparison import Attempt, Comparison
from tfticket.export.result import Format
from tfticket.export.verification import Verification

TargetName = Literal["phone", "micro", "smallest", "fastest"]
TARGETS: tuple[TargetName, ...] = get_args(TargetName)
Objective = Literal["both", "bytes", "time"]
Cost = Callable[[Attempt], float]


@dataclass(frozen=True)
class Target:
    """A use of a file.

    Attributes:
        formats: What is tried.
        on_request: What is tried only where it is asked for.
        objective: What decides among those that are accurate enough: `bytes` of the file,
            `time` of an inference, or `both`, the product of the two.
    """

    formats: tuple[Format, ...]
    objective: Objective
    on_request: tuple[Format, ...] = ("int16x8",)


SPECS: Mapping[str, Target] = {
    # LiteRT on ARM or x86.
    "phone": Target(("fp32", "fp16", "dynamic", "int8", "sparse_fc", "sparse_fc_fast"), "both"),
    # TensorFlow Lite Micro: int8 in and out, only operators it has, and a C array.
    "micro": Target(("int8",), "bytes"),
    # The fewest bytes in flash.
    "smallest": Target(("fp32", "fp16", "dynamic", "int8", "int4", "sparse_fc"), "bytes"),
    # The shortest time of an inference on this machine.
    "fastest": Target(("fp32", "fp16", "dynamic", "int8", "sparse_fc", "sparse_fc_fast"), "time"),
}


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
    """Return the bytes of the file as it is."""
    return math.inf if attempt.draft is None else attempt.draft.report.size_bytes


def cost_wire(attempt: Attempt) -> float:
    """Return the bytes after gzip."""
    return math.inf if attempt.draft is None else attempt.draft.report.gzip_bytes


def cost_time(attempt: Attempt) -> float:
    """Return the time relative to the baseline, in one run."""
    return math.inf if attempt.latency is None else 1.0 / attempt.latency.speedup


_COSTS: Mapping[Objective, tuple[Cost, str]] = {
    "bytes": (cost_bytes, "The fewest bytes"),
    "time": (cost_time, "The shortest time"),
    "both": (
        lambda attempt: cost_bytes(attempt) * cost_time(attempt),
        "The smallest product of bytes and time",
    ),
}


def pareto_front(attempts: Sequence[Attempt], cost: Cost) -> list[Attempt]:
    """Return the attempts that no other beats: as accurate at less cost, or more at as much.

    Args:
        attempts: With files and scores.
        cost: What is to be small.

    Returns:
        By rising cost; of equals the first.
    """
    front: list[Attempt] = []
    known = [attempt for attempt in attempts if attempt.score is not None]
    for attempt in sorted(known, key=lambda a: (cost(a), -(a.score or 0.0))):
        if not front or (attempt.score or 0.0) > (front[-1].score or 0.0):
            front.append(attempt)
    return front


def choose(comparison: Comparison, *, objective: Objective, margin: float) -> Choice:
    """Choose the best file among those that are accurate enough.

    Accurate enough is what loses at most `margin` against the baseline, on the data that files were
    checked on, never on test data: of the accuracy, or of the share of variance that is explained
    where labels are numbers; at each output that has labels. Without labels, every file that passed
    its checks is.

    Args:
        comparison: The attempts.
        objective: What is to be small.
        margin: Accuracy that may be lost, in [0, 1).

    Raises:
        ExportError: when no file passed, with each reason.
    """
    needed = None
    if comparison.baseline.score is not None:
        needed = comparison.baseline.score - margin
    tried = [
        attempt
        for attempt in comparison.passed
        if attempt is not comparison.baseline
        and all(
            own >= other - margin
            for own, other in zip(attempt.scores, comparison.baseline.scores, strict=True)
        )
    ]
    if not tried:
        raise ExportError(_none_passed(comparison, needed))
    cost, praise = _COSTS[objective]
    best = min(tried, key=cost)
    passed = plural(len(tried), "file")
    return Choice(best, f"{praise} of {passed} that {_reason(best, comparison, margin)}")


def _none_passed(comparison: Comparison, needed: float | None) -> str:
    reasons = []
    for attempt in comparison.attempts[1:]:
        if attempt.failure is not None:
            reasons.append(attempt.failure)
        elif attempt.score is not None and needed is not None:
            reasons.append(f"{attempt.name} has {_scored(attempt)} of {attempt.score:.2%}.")
    demand = ""
    if needed is not None:
        demand = f" and reach {_scored(comparison.baseline)} of {needed:.2%}"
    return f"A file must pass its checks{demand}. None did: {' '.join(reasons)}"


def _reason(best: Attempt, comparison: Comparison, margin: float) -> str:
    baseline = comparison.baseline
    passed = "passed"
    if baseline.score is not None and best.score is not None:
        score = _scored(best).partition(" ")[2]
        change = 100 * (best.score - baseline.score)
        passed += f" with at most {100 * margin:g} points of {score} lost (change: {change:+.2f})"
    ratio = cost_bytes(baseline) / cost_bytes(best)
    size = f"{ratio:.1f} times smaller" if ratio > 0.95 else f"{1 / ratio:.1f} times larger"
    speedup = 0.0 if best.latency is None else best.latency.speedup
    reason = (
        f"{passed}: {size} and {speedup:.1f} times as fast as {baseline.name}, measured on "
        f"{comparison.host}."
    )
    seen = None if best.draft is None else best.draft.report.verification
    if seen is not None and seen.outputs and seen.scores:
        each = (f"{name} {score:.2%}" for name, score in _by_output(seen))
        reason += f" Scores by output: {', '.join(each)}, on {seen.count:,} examples."
    elif seen is not None and seen.accuracy is not None:
        reason += f" Its accuracy is {seen.accuracy:.2%} on {seen.count:,} examples."
    elif seen is not None and seen.error is not None:
        reason += f" Its error is {seen.error:.4g} (root mean square) on {seen.count:,} examples."
    return reason


def _by_output(seen: Verification) -> list[tuple[str, float]]:
    return [(each.name, each.score) for each in seen.outputs if each.score is not None]


def _scored(attempt: Attempt) -> str:
    return "an accuracy" if attempt.accuracy is not None else "a share of explained variance"
