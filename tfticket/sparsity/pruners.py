"""From scores to a mask: who competes with whom, and how many survive.

A pruner is a final class with one method. Only surviving weights compete, so the new mask is always
a subset of the old one. Counts are exact: of n survivors and a rate p, `round(p n)` go (Python's
rounding), and ties are settled by the flat index: of two equal scores the earlier weight stays. A
threshold comparison would keep or drop all of them.
"""

from __future__ import annotations

import fnmatch
import math
from abc import ABC, abstractmethod
from collections.abc import Mapping

import numpy as np

from tfticket.errors import MaskError
from tfticket.sparsity.mask import Mask

Scores = Mapping[str, np.ndarray]


def prune_count(rate: float, survivors: int) -> int:
    """How many of `survivors` go at `rate`: Python's `round`, free of the float noise of p n."""
    return round(round(rate * survivors, 6))


class Pruner(ABC):
    """Decides which of the surviving weights go."""

    @abstractmethod
    def prune(self, scores: Scores, mask: Mask, rate: float, *, since: Mask | None = None) -> Mask:
        """Prunes the lowest-scoring survivors.

        Args:
            scores: Key to score, of the variables' shapes; higher = keep. NaN is refused.
            mask: The mask so far.
            rate: Share of the survivors to prune, in [0, 1).
            since: The mask whose survivors `rate` is a share of, when one step is taken in rounds:
                with growing rates since the same mask, the last round ends at the count of one
                step, whatever the roundings on the way. `mask` itself when None.

        Returns:
            A mask that is a subset of `mask`, with the exact count, and at least one survivor in
            each variable.

        Raises:
            MaskError: when scores and mask don't fit, or a variable would be left empty.
        """

    @abstractmethod
    def prune_like(self, scores: Scores, mask: Mask, like: Mask) -> Mask:
        """Prunes at once as much as `like` lacks: the one-shot control of an iterative ticket.

        `GlobalPruner` matches the overall count, the others the count of each variable.
        """


class GlobalPruner(Pruner):
    """All weights compete with one another.

    Source: Frankle & Carbin (2019), section 4, used there for VGG-19 and ResNet.
    """

    def prune(self, scores: Scores, mask: Mask, rate: float, *, since: Mask | None = None) -> Mask:
        """See `Pruner`."""
        _check_rate(rate)
        survivors = (since or mask).kept
        return self._keep(scores, mask, survivors - prune_count(rate, survivors))

    def prune_like(self, scores: Scores, mask: Mask, like: Mask) -> Mask:
        """See `Pruner`."""
        return self._keep(scores, mask, like.kept)

    def _keep(self, scores: Scores, mask: Mask, keep: int) -> Mask:
        _check_scores(scores, mask)
        flat_scores = np.concatenate([np.ravel(scores[key]) for key in mask])
        flat_mask = np.concatenate([np.ravel(mask[key]) for key in mask])
        kept = keep_highest(flat_scores, flat_mask, keep)
        parts = np.split(kept, np.cumsum([mask[key].size for key in mask])[:-1])
        arrays = {key: part.reshape(mask[key].shape) for key, part in zip(mask, parts, strict=True)}
        return _not_collapsed(Mask(arrays), self)


class LayerwisePruner(Pruner):
    """Each variable for itself, at its own rate.

    Args:
        factors: Pattern to factor on the rate. A pattern is a glob over keys (`output/*`), or one
            of the words `conv` and `dense`, by the rank of the kernel (above 2, and 2). The first
            that fits counts, so name the particular before the general. In Frankle & Carbin's
            small networks 20 % goes from dense layers a level, and 10 % from convolutions and from
            the output layer: `{"output/*": 0.5, "conv": 0.5}`.
    """

    def __init__(self, factors: Mapping[str, float] | None = None) -> None:
        self.factors = dict(factors or {})
        for pattern, factor in self.factors.items():
            if not 0.0 <= factor < math.inf:
                raise MaskError(f"A factor must be at least 0. Received: {pattern!r}: {factor}")

    def prune(self, scores: Scores, mask: Mask, rate: float, *, since: Mask | None = None) -> Mask:
        """See `Pruner`."""
        _check_rate(rate)
        counts = {}
        for key, survivors in (since or mask).counts().items():
            own_rate = rate * self._factor(key, mask[key].ndim)
            if own_rate >= 1.0:
                raise MaskError(
                    f"Each variable's own rate must be below 1. Received: {own_rate} for `{key}`."
                )
            counts[key] = survivors - prune_count(own_rate, survivors)
        return _keep_counts(scores, mask, counts, self)

    def prune_like(self, scores: Scores, mask: Mask, like: Mask) -> Mask:
        """See `Pruner`."""
        return _keep_counts(scores, mask, like.counts(), self)

    def _factor(self, key: str, rank: int) -> float:
        family = "dense" if rank == 2 else "conv"
        for pattern, factor in self.factors.items():
            if pattern == family or fnmatch.fnmatchcase(key, pattern):
                return factor
        return 1.0


class ERKPruner(Pruner):
    """Each variable for itself, with densities by the Erdős-Rényi-Kernel rule.

    The density of a variable is proportional to (sum of its sides) / (their product), scaled to
    meet the overall count, with 1 (here: what still survives) as the limit.

    Source: Evci et al. (2020, arXiv:1911.11134), section 3, "Erdős-Rényi-Kernel".
    """

    def prune(self, scores: Scores, mask: Mask, rate: float, *, since: Mask | None = None) -> Mask:
        """See `Pruner`."""
        _check_rate(rate)
        start = since or mask
        keep = start.kept - prune_count(rate, start.kept)
        return _keep_counts(scores, mask, erk_counts(start, keep), self)

    def prune_like(self, scores: Scores, mask: Mask, like: Mask) -> Mask:
        """See `Pruner`."""
        return _keep_counts(scores, mask, like.counts(), self)


def erk_counts(mask: Mask, keep: int) -> dict[str, int]:
    """Splits `keep` survivors over the variables of `mask` by the ERK rule; the sum is exact."""
    survivors = mask.counts()
    if not 0 <= keep <= mask.kept:
        raise MaskError(f"`keep` must be in [0, {mask.kept}]. Received: keep={keep}")
    # Webster's method: the j-th weight of a variable is due at (j - 1/2) / (its share of the sum).
    # Unlike rounding by the largest remainder it never takes one back when `keep` grows.
    due = [(np.arange(survivors[key]) + 0.5) / sum(mask[key].shape) for key in mask]
    order = np.concatenate(due)
    taken = keep_highest(-order, np.ones(order.size, bool), keep)
    parts = np.split(taken, np.cumsum([part.size for part in due])[:-1])
    return {key: int(np.count_nonzero(part)) for key, part in zip(mask, parts, strict=True)}


def keep_highest(scores: np.ndarray, mask: np.ndarray, keep: int) -> np.ndarray:
    """The `keep` highest-scoring survivors, ties by flat index.

    Args:
        scores: Any shape.
        mask: Boolean, of that shape: who survives so far.
        keep: At most the number of survivors.

    Returns:
        Boolean, of that shape.
    """
    alive = np.flatnonzero(mask)
    if not 0 <= keep <= alive.size:
        raise MaskError(f"A mask can only shrink: {alive.size} survive. Received: keep={keep}")
    kept = np.zeros(mask.size, bool)
    if keep:
        values = scores.ravel()[alive]
        # The keep-th highest value splits sure from undecided: one selection, no full sort.
        threshold = np.partition(values, alive.size - keep)[alive.size - keep]
        sure = values > threshold
        tied = np.flatnonzero(values == threshold)[: keep - np.count_nonzero(sure)]
        kept[alive[sure]] = True
        kept[alive[tied]] = True
    return kept.reshape(mask.shape)


def _keep_counts(scores: Scores, mask: Mask, counts: Mapping[str, int], pruner: Pruner) -> Mask:
    _check_scores(scores, mask)
    arrays = {key: keep_highest(scores[key], mask[key], counts[key]) for key in mask}
    return _not_collapsed(Mask(arrays), pruner)


def _check_rate(rate: float) -> None:
    if not 0.0 <= rate < 1.0:
        raise MaskError(f"`rate` must be in [0, 1), a share of the survivors. Received: {rate}")


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
