"""Who competes with whom: all weights, or those of one variable, at which density."""

from __future__ import annotations

import fnmatch
import math
from collections.abc import Mapping

import numpy as np

from tfticket.errors import MaskError
from tfticket.sparsity.channels import Channels
from tfticket.sparsity.mask import Mask
from tfticket.sparsity.pruner import QuotaPruner, Quotas, prune_count
from tfticket.sparsity.ranking import keep_highest
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
    survivors = units.counts()
    if not 0 <= keep <= units.kept:
        raise MaskError(f"`keep` must be in [0, {units.kept}]. Received: keep={keep}")
    # Webster's method: the j-th weight of a variable is due at (j - 1/2) / (its share of the sum).
    # Unlike rounding by the largest remainder it never takes one back when `keep` grows.
    due = []
    for key, array in units.items():
        shape = array.shape if shapes is None else shapes[key]
        share = sum(shape) * (array.size / math.prod(shape))
        due.append((np.arange(survivors[key]) + 0.5) / share)
    order = np.concatenate(due)
    taken = keep_highest(-order, np.ones(order.size, bool), keep)
    parts = np.split(taken, np.cumsum([part.size for part in due])[:-1])
    return {key: int(np.count_nonzero(part)) for key, part in zip(units, parts, strict=True)}


def _one_by_one(counts: Mapping[str, int]) -> Quotas:
    return {(key,): count for key, count in counts.items()}
