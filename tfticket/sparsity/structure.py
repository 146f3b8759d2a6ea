"""Structures: which weights are pruned together (single weights, blocks, n of m).

A structure divides the weights into *units*. A pruner chooses among units, and its counts and rates
are of units; the weights of a unit that goes all go. Inputs of a kernel are its axis -2 and outputs
its axis -1, as in Dense layers and convolutions; kernels that differ (transposed and depthwise
convolutions) are divided along the same axes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tfticket.errors import MaskError
from tfticket.sparsity.mask import Mask
from tfticket.sparsity.ranking import keep_highest

Scores = Mapping[str, np.ndarray]


class Structure(ABC):
    """Abstract base of the structures that a pruner keeps.

    Attributes:
        name: Name in recipes.
        rule: Sentence about the units that must stay; empty where none must.

    Example:
        >>> isinstance(Blocks(4), Structure)
        True
    """

    name: ClassVar[str]

    @property
    def rule(self) -> str:
        """Sentence about the units that must stay."""
        return ""

    @abstractmethod
    def units(self, mask: Mask) -> Mask:
        """Map keys to which units have a surviving weight: boolean, one entry for each unit.

        Raises:
            MaskError: when the structure doesn't fit the mask.
        """

    @abstractmethod
    def unit_scores(self, scores: Scores, mask: Mask) -> dict[str, np.ndarray]:
        """Pool the scores of surviving weights to one for each unit, of the shapes of `units`."""

    @abstractmethod
    def expand(self, units: Mask, mask: Mask) -> Mask:
        """Remove from `mask` the weights of units that aren't in `units`."""

    def protected(self, scores: Scores, units: Mask) -> Mask:
        """Return the units that stay whatever their scores; their number is `least`."""
        return Mask({key: np.zeros(shape, bool) for key, shape in units.shapes.items()})

    def least(self, units: Mask) -> dict[str, int]:
        """Count the units of each key that must stay."""
        return dict.fromkeys(units, 0)

    def rounding(self, total: int) -> int:
        """Return within which distance of the protected count a count is rounded to it."""
        return 0

    def shuffled(self, mask: Mask, rng: np.random.Generator) -> Mask:
        """Draw a mask with the same number of units in each variable, at random places."""
        return self.expand(self.units(mask).shuffled(rng), Mask.ones(mask.shapes))

    def random(self, mask: Mask, rng: np.random.Generator) -> Mask:
        """Draw a mask with the same number of units overall, from all variables together."""
        return self.expand(self.units(mask).random(rng), Mask.ones(mask.shapes))


@dataclass(frozen=True)
class Unstructured(Structure):
    """Structure of single weights.

    Example:
        >>> mask = Mask({"a": [[1, 0]]})
        >>> Unstructured().units(mask) == mask
        True
    """

    name = "unstructured"

    def units(self, mask: Mask) -> Mask:
        """See `Structure`."""
        return mask

    def unit_scores(self, scores: Scores, mask: Mask) -> dict[str, np.ndarray]:
        """See `Structure`."""
        return {key: scores[key] for key in mask}

    def expand(self, units: Mask, mask: Mask) -> Mask:
        """See `Structure`."""
        return _both(units, mask)


UNSTRUCTURED = Unstructured()


@dataclass(frozen=True)
class Blocks(Structure):
    """Structure of blocks: consecutive inputs of one output; the last block may be shorter.

    TFLite stores the kernel of a dense layer as (outputs, inputs), so that blocks of 4 are the 1x4
    blocks of its sparse FULLY_CONNECTED. A block scores the mean of its surviving weights' scores.

    Source: Mao et al. (2017, arXiv:1705.08922), where a grain is as salient as the sum of its
    weights' magnitudes; the mean is fair to shorter blocks.

    Args:
        size: Inputs in a block, at least 1.

    Example:
        >>> scores = {"a": np.array([[1.0], [1.0], [3.0], [4.0]])}
        >>> mask = Mask.ones({"a": (4, 1)})
        >>> Blocks(2).unit_scores(scores, mask)["a"].tolist()
        [[1.0], [3.5]]
    """

    size: int = 4

    name = "block_1x4"

    def __post_init__(self) -> None:
        if self.size < 1:
            raise MaskError(f"`size` must be at least 1. Received: size={self.size}")

    def units(self, mask: Mask) -> Mask:
        """See `Structure`; the arrays have the axes of the kernels."""
        return Mask({key: np.logical_or.reduceat(*self._split(mask[key])) for key in mask})

    def unit_scores(self, scores: Scores, mask: Mask) -> dict[str, np.ndarray]:
        """See `Structure`."""
        pooled = {}
        for key in mask:
            alive = np.where(mask[key], np.asarray(scores[key], np.float64), 0.0)
            counts = np.add.reduceat(*self._split(mask[key].astype(np.int64)))
            with np.errstate(invalid="ignore"):  # infinities of both signs; refused as NaN
                pooled[key] = np.add.reduceat(*self._split(alive)) / np.maximum(counts, 1)
        return pooled

    def expand(self, units: Mask, mask: Mask) -> Mask:
        """See `Structure`."""
        repeated = {key: np.repeat(units[key], self.size, axis=-2) for key in mask}
        return _both({key: repeated[key][..., : mask[key].shape[-2], :] for key in mask}, mask)

    def _split(self, array: np.ndarray) -> tuple[np.ndarray, np.ndarray, int]:
        """Return the arguments of `ufunc.reduceat` that reduce each block."""
        return array, np.arange(0, array.shape[-2], self.size), -2


@dataclass(frozen=True)
class NOfM(Structure):
    """Structure n of m: of each `m` consecutive inputs of an output the `n` best stay.

    Each weight is a unit. At every step the lowest of those that aren't protected go, so the
    pattern is complete at the density n / m, when each block has its `n` left. A shorter last block
    keeps `n` too, or all that it has, since runtimes pad it with zeros. So kernels with few inputs
    (of images) can't get as sparse; leave them dense by `skip`.

    A count within rounding of the complete pattern (a thousandth of the weights, or 3) is rounded
    to it. Below that the pruner refuses.

    Source: Mishra et al. (2021, arXiv:2104.08378), 2 of 4 by magnitude; here in several steps.

    Args:
        n: Weights to keep of each block, at least 1.
        m: Length of a block, greater than `n`.

    Example:
        >>> NOfM(2, 4).least(Mask.ones({"a": (8, 3)}))
        {'a': 12}
    """

    n: int = 2
    m: int = 4

    name = "n_of_m"

    def __post_init__(self) -> None:
        if not 1 <= self.n < self.m:
            raise MaskError(f"`n` of `m` needs 1 <= n < m. Received: n={self.n}, m={self.m}")

    @property
    def rule(self) -> str:
        """See `Structure`."""
        return f"Of each {self.m} consecutive inputs of an output {self.n} must stay."

    def units(self, mask: Mask) -> Mask:
        """See `Structure`."""
        return mask

    def unit_scores(self, scores: Scores, mask: Mask) -> dict[str, np.ndarray]:
        """See `Structure`."""
        return {key: scores[key] for key in mask}

    def expand(self, units: Mask, mask: Mask) -> Mask:
        """See `Structure`."""
        return _both(units, mask)

    def protected(self, scores: Scores, units: Mask) -> Mask:
        """See `Structure`."""
        return Mask({key: self._best(scores[key], units[key]) for key in units})

    def least(self, units: Mask) -> dict[str, int]:
        """See `Structure`."""
        least = {}
        for key, array in units.items():
            starts = np.arange(0, array.shape[-2], self.m)
            alive = np.add.reduceat(array.astype(np.int64), starts, axis=-2)
            least[key] = int(np.minimum(alive, self.n).sum())
        return least

    def rounding(self, total: int) -> int:
        """See `Structure`."""
        return max(3, total // 1000)

    def shuffled(self, mask: Mask, rng: np.random.Generator) -> Mask:
        """See `Structure`; the `n` protected weights of each block are drawn first."""
        return Mask(
            {
                key: self._drawn([array.shape], int(np.count_nonzero(array)), rng)[0]
                for key, array in mask.items()
            }
        )

    def random(self, mask: Mask, rng: np.random.Generator) -> Mask:
        """See `Structure`; the `n` protected weights of each block are drawn first."""
        drawn = self._drawn(list(mask.shapes.values()), mask.kept, rng)
        return Mask(dict(zip(mask, drawn, strict=True)))

    def _drawn(
        self, shapes: list[tuple[int, ...]], keep: int, rng: np.random.Generator
    ) -> list[np.ndarray]:
        scores = [rng.random(shape) for shape in shapes]
        protected = [self._best(array, np.ones(array.shape, bool)) for array in scores]
        flat = np.concatenate([array.ravel() for array in scores])
        sure = np.concatenate([array.ravel() for array in protected])
        kept = keep_highest(flat, np.ones(flat.size, bool), keep, sure)
        parts = np.split(kept, np.cumsum([array.size for array in scores])[:-1])
        return [part.reshape(shape) for part, shape in zip(parts, shapes, strict=True)]

    def _best(self, scores: np.ndarray, alive: np.ndarray) -> np.ndarray:
        """Return the `n` highest-scoring survivors of each block, ties by index."""
        inputs, outputs = alive.shape[-2:]
        blocks = -(-inputs // self.m)
        padding = [(0, 0)] * (alive.ndim - 2) + [(0, blocks * self.m - inputs), (0, 0)]
        shape = (*alive.shape[:-2], blocks, self.m, outputs)
        alive = np.pad(alive, padding).reshape(shape)
        scores = np.pad(np.asarray(scores, np.float64), padding).reshape(shape)
        left = np.where(alive, np.maximum(scores, np.finfo(np.float64).min), -np.inf)
        for _ in range(self.n):
            highest = np.expand_dims(np.argmax(left, axis=-2), -2)
            np.put_along_axis(left, highest, -np.inf, axis=-2)
        best = (alive & np.isneginf(left)).reshape(*shape[:-3], blocks * self.m, outputs)
        return best[..., :inputs, :]


def _both(ours: Mapping[str, np.ndarray], mask: Mask) -> Mask:
    return Mask({key: ours[key] & mask[key] for key in mask})
