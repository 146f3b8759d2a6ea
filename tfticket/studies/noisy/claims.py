"""What a recipe expects of its methods, checked against what came out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tfticket.lottery.comparison import Interval
from tfticket.report.judging import Reading, beside_paper, judge
from tfticket.studies.noisy.results import ACCURACY, Training, difference, interval


@dataclass(frozen=True)
class CheckedClaim:
    """One claim, and what the run has to say to it.

    Attributes:
        claim: What the paper says, in short.
        source: Where it says so.
        measure: What it is about, in words.
        is_difference: Whether it is about a difference of accuracies.
        value: The paper's number, or None.
        at_least: The criterion's lower limit, or None.
        at_most: Its upper limit, or None.
        ours: The run's number over seeds, or None when it doesn't have one.
        reading: Whether the criterion is met.
        why: What there is to add, in a few words.
    """

    claim: str
    source: str
    measure: str
    is_difference: bool
    value: float | None
    at_least: float | None
    at_most: float | None
    ours: Interval | None
    reading: Reading
    why: str

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "claim": self.claim,
            "source": self.source,
            "measure": self.measure,
            "value": self.value,
            "at_least": self.at_least,
            "at_most": self.at_most,
            "ours": self.ours.to_dict() if self.ours else None,
            "reading": str(self.reading),
            "why": self.why,
        }


def check_claims(
    expect: Sequence[Mapping[str, Any]], trainings: Sequence[Training]
) -> tuple[CheckedClaim, ...]:
    """Holds each claim of a recipe against the run; one without a noise against each noise.

    Args:
        expect: The recipe's `expect`: tables with `claim`, `source`, `method`, `against`, `noise`,
            `value`, `at_least`, `at_most`.
        trainings: Those with a finished seed.
    """
    noises = dict.fromkeys(found.cell.noise for found in trainings)
    return tuple(
        _check(claim, noise, trainings, several=len(noises) > 1)
        for claim in expect
        for noise in ([str(claim["noise"])] if claim.get("noise") else noises or [""])
    )


def _check(
    claim: Mapping[str, Any], noise: str, trainings: Sequence[Training], *, several: bool
) -> CheckedClaim:
    method, against = str(claim["method"]), claim.get("against")
    ours, why = _measured(method, against, noise, trainings)
    low, high, value = claim.get("at_least"), claim.get("at_most"), claim.get("value")
    reading, remark = judge(ours, at_least=low, at_most=high)
    if ours is not None and not remark and value is not None:
        remark = _beside(ours, float(value), is_difference=against is not None)
    about = f"{method} minus {against}" if against else f"accuracy of {method}"
    return CheckedClaim(
        claim=str(claim["claim"]),
        source=str(claim.get("source") or ""),
        measure=f"{about}, {noise}" if several and noise else about,
        is_difference=against is not None,
        value=value,
        at_least=low,
        at_most=high,
        ours=ours,
        reading=reading,
        why="; ".join(part for part in (remark, why) if part),
    )


def _beside(ours: Interval, value: float, *, is_difference: bool) -> str:
    if is_difference:
        return beside_paper(ours, value, neutral=0.0)
    if ours.seeds > 1 and ours.lower <= value <= ours.upper:
        return "the paper's number is inside our interval"
    return "above the paper" if ours.mean > value else "below the paper"


def _measured(
    method: str, against: str | None, noise: str, trainings: Sequence[Training]
) -> tuple[Interval | None, str]:
    own = _values(method, noise, trainings)
    if not own:
        return None, f"not measured: no finished training of {method}"
    if against is None:
        return interval(list(own.values())), ""
    other = _values(against, noise, trainings)
    if not other:
        return None, f"not measured: no finished training of {against}"
    found = difference(own, other)
    return found, "" if found else "not measured: no seed in common"


def _values(method: str, noise: str, trainings: Sequence[Training]) -> Mapping[int, float]:
    for found in trainings:
        if (found.cell.method, found.cell.noise) == (method, noise):
            return found.values(ACCURACY)
    return {}
