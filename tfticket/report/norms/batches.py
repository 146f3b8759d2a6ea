"""What smaller batches cost: the accuracy at each batch size against that at the largest."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

from tfticket.lottery.comparison import Interval, t_interval
from tfticket.report.norms.comparisons import CONFIDENCE, BranchSummary
from tfticket.report.norms.measures import MOVING


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
