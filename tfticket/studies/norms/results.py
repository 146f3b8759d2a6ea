"""Networks of a study over its seeds, and held against each other."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tfticket.report.estimate import Estimate, estimates
from tfticket.studies.norms.measures import MEASURES, MOVING, SMOOTHNESS, measure
from tfticket.studies.norms.median_ratios import MedianRatio, median_ratios
from tfticket.studies.norms.networks import NormCondition, Study
from tfticket.studies.norms.stability import curved
from tfticket.studies.store import ConditionSummary

BASELINES = ("none", "batch")
"""Baselines of a normalization: the first of these that was trained the same way."""

_COMPARED = (*SMOOTHNESS, "accuracy", "shift_cosine")


@dataclass(frozen=True)
class NormSummary(ConditionSummary[NormCondition]):
    """The finished networks of a condition.

    Attributes:
        seeds: Seeds that are finished.
        diverged: Those of them whose loss stopped being a number.
    """

    seeds: tuple[int, ...]
    diverged: tuple[int, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "branch": self.condition.name,
            "norm": self.condition.norm,
            "learning_rate": self.condition.learning_rate,
            "batch_size": self.condition.batch_size,
            "subnetwork": self.condition.subnetwork,
            "steps": self.condition.steps,
            "seeds": list(self.seeds),
            "diverged": list(self.diverged),
            "measures": self.measures_dict(),
        }


@dataclass(frozen=True)
class Contrast(ConditionSummary[NormCondition]):
    """One condition against another over their common seeds.

    `measures` are ratios other / own for measures of smoothness (above 1: this condition is
    smoother), differences own - other else. Where one was trained longer, both are measured as far
    as the shorter one went, and by the validation accuracy there instead of the test accuracy at
    the end; see `accuracy_after`.

    Attributes:
        against: The one it is held against.
        medians: Measure to ratio of medians.
    """

    against: NormCondition
    medians: Mapping[str, MedianRatio] = field(default_factory=dict)

    @property
    def cut(self) -> int | None:
        """The step up to which they were compared, if one was trained longer."""
        return cut(self.condition, self.against)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "branch": self.condition.name,
            "against": self.against.name,
            "cut": self.cut,
            "measures": self.measures_dict(),
            "medians": {name: ratio.to_dict() for name, ratio in self.medians.items()},
        }


def summarize_conditions(study: Study, *, first: float) -> tuple[NormSummary, ...]:
    """Summarize every condition with a finished network, in the order of the recipe.

    Args:
        study: The run.
        first: Share of training that measures of smoothness and shift are taken over.
    """
    return tuple(_summarize(study, each, until=first * each.steps) for each in study.begun)


def sides(
    study: Study, own: NormCondition, other: NormCondition, *, first: float
) -> tuple[NormSummary, NormSummary]:
    """Summarize two conditions measured alike, as `Contrast` says."""
    step, until = cut(own, other), first * min(own.steps, other.steps)
    return (
        _summarize(study, own, until=until, accuracy_at=step),
        _summarize(study, other, until=until, accuracy_at=step),
    )


def cut(own: NormCondition, other: NormCondition) -> int | None:
    """The step that both conditions were trained to, if one was trained longer."""
    return None if own.steps == other.steps else min(own.steps, other.steps)


def _summarize(
    study: Study, condition: NormCondition, *, until: float, accuracy_at: int | None = None
) -> NormSummary:
    """One condition; its accuracy is that of the end, or of the last evaluation up to a step."""
    networks = study.of(condition)
    found = {
        seed: measure(network, until=until, accuracy_at=accuracy_at) | curved(network)
        for seed, network in networks.items()
    }
    return NormSummary(
        condition,
        estimates(found),
        seeds=tuple(networks),
        diverged=tuple(seed for seed, network in networks.items() if network.diverged),
    )


def contrast(study: Study, own: NormCondition, other: NormCondition, *, first: float) -> Contrast:
    """Hold a condition against another, in all measures that they share."""
    pair = sides(study, own, other, first=first)
    found = {name: paired(name, *pair) for name in _COMPARED}
    own_records, other_records = (
        {seed: n.landscape for seed, n in study.of(one).items() if n.landscape is not None}
        for one in (own, other)
    )
    return Contrast(
        own,
        {name: each for name, each in found.items() if each is not None},
        other,
        median_ratios(own_records, other_records, until=first * min(own.steps, other.steps)),
    )


def paired(name: str, own: NormSummary, other: NormSummary) -> Estimate | None:
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
            if other.setting == own.setting and other.subnetwork == own.subnetwork
        }
        baseline = next((alike[name] for name in BASELINES if name in alike), own)
        if baseline.norm != own.norm:
            found.append(contrast(study, own, baseline, first=first))
    return tuple(found)


def contrast_subnetworks(study: Study, *, first: float) -> tuple[Contrast, ...]:
    """Each ticket and random subnetwork against the dense network with the same normalization."""
    dense = {(b.label, *b.setting): b for b in study.begun if b.subnetwork == "dense"}
    return tuple(
        contrast(study, own, dense[same], first=first)
        for own in study.begun
        if own.subnetwork != "dense" and (same := (own.label, *own.setting)) in dense
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


def batch_losses(conditions: tuple[NormSummary, ...]) -> tuple[BatchLoss, ...]:
    """For each normalization that was trained with several batch sizes, from large to small.

    Args:
        conditions: The conditions of a run; dense networks with an accuracy count.
    """
    found = []
    for label, of_norm in by_batch_size(conditions).items():
        sizes = sorted(of_norm, reverse=True)
        for size in sizes[1:]:
            small = of_norm[size]
            accuracy = small.values("accuracy")
            drop = Estimate.of_difference(of_norm[sizes[0]].values("accuracy"), accuracy)
            if drop is not None:
                precise = small.values("accuracy_precise") if small.condition.norm in MOVING else {}
                mismatch = Estimate.of_difference(precise, accuracy)
                found.append(BatchLoss(label, size, sizes[0], drop, mismatch))
    return tuple(found)


def by_batch_size(conditions: tuple[NormSummary, ...]) -> dict[str, dict[int, NormSummary]]:
    """Label to batch size to condition, for norms trained with several batch sizes.

    Where one batch size was trained at several learning rates, the one of highest accuracy counts.
    """
    found: dict[str, dict[int, NormSummary]] = defaultdict(dict)
    for each in conditions:
        if each.condition.subnetwork != "dense" or not each.values("accuracy"):
            continue
        of_norm, size = found[each.condition.label], each.condition.batch_size
        best = of_norm.get(size, each)
        if each.measures["accuracy"].mean >= best.measures["accuracy"].mean:
            of_norm[size] = each
    return {label: of_norm for label, of_norm in found.items() if len(of_norm) > 1}
