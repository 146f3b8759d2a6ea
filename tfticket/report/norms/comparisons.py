"""Branches over their seeds, and two branches held against each other seed by seed."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tfticket.lottery.comparison import Interval, t_interval
from tfticket.report.norms.cells import Branch, Study
from tfticket.report.norms.measures import MEASURES, SMOOTHNESS, measure
from tfticket.report.spread import Spread

CONFIDENCE = 0.95
BASELINES = ("none", "batch")
"""What a normalization is held against: the first of these that was trained the same way."""

_COMPARED = (*SMOOTHNESS, "accuracy", "shift_cosine")


@dataclass(frozen=True)
class BranchSummary:
    """The finished networks of a branch.

    Attributes:
        branch: What they have in common.
        seeds: Seeds that are finished.
        diverged: Those of them whose loss stopped being a number.
        measures: Name to the measure over seeds; what no seed has is absent.
    """

    branch: Branch
    seeds: tuple[int, ...]
    diverged: tuple[int, ...]
    measures: Mapping[str, Spread]

    def values(self, name: str) -> Mapping[int, float]:
        """Seed to a measure; empty when no seed has it."""
        return self.measures[name].values if name in self.measures else {}

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "branch": self.branch.name,
            "norm": self.branch.norm,
            "learning_rate": self.branch.learning_rate,
            "batch_size": self.branch.batch_size,
            "subnetwork": self.branch.subnetwork,
            "steps": self.branch.steps,
            "seeds": list(self.seeds),
            "diverged": list(self.diverged),
            "measures": {name: spread.to_dict() for name, spread in self.measures.items()},
        }


@dataclass(frozen=True)
class Contrast:
    """One branch against another over their common seeds.

    Attributes:
        branch: The one in question.
        against: The one it is held against.
        measures: Name to the interval over seeds: of the ratio other / own for measures of
            smoothness (above 1: this branch is smoother), of the difference own - other else.
    """

    branch: Branch
    against: Branch
    measures: Mapping[str, Interval]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "branch": self.branch.name,
            "against": self.against.name,
            "measures": {name: interval.to_dict() for name, interval in self.measures.items()},
        }


def summarize_branches(study: Study, *, first: float) -> tuple[BranchSummary, ...]:
    """Every branch with a finished network, in the order of the recipe.

    Args:
        study: The cells of a run.
        first: Share of training that measures of smoothness and shift are taken over.
    """
    return tuple(
        summarize_branch(study, branch, first=first)
        for branch in study.branches
        if study.of(branch)
    )


def summarize_branch(study: Study, branch: Branch, *, first: float) -> BranchSummary:
    """One branch; see `summarize_branches`."""
    networks = study.of(branch)
    by_seed = {
        seed: measure(network, steps=branch.steps, first=first)
        for seed, network in networks.items()
    }
    names = dict.fromkeys(name for found in by_seed.values() for name in found)
    return BranchSummary(
        branch=branch,
        seeds=tuple(networks),
        diverged=tuple(seed for seed, network in networks.items() if network.diverged),
        measures={
            name: spread({seed: found[name] for seed, found in by_seed.items() if name in found})
            for name in names
        },
    )


def spread(values: Mapping[int, float]) -> Spread:
    """A measure over seeds, with Student's t interval."""
    return Spread(values, t_interval(list(values.values()), confidence=CONFIDENCE))


def contrast(own: BranchSummary, other: BranchSummary) -> Contrast:
    """Holds a branch against another, in all measures that they share."""
    found = {name: paired(name, own, other) for name in _COMPARED}
    measures = {name: interval for name, interval in found.items() if interval is not None}
    return Contrast(own.branch, other.branch, measures)


def paired(name: str, own: BranchSummary, other: BranchSummary) -> Interval | None:
    """The interval of one measure over the common seeds; None without one.

    A ratio is the geometric mean over seeds; seeds in which either side is zero are left out.
    """
    first, second = own.values(name), other.values(name)
    common = sorted(first.keys() & second.keys())
    if MEASURES[name].ratio:
        logs = [
            math.log(second[seed] / first[seed])
            for seed in common
            if first[seed] > 0 and second[seed] > 0
        ]
        return t_interval(logs, confidence=CONFIDENCE).exp() if logs else None
    differences = [first[seed] - second[seed] for seed in common]
    return t_interval(differences, confidence=CONFIDENCE) if differences else None


def contrast_norms(branches: tuple[BranchSummary, ...]) -> tuple[Contrast, ...]:
    """Each normalization against the baseline that was trained the same way."""
    return tuple(
        contrast(own, other) for own in branches if (other := _baseline(own, branches)) is not None
    )


def contrast_subnetworks(branches: tuple[BranchSummary, ...]) -> tuple[Contrast, ...]:
    """Each ticket and random subnetwork against the dense network with the same normalization."""
    dense = {_training(found): found for found in branches if found.branch.subnetwork == "dense"}
    return tuple(
        contrast(own, dense[_training(own)])
        for own in branches
        if own.branch.subnetwork != "dense" and _training(own) in dense
    )


def _training(found: BranchSummary) -> tuple[str, float, int]:
    return (found.branch.label, found.branch.learning_rate, found.branch.batch_size)


def _baseline(own: BranchSummary, branches: tuple[BranchSummary, ...]) -> BranchSummary | None:
    """The first of `BASELINES` that the run asks for under the branch's own condition."""
    alike = {
        other.branch.norm: other
        for other in branches
        if other.branch.condition == own.branch.condition
    }
    name = next((name for name in BASELINES if name in alike), None)
    return alike[name] if name is not None and name != own.branch.norm else None
