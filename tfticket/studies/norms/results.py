"""Networks of a study over its seeds, and held against each other."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tfticket.lottery.comparison import Interval, t_interval
from tfticket.report.judging import Spread
from tfticket.studies.norms.measures import (
    MEASURES,
    MOVING,
    SMOOTHNESS,
    accuracy_after,
    measure,
)
from tfticket.studies.norms.networks import Branch, Network, Study

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

    Where one was trained longer, both are measured as far as the shorter one went, and by the
    validation accuracy there instead of the test accuracy at the end; see `accuracy_after`.

    Attributes:
        branch: The one in question.
        against: The one it is held against.
        measures: Name to the interval over seeds: of the ratio other / own for measures of
            smoothness (above 1: this branch is smoother), of the difference own - other else.
    """

    branch: Branch
    against: Branch
    measures: Mapping[str, Interval]

    @property
    def cut(self) -> int | None:
        """The step up to which they were compared, if one was trained longer."""
        return cut(self.branch, self.against)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "branch": self.branch.name,
            "against": self.against.name,
            "cut": self.cut,
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
    until = first * branch.steps
    return _over_seeds(
        branch, networks, {seed: measure(each, until=until) for seed, each in networks.items()}
    )


def sides(
    study: Study, own: Branch, other: Branch, *, first: float
) -> tuple[BranchSummary, BranchSummary]:
    """Two branches measured alike, as `Contrast` says."""
    step = cut(own, other)
    if step is None:
        return (
            summarize_branch(study, own, first=first),
            summarize_branch(study, other, first=first),
        )
    return _until(study, own, step, first), _until(study, other, step, first)


def cut(own: Branch, other: Branch) -> int | None:
    """The step that both branches were trained to, if one was trained longer."""
    return None if own.steps == other.steps else min(own.steps, other.steps)


def _until(study: Study, branch: Branch, step: int, first: float) -> BranchSummary:
    networks = study.of(branch)
    return _over_seeds(
        branch,
        networks,
        {
            seed: {
                **measure(network, until=first * step),
                "accuracy": accuracy_after(network, step),
            }
            for seed, network in networks.items()
        },
    )


def _over_seeds(
    branch: Branch,
    networks: Mapping[int, Network],
    by_seed: Mapping[int, Mapping[str, float]],
) -> BranchSummary:
    names = dict.fromkeys(name for found in by_seed.values() for name in found)
    known = {
        name: {seed: found[name] for seed, found in by_seed.items()
               if math.isfinite(found.get(name, math.nan))}
        for name in names
    }  # fmt: skip
    return BranchSummary(
        branch=branch,
        seeds=tuple(networks),
        diverged=tuple(seed for seed, network in networks.items() if network.diverged),
        measures={name: spread(values) for name, values in known.items() if values},
    )


def spread(values: Mapping[int, float]) -> Spread:
    """A measure over seeds, with Student's t interval."""
    return Spread(values, t_interval(list(values.values()), confidence=CONFIDENCE))


def contrast(study: Study, own: Branch, other: Branch, *, first: float) -> Contrast:
    """Holds a branch against another, in all measures that they share."""
    pair = sides(study, own, other, first=first)
    found = {name: paired(name, *pair) for name in _COMPARED}
    measures = {name: interval for name, interval in found.items() if interval is not None}
    return Contrast(own, other, measures)


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


def contrast_norms(study: Study, *, first: float) -> tuple[Contrast, ...]:
    """Each normalization against the baseline at its learning rate and batch size."""
    finished = _finished(study)
    return tuple(
        contrast(study, own, other, first=first)
        for own in finished
        if (other := _baseline(own, finished)) is not None
    )


def contrast_subnetworks(study: Study, *, first: float) -> tuple[Contrast, ...]:
    """Each ticket and random subnetwork against the dense network with the same normalization."""
    finished = _finished(study)
    dense = {
        (branch.label, branch.condition[:2]): branch
        for branch in finished
        if branch.subnetwork == "dense"
    }
    return tuple(
        contrast(study, own, dense[own.label, own.condition[:2]], first=first)
        for own in finished
        if own.subnetwork != "dense" and (own.label, own.condition[:2]) in dense
    )


def _finished(study: Study) -> list[Branch]:
    return [branch for branch in study.branches if study.of(branch)]


def _baseline(own: Branch, finished: Sequence[Branch]) -> Branch | None:
    """The first of `BASELINES` that there is under the branch's own condition."""
    alike = {other.norm: other for other in finished if other.condition == own.condition}
    name = next((name for name in BASELINES if name in alike), None)
    return alike[name] if name is not None and name != own.norm else None


@dataclass(frozen=True)
class BatchLoss:
    """One normalization at one batch size, against its largest batch, seed by seed.

    Attributes:
        label: The normalization.
        batch_size: The smaller batch.
        largest: The largest batch.
        drop: Accuracy at the largest minus accuracy at this one, moving statistics; above 0 is
            lost.
        mismatch: Accuracy with statistics taken again minus accuracy with moving ones, at this
            batch size: what of it is no matter of training. None when it wasn't measured, or the
            normalization keeps no moving statistics.
    """

    label: str
    batch_size: int
    largest: int
    drop: Interval
    mismatch: Interval | None

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "norm": self.label,
            "batch_size": self.batch_size,
            "largest": self.largest,
            "drop": self.drop.to_dict(),
            "mismatch": self.mismatch.to_dict() if self.mismatch else None,
        }


def batch_losses(branches: tuple[BranchSummary, ...]) -> tuple[BatchLoss, ...]:
    """For each normalization that was trained with several batch sizes, from large to small.

    Args:
        branches: The branches of a run; dense networks with an accuracy count.
    """
    found = []
    for label, of_norm in by_batch_size(branches).items():
        sizes = sorted(of_norm, reverse=True)
        for size in sizes[1:]:
            drop = _difference(of_norm[sizes[0]], of_norm[size])
            if drop is not None:
                mismatch = _mismatch(of_norm[size])
                found.append(BatchLoss(label, size, sizes[0], drop, mismatch))
    return tuple(found)


def by_batch_size(
    branches: tuple[BranchSummary, ...],
) -> dict[str, dict[int, BranchSummary]]:
    """Label to batch size to branch, for norms trained with several batch sizes.

    Where one batch size was trained at several learning rates, the one of highest accuracy counts.
    """
    found: dict[str, dict[int, BranchSummary]] = defaultdict(dict)
    for each in branches:
        if each.branch.subnetwork != "dense" or not each.values("accuracy"):
            continue
        of_norm, size = found[each.branch.label], each.branch.batch_size
        best = of_norm.get(size, each)
        if each.measures["accuracy"].mean >= best.measures["accuracy"].mean:
            of_norm[size] = each
    return {label: of_norm for label, of_norm in found.items() if len(of_norm) > 1}


def _difference(first: BranchSummary, second: BranchSummary) -> Interval | None:
    return _interval(first, "accuracy", second, "accuracy")


def _mismatch(found: BranchSummary) -> Interval | None:
    if found.branch.norm not in MOVING:
        return None
    return _interval(found, "accuracy_precise", found, "accuracy")


def _interval(
    first: BranchSummary, of_first: str, second: BranchSummary, of_second: str
) -> Interval | None:
    left, right = first.values(of_first), second.values(of_second)
    differences = [left[seed] - right[seed] for seed in sorted(left.keys() & right.keys())]
    return t_interval(differences, confidence=CONFIDENCE) if differences else None
