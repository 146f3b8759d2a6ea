"""Pruners turn scores into a mask: the scope of the competition, and how many weights survive.

Only survivors compete, so the new mask is always a subset of the old one. Counts are exact: of n
survivors and a rate p, `round(p n)` go (Python's rounding), and ties are settled by the flat index:
of two equal scores the earlier weight stays. A threshold would keep or drop all of them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping

import numpy as np

from tfticket.errors import MaskError
from tfticket.sparsity.mask import Mask
from tfticket.sparsity.ranking import keep_highest_of_all
from tfticket.sparsity.structure import UNSTRUCTURED, Scores, Structure
from tfticket.wording import brief_repr

Quotas = Mapping[tuple[str, ...], int]
"""Keys whose units compete with one another, to how many of the units survive."""


def prune_count(rate: float, survivors: int) -> int:
    """Return how many of `survivors` go at `rate`: Python's `round`, without float noise of p n."""
    return round(round(rate * survivors, 6))


class Pruner(ABC):
    """Abstract base of rules for which of the surviving weights are pruned.

    Attributes:
        structure: Pruning structure; rates and counts are of its units.

    Example:
        >>> from tfticket.sparsity import LayerwisePruner
        >>> isinstance(LayerwisePruner(), Pruner)
        True
    """

    structure: Structure = UNSTRUCTURED

    @abstractmethod
    def prune(self, scores: Scores, mask: Mask, rate: float, *, since: Mask | None = None) -> Mask:
        """Prune the lowest-scoring survivors.

        Args:
            scores: Key to scores of the variable's shape; higher = keep. NaN is refused.
            mask: The current mask.
            rate: Share of the survivors to prune, in [0, 1).
            since: For one step that is taken in rounds, the mask that the step began with: `rate`
                is a share of its survivors, so that the last round ends at the exact count of one
                step. By default `mask`.

        Returns:
            A mask that is a subset of `mask`, with the exact count, and at least one survivor in
            each variable.

        Raises:
            MaskError: when scores and mask don't fit, a variable would be left empty, or the
                structure can't get as sparse.
        """

    @abstractmethod
    def prune_like(self, scores: Scores, mask: Mask, like: Mask) -> Mask:
        """Prune to the density of `like` in one shot, as a control of an iterative ticket.

        `GlobalPruner` matches the overall count, the others the count of each variable.
        """


class QuotaPruner(Pruner):
    """Abstract pruner that keeps the highest-scoring units, as many as its quotas say.

    Args:
        structure: Pruning structure; single weights by default.
    """

    __repr__ = brief_repr

    def __init__(self, *, structure: Structure | None = None) -> None:
        self.structure = structure or UNSTRUCTURED

    def prune(self, scores: Scores, mask: Mask, rate: float, *, since: Mask | None = None) -> Mask:
        """See `Pruner`."""
        return self._keep(scores, mask, self.quotas(since or mask, rate))

    def prune_like(self, scores: Scores, mask: Mask, like: Mask) -> Mask:
        """See `Pruner`."""
        return self._keep(scores, mask, self._quotas_like(like))

    def quotas(self, mask: Mask, rate: float) -> Quotas:
        """Return how many units survive a step of `rate`, for each group of competing keys.

        Raises:
            MaskError: when the rate is out of range, or the structure can't get as sparse.
        """
        if not 0.0 <= rate < 1.0:
            raise MaskError(f"`rate` must be in [0, 1), a share of the survivors. Received: {rate}")
        units = self.structure.units(mask)
        return self._granted(self._quotas(mask, units, rate), units)

    @abstractmethod
    def _quotas(self, mask: Mask, units: Mask, rate: float) -> Quotas:
        """Return the quotas without regard to protected units."""

    @abstractmethod
    def _quotas_like(self, like: Mask) -> Quotas:
        """Count the units of `like`, for each group of competing keys."""

    def _granted(self, quotas: Quotas, units: Mask) -> Quotas:
        """Round quotas to the protected count where they are near it."""
        protected = self.structure.least(units)
        least = {keys: sum(protected[key] for key in keys) for keys in quotas}
        near = {keys: self.structure.rounding(_size(units, keys)) for keys in quotas}
        lacking = sum(max(0, least[keys] - keep) for keys, keep in quotas.items())
        if lacking > sum(near.values()):
            raise MaskError(_too_sparse(self.structure, quotas, least, units))
        return {
            keys: least[keys] if keep <= least[keys] + near[keys] else keep
            for keys, keep in quotas.items()
        }

    def _keep(self, scores: Scores, mask: Mask, quotas: Quotas) -> Mask:
        _check_scores(scores, mask)
        units = self.structure.units(mask)
        pooled = self.structure.unit_scores(scores, mask)
        protected = self.structure.protected(pooled, units)
        chosen: dict[str, np.ndarray] = {}
        for competing, keep in quotas.items():
            keys = [key for key in units if key in competing]  # ties go by the order of the mask
            kept = keep_highest_of_all(
                [pooled[key] for key in keys],
                [units[key] for key in keys],
                keep,
                [protected[key] for key in keys],
            )
            chosen.update(zip(keys, kept, strict=True))
        return _not_collapsed(self.structure.expand(Mask(chosen), mask), self)


def _too_sparse(
    structure: Structure, quotas: Quotas, least: Mapping[tuple[str, ...], int], units: Mask
) -> str:
    short = [keys for keys, keep in quotas.items() if keep < least[keys]]
    names = ", ".join(f"`{key}`" for keys in short for key in keys)
    total = sum(_size(units, keys) for keys in short)
    return (
        f"{structure.rule} So the lowest density that {names} can have is "
        f"{sum(least[keys] for keys in short) / total:.4%}. Received: "
        f"{sum(quotas[keys] for keys in short) / total:.4%}. Stop at an earlier level, or leave "
        "kernels dense that can't get as sparse as the others."
    )


def _size(units: Mask, keys: tuple[str, ...]) -> int:
    return sum(units[key].size for key in keys)


def _check_scores(scores: Scores, mask: Mask) -> None:
    for key in mask:
        if key not in scores:
            raise MaskError(f"Each key of the mask needs scores. Missing: `{key}`")
        if scores[key].shape != mask[key].shape:
            raise MaskError(
                f"Scores must have the shape of their variable. Received: `{key}` with "
                f"{scores[key].shape}, its mask with {mask[key].shape}."
            )
        if np.isnan(scores[key]).any():
            raise MaskError(
                f"Scores must be numbers. Received: NaN for `{key}`; has the training "
                "diverged? Try a lower learning rate."
            )


def _not_collapsed(mask: Mask, pruner: Pruner) -> Mask:
    empty = [key for key, count in mask.counts().items() if count == 0]
    if empty:
        raise MaskError(
            "At least one weight of each variable must survive, else nothing passes through the "
            f"network. {type(pruner).__name__} would leave none in {empty}, at a density of "
            f"{mask.density:.4%}. Stop at an earlier level, prune by layer, or skip them."
        )
    return mask
