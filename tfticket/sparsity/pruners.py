"""Who competes with whom: all weights, or those of one variable, at which density."""

from __future__ import annotations

import bisect
import fnmatch
import heapq
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tfticket.errors import MaskError
from tfticket.sparsity.channels import Channels
from tfticket.sparsity.mask import Mask
from tfticket.sparsity.pruner import QuotaPruner, Quotas, prune_count
from tfticket.sparsity.structure import Structure


class GlobalPruner(QuotaPruner):
    """All weights compete with one another.

    Source: Frankle & Carbin (2019), section 4, used there for VGG-19 and ResNet.

    Args:
        structure: See `QuotaPruner`.
    """

    def _quotas(self, mask: Mask, units: Mask, rate: float) -> Quotas:
        return {tuple(units): units.kept - prune_count(rate, units.kept)}

    def _quotas_like(self, like: Mask) -> Quotas:
        units = self.structure.units(like)
        return {tuple(units): units.kept}


class LayerwisePruner(QuotaPruner):
    """Each variable for itself, at its own rate.

    Args:
        factors: Pattern to factor on the rate. A pattern is a glob over keys (`output/*`), or one
            of the words `conv` and `dense`, by the rank of the kernel (above 2, and 2). The first
            that fits counts, so name the particular before the general. In Frankle & Carbin's
            small networks 20 % goes from dense layers a level, and 10 % from convolutions and from
            the output layer: `{"output/*": 0.5, "conv": 0.5}`.
        structure: See `QuotaPruner`.
    """

    def __init__(
        self, factors: Mapping[str, float] | None = None, *, structure: Structure | None = None
    ) -> None:
        super().__init__(structure=structure)
        self.factors = dict(factors or {})
        for pattern, factor in self.factors.items():
            if not 0.0 <= factor < math.inf:
                raise MaskError(f"A factor must be at least 0. Received: {pattern!r}: {factor}")

    def _quotas(self, mask: Mask, units: Mask, rate: float) -> Quotas:
        counts = {}
        for key, survivors in units.counts().items():
            own_rate = rate * self._factor(key, mask[key].ndim)
            if own_rate >= 1.0:
                raise MaskError(
                    f"Each variable's own rate must be below 1. Received: {own_rate} for `{key}`."
                )
            counts[key] = survivors - prune_count(own_rate, survivors)
        return _one_by_one(counts)

    def _quotas_like(self, like: Mask) -> Quotas:
        return _one_by_one(self.structure.units(like).counts())

    def _factor(self, key: str, rank: int) -> float:
        family = "dense" if rank == 2 else "conv"
        for pattern, factor in self.factors.items():
            if pattern == family or fnmatch.fnmatchcase(key, pattern):
                return factor
        return 1.0


class ERKPruner(QuotaPruner):
    """Each variable for itself, with densities by the Erdős-Rényi-Kernel rule.

    The density of a variable is proportional to (sum of its sides) / (their product), scaled to
    meet the overall count, with 1 (here: what still survives) as the limit.

    Source: Evci et al. (2020, arXiv:1911.11134), section 3, "Erdős-Rényi-Kernel".

    Args:
        structure: See `QuotaPruner`. Not channels: the density of a kernel is a product of the
            shares of its input and of its output channels, which the rule says nothing of.

    Raises:
        MaskError: when the structure is one of channels.
    """

    def __init__(self, *, structure: Structure | None = None) -> None:
        super().__init__(structure=structure)
        if isinstance(structure, Channels):
            raise MaskError(
                "The ERK rule is about the weights of one kernel. Received: channels, which go "
                "through several. Use GlobalPruner or LayerwisePruner."
            )

    def _quotas(self, mask: Mask, units: Mask, rate: float) -> Quotas:
        keep = units.kept - prune_count(rate, units.kept)
        return _one_by_one(erk_counts(units, keep, mask.shapes))

    def _quotas_like(self, like: Mask) -> Quotas:
        return _one_by_one(self.structure.units(like).counts())


def erk_counts(
    units: Mask, keep: int, shapes: Mapping[str, tuple[int, ...]] | None = None
) -> dict[str, int]:
    """Splits `keep` survivors over the variables by the ERK rule; the sum is exact.

    Args:
        units: Who survives so far: weights, or units of several weights.
        keep: How many are to survive, in all.
        shapes: Key to the shape of the variable, where units aren't weights.
    """
    if not 0 <= keep <= units.kept:
        raise MaskError(f"`keep` must be in [0, {units.kept}]. Received: keep={keep}")
    sides = units.shapes if shapes is None else shapes
    dues = []
    for key, survivors in units.counts().items():
        share = sum(sides[key]) * (units[key].size / math.prod(sides[key]))
        dues.append(_Dues(survivors, share))
    return dict(zip(units, _soonest(dues, keep), strict=True))


@dataclass(frozen=True)
class _Dues:
    """When the weights of a variable are due: (j + 1/2) / share for j = 0, 1, ..., rising.

    This is Webster's method. Unlike rounding by the largest remainder it never takes a weight back
    when more of them are kept.
    """

    count: int
    share: float

    def due(self, number: int) -> float:
        """When the weight of that number is due."""
        return (number + 0.5) / self.share

    def until(self, time: float) -> int:
        """How many are due by then."""
        return bisect.bisect_right(range(self.count), time, key=self.due)


def _soonest(dues: Sequence[_Dues], keep: int) -> list[int]:
    """How many of each are among the `keep` that are due first; ties go by their order."""
    early, late = 0.0, max((each.due(each.count) for each in dues if each.count), default=0.0)
    while (middle := (early + late) / 2) not in (early, late):
        enough = sum(each.until(middle) for each in dues) > keep
        early, late = (early, middle) if enough else (middle, late)
    counts = [each.until(early) for each in dues]
    left = [place for place, each in enumerate(dues) if counts[place] < each.count]
    soonest = heapq.nsmallest(keep - sum(counts), left, key=lambda n: dues[n].due(counts[n]))
    return [count + (place in soonest) for place, count in enumerate(counts)]


def _one_by_one(counts: Mapping[str, int]) -> Quotas:
    return {(key,): count for key, count in counts.items()}
