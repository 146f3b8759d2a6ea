"""The claims of a paper beside what the run measured: pass, fail, or can't tell."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tfticket.lottery.comparison import Interval
from tfticket.report import words
from tfticket.report.judging import Reading, beside_paper, judge
from tfticket.report.norms.batches import batch_losses
from tfticket.report.norms.cells import Branch, Study
from tfticket.report.norms.comparisons import (
    cut,
    paired,
    sides,
    summarize_branches,
)
from tfticket.report.norms.measures import MEASURES


@dataclass(frozen=True)
class CheckedClaim:
    """One claim, and what the run has to say to it.

    Attributes:
        claim: What the paper says, in short.
        source: Where it says so.
        measure: A key of `MEASURES`.
        value: The paper's number, or None.
        at_least: The criterion's lower limit, or None.
        at_most: Its upper limit, or None.
        first: Share of training that it is about, from its start.
        ours: The run's number over seeds, or None when it doesn't have one.
        reading: Whether the criterion is met.
        why: What there is to add, in a few words.
    """

    claim: str
    source: str
    measure: str
    value: float | None
    at_least: float | None
    at_most: float | None
    first: float
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
            "first": self.first,
            "ours": self.ours.to_dict() if self.ours else None,
            "reading": str(self.reading),
            "why": self.why,
        }


def check_claims(expect: Sequence[Mapping[str, Any]], study: Study) -> tuple[CheckedClaim, ...]:
    """Holds each claim of a recipe against the run.

    Args:
        expect: The recipe's `expect`: tables with `claim`, `source`, `measure`, `value`,
            `at_least`, `at_most`, `norm`, `against`, `learning_rate`, `batch_size`, `first`.
        study: The cells of the run.
    """
    return tuple(_check(claim, study) for claim in expect)


def _check(claim: Mapping[str, Any], study: Study) -> CheckedClaim:
    ours, why = _measured(claim, study)
    low, high, value = claim.get("at_least"), claim.get("at_most"), claim.get("value")
    reading, remark = judge(ours, at_least=low, at_most=high)
    neutral = 1.0 if MEASURES[str(claim["measure"])].ratio else 0.0
    if ours is not None and not remark and value is not None:
        remark = beside_paper(ours, float(value), neutral=neutral)
    remark = "; ".join(part for part in (remark, why) if part)
    return CheckedClaim(
        claim=str(claim["claim"]),
        source=str(claim.get("source") or ""),
        measure=str(claim["measure"]),
        value=value,
        at_least=low,
        at_most=high,
        first=float(claim.get("first") or 1.0),
        ours=ours,
        reading=reading,
        why=remark,
    )


def _measured(claim: Mapping[str, Any], study: Study) -> tuple[Interval | None, str]:
    measure, first = str(claim["measure"]), float(claim.get("first") or 1.0)
    if measure == "accuracy_drop":
        return _drop(claim, study)
    own = find(study, str(claim.get("norm")), claim)
    other = find(study, str(claim.get("against") or "none"), claim)
    if own is None or other is None:
        absent = claim.get("norm") if own is None else claim.get("against") or "none"
        return None, f"not measured: no finished network with norm = {absent}"
    interval = paired(measure, *sides(study, own, other, first=first))
    if interval is None:
        return None, f"not measured: {MEASURES[measure].title} in no common seed"
    step = cut(own, other)
    return interval, f"both after {words.number(step)} iterations" if step else ""


def _drop(claim: Mapping[str, Any], study: Study) -> tuple[Interval | None, str]:
    wanted = [
        found
        for found in batch_losses(summarize_branches(study, first=1.0))
        if found.label.partition(" ")[0] == claim.get("norm")
        and claim.get("batch_size") in (None, found.batch_size)
    ]
    if not wanted:
        return None, f"not measured: {claim.get('norm')} at two batch sizes"
    return wanted[-1].drop, ""


def find(study: Study, norm: str, wanted: Mapping[str, Any]) -> Branch | None:
    """The dense branch of a norm that a claim is about, among those with a finished network.

    Args:
        study: The cells of the run.
        norm: Kind of normalization, or the name of a branch.
        wanted: May hold `learning_rate` and `batch_size`; what it doesn't hold is as in the
            recipe's `train` and `data` where such a branch exists, else the first that there is.
    """
    candidates = [
        branch
        for branch in study.branches
        if (branch.norm == norm or branch.name == norm)
        and (branch.subnetwork == "dense" or branch.name == norm)
        and study.of(branch)
    ]
    usual = {
        "batch_size": study.files.table("data").get("batch_size"),
        "learning_rate": study.files.table("train").get("learning_rate"),
    }
    for name, default in usual.items():
        value = wanted.get(name)
        exact = [b for b in candidates if _close(getattr(b, name), value or default)]
        candidates = exact if exact or value is not None else candidates
    return candidates[0] if candidates else None


def _close(own: float, wanted: Any) -> bool:
    return isinstance(wanted, int | float) and math.isclose(own, wanted, rel_tol=1e-6)
