"""Which file to ship: the Pareto front of a comparison, and one of it with the reason."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from tfticket.errors import ExportError
from tfticket.export.comparison import Attempt, Comparison
from tfticket.export.result import Format

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
    """The best file among those that are accurate enough.

    Accurate enough is what loses at most `margin` against the baseline, on the data that files were
    checked on, never on test data: of the accuracy, or of the share of variance that is explained
    where labels are numbers. Without labels, every file that passed its checks is.

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
    enough = [
        attempt
        for attempt in comparison.passed
        if needed is None or (attempt.score is not None and attempt.score >= needed)
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
        elif attempt.score is not None and needed is not None:
            reasons.append(f"{attempt.name} has {_named(attempt)} of {attempt.score:.2%}.")
    named = _named(comparison.baseline)
    demand = "" if needed is None else f" and reach {named} of {needed:.2%}"
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
    if baseline.score is not None and best.score is not None:
        lost = 100 * (best.score - baseline.score)
        what = _named(best).partition(" ")[2]
        passed += f" and lose at most {100 * margin:g} points of {what} ({lost:+.2f} here)"
    return (
        f"{passed}: {smaller:.1f} times smaller and {speedup:.1f} times as fast as "
        f"{baseline.name}, measured on {comparison.host}. {_absolute(best)}"
    ).rstrip()


def _named(attempt: Attempt) -> str:
    return "an accuracy" if attempt.accuracy is not None else "a share of explained variance"


def _absolute(best: Attempt) -> str:
    """How right it is in itself, beside what it loses."""
    if best.draft is None:
        return ""
    seen = best.draft.report.verification
    if seen.accuracy is not None:
        return f"Its accuracy is {seen.accuracy:.2%} on {seen.count:,} examples."
    if seen.error is not None:
        return f"Its error is {seen.error:.4g} (root mean square) on {seen.count:,} examples."
    return ""


TargetName = Literal["phone", "micro", "smallest", "fastest"]
TARGETS: tuple[TargetName, ...] = get_args(TargetName)
Objective = Literal["both", "bytes", "time"]


@dataclass(frozen=True)
class Target:
    """A use of a file.

    Attributes:
        name: What it is called.
        formats: What is tried.
        objective: What decides among those that are accurate enough: `bytes` of the file,
            `time` of an inference, or `both`, the product of the two.
        meaning: In words.
    """

    name: TargetName
    formats: tuple[Format, ...]
    objective: Objective
    meaning: str


_SPECS: Mapping[TargetName, Target] = {
    "phone": Target(
        "phone",
        ("fp32", "fp16", "dynamic", "int8", "sparse_fc", "sparse_fc_fast"),
        "both",
        "LiteRT on ARM or x86: the smallest product of bytes and time",
    ),
    "micro": Target(
        "micro",
        ("int8",),
        "bytes",
        "TensorFlow Lite Micro: int8 in and out, only operators it has, and a C array",
    ),
    "smallest": Target(
        "smallest",
        ("fp32", "fp16", "dynamic", "int8", "int4", "sparse_fc"),
        "bytes",
        "the fewest bytes in flash",
    ),
    "fastest": Target(
        "fastest",
        ("fp32", "fp16", "dynamic", "int8", "sparse_fc", "sparse_fc_fast"),
        "time",
        "the shortest time of an inference on this machine",
    ),
}


def target_of(name: str) -> Target:
    """The target of a name in `TARGETS`."""
    return _SPECS[name]  # type: ignore[index]
