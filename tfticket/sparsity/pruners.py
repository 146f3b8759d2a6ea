"""Pruning scope: global, layerwise, or layerwise with Erdős-Rényi-Kernel densities."""

from __future__ import annotations

import bisect
import fnmatch
import heapq
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tfticket.errors import MaskError
from tfticket.sparsity.channels import Channels
from tfticket.sparsity.mask import Mask
from tfticket.sparsity.pruner import Pruner, QuotaPruner, Quotas, prune_count
from tfticket.sparsity.structure import Structure
from tfticket.wording import named


class GlobalPruner(QuotaPruner):
    """Global pruning: all weights compete with one another.

    Source: Frankle & Carbin (2019), section 4, used there for VGG-19 and ResNet.

    Args:
        structure: Pruning structure; single weights by default.

    Example:
        >>> scores = {"a": np.array([[1.0, 2.0]]), "b": np.array([[3.0, 4.0]])}
        >>> mask = Mask.ones({"a": (1, 2), "b": (1, 2)})
        >>> GlobalPruner().prune(scores, mask, rate=0.25)["a"].tolist()
        [[False, True]]
    """

    def _quotas(self, mask: Mask, units: Mask, rate: float) -> Quotas:
        return {tuple(units): units.kept - prune_count(rate, units.kept)}

    def _quotas_like(self, like: Mask) -> Quotas:
        units = self.structure.units(like)
        return {tuple(units): units.kept}


class LayerwisePruner(QuotaPruner):
    """Layerwise pruning: weights compete within their variable, each variable at its own rate.

    Args:
        factors: Pattern to factor on the rate. A pattern is a glob over keys (`output/*`), or one
            of the words `conv` and `dense`, by the rank of the kernel (above 2, and 2). The first
            match counts. In Frankle & Carbin's small networks 20 % of the weights go from dense
            layers at each level, and 10 % from convolutions and from the output layer:
            `{"output/*": 0.5, "conv": 0.5}`.
        structure: Pruning structure; single weights by default.

    Raises:
        MaskError: when a factor is negative or infinite.

    Example:
        >>> scores = {"a": np.array([[1.0, 2.0]]), "out": np.array([[3.0, 4.0]])}
        >>> mask = Mask.ones({"a": (1, 2), "out": (1, 2)})
        >>> LayerwisePruner({"out": 0.0}).prune(scores, mask, rate=0.5).counts()
        {'a': 1, 'out': 2}
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
    """Layerwise pruning with densities by the Erdős-Rényi-Kernel rule.

    The density of a variable is proportional to (sum of its sides) / (their product), scaled to
    meet the overall count, with 1 (here: what still survives) as the limit.

    Source: Evci et al. (2020, arXiv:1911.11134), section 3, "Erdős-Rényi-Kernel".

    Args:
        structure: Pruning structure; single weights by default. Channels are refused: they make
            the density of a kernel a product of two shares, for which there is no such rule.

    Raises:
        MaskError: when the structure is `Channels`.

    Example:
        >>> scores = {"wide": np.ones((10, 10)), "small": np.ones((2, 5))}
        >>> mask = Mask.ones({"wide": (10, 10), "small": (2, 5)})
        >>> ERKPruner().prune(scores, mask, rate=0.5).counts()
        {'wide': 45, 'small': 10}
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


PRUNERS: Mapping[str, type[GlobalPruner | LayerwisePruner | ERKPruner]] = {
    "global": GlobalPruner,
    "layerwise": LayerwisePruner,
    "erk": ERKPruner,
}


def as_pruner(pruner: Pruner | str) -> Pruner:
    """Return a pruner, or the one that a name stands for: `global`, `layerwise` or `erk`.

    Raises:
        ValueError: for a name that isn't known.
        TypeError: for anything else.
    """
    found: Any = named("pruner", pruner, PRUNERS, Pruner, also="a pruner of `tfticket.sparsity`")
    made: Pruner = found() if isinstance(found, type) else found
    return made


def erk_counts(
    units: Mask, keep: int, shapes: Mapping[str, tuple[int, ...]] | None = None
) -> dict[str, int]:
    """Divide `keep` survivors among the variables by the ERK rule; the sum is exact.

    Args:
        units: Current survivors: weights, or units of several weights.
        keep: How many are to survive in all variables together.
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
    """Apportionment of one variable by Webster's method: weight j is due at (j + 1/2) / share.

    Unlike rounding by the largest remainder it never takes a weight back when more are kept.
    """

    count: int
    share: float

    def due(self, number: int) -> float:
        """Return when the weight of that number is due."""
        return (number + 0.5) / self.share

    def until(self, time: float) -> int:
        """Count the weights that are due by then."""
        return bisect.bisect_right(range(self.count), time, key=self.due)


def _soonest(dues: Sequence[_Dues], keep: int) -> list[int]:
    """Count how many of each variable are among the `keep` that are due first; ties by order."""
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
