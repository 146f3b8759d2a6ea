"""Networks of a study over its seeds, and held against each other."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tfticket.report.estimate import Estimate, estimates
from tfticket.studies.norms.measures import (
    MEASURES,
    MOVING,
    SMOOTHNESS,
    measure,
)
from tfticket.studies.norms.networks import Branch, Study

BASELINES = ("none", "batch")
"""Baselines of a normalization: the first of these that was trained the same way."""

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
    measures: Mapping[str, Estimate]

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
            "measures": {name: found.to_dict() for name, found in self.measures.items()},
        }


@dataclass(frozen=True)
class Contrast:
    """One branch against another over their common seeds.

    Where one was trained longer, both are measured as far as the shorter one went, and by the
    validation accuracy there instead of the test accuracy at the end; see `accuracy_after`.

    Attributes:
        branch: The one in question.
        against: The one it is held against.
        measures: Name to the estimate: of the ratio other / own for measures of
            smoothness (above 1: this branch is smoother), of the difference own - other else.
    """

    branch: Branch
    against: Branch
    measures: Mapping[str, Estimate]

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
            "measures": {name: found.to_dict() for name, found in self.measures.items()},
        }


def summarize_branches(study: Study, *, first: float) -> tuple[BranchSummary, ...]:
    """Summarize every branch with a finished network, in the order of the recipe.

    Args:
        study: The cells of a run.
        first: Share of training that measures of smoothness and shift are taken over.
    """
    return tuple(_summarize(study, branch, until=first * branch.steps) for branch in study.begun)


def sides(
    study: Study, own: Branch, other: Branch, *, first: float
) -> tuple[BranchSummary, BranchSummary]:
    """Summarize two branches measured alike, as `Contrast` says."""
    step, until = cut(own, other), first * min(own.steps, other.steps)
    return (
        _summarize(study, own, until=until, accuracy_at=step),
        _summarize(study, other, until=until, accuracy_at=step),
    )


def cut(own: Branch, other: Branch) -> int | None:
    """The step that both branches were trained to, if one was trained longer."""
    return None if own.steps == other.steps else min(own.steps, other.steps)


def _summarize(
    study: Study, branch: Branch, *, until: float, accuracy_at: int | None = None
) -> BranchSummary:
    """One branch; its accuracy is that of the end, or of the last evaluation up to a step."""
    networks = study.of(branch)
    found = {
        seed: measure(network, until=until, accuracy_at=accuracy_at)
        for seed, network in networks.items()
    }
    return BranchSummary(
        branch=branch,
        seeds=tuple(networks),
        diverged=tuple(seed for seed, network in networks.items() if network.diverged),
        measures=estimates(found),
    )


def contrast(study: Study, own: Branch, other: Branch, *, first: float) -> Contrast:
    """Hold a branch against another, in all measures that they share."""
    pair = sides(study, own, other, first=first)
    found = {name: paired(name, *pair) for name in _COMPARED}
    return Contrast(own, other, {name: each for name, each in found.items() if each is not None})


def paired(name: str, own: BranchSummary, other: BranchSummary) -> Estimate | None:
    """Estimate one measure over the common seeds; None without one.

    A ratio is that of the other to this one: above 1, this one is smoother.
    """
    if MEASURES[name].ratio:
        return Estimate.of_ratio(other.values(name), own.values(name))
    return Estimate.of_difference(own.values(name), other.values(name))


def contrast_norms(study: Study, *, first: float) -> tuple[Contrast, ...]:
    """Each normalization against the baseline at its learning rate and batch size."""
    found = []
    for own in study.begun:
        alike = {
            other.norm: other
            for other in study.begun
            if other.condition == own.condition and other.subnetwork == own.subnetwork
        }
        baseline = next((alike[name] for name in BASELINES if name in alike), own)
        if baseline.norm != own.norm:
            found.append(contrast(study, own, baseline, first=first))
    return tuple(found)


def contrast_subnetworks(study: Study, *, first: float) -> tuple[Contrast, ...]:
    """Each ticket and random subnetwork against the dense network with the same normalization."""
    dense = {(b.label, *b.condition): b for b in study.begun if b.subnetwork == "dense"}
    return tuple(
        contrast(study, own, dense[same], first=first)
        for own in study.begun
        if own.subnetwork != "dense" and (same := (own.label, *own.condition)) in dense
    )


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
    drop: Estimate
    mismatch: Estimate | None

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
            small = of_norm[size]
            accuracy = small.values("accuracy")
            drop = Estimate.of_difference(of_norm[sizes[0]].values("accuracy"), accuracy)
            if drop is not None:
                precise = small.values("accuracy_precise") if small.branch.norm in MOVING else {}
                mismatch = Estimate.of_difference(precise, accuracy)
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
