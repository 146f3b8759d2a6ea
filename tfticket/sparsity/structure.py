"""Which weights live and die together.

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
    """What a pruner chooses among.

    Attributes:
        name: As in recipes.
        rule: A sentence that says what is protected; empty where nothing is.
    """

    name: ClassVar[str]

    @property
    def rule(self) -> str:
        """See above."""
        return ""

    @abstractmethod
    def units(self, mask: Mask) -> Mask:
        """The units that have a surviving weight: key to boolean array, one entry a unit.

        Raises:
            MaskError: when the structure doesn't fit the mask.
        """

    @abstractmethod
    def unit_scores(self, scores: Scores, mask: Mask) -> dict[str, np.ndarray]:
        """One score a unit from those of its surviving weights; of the shapes of `units`."""

    @abstractmethod
    def expand(self, units: Mask, mask: Mask) -> Mask:
        """`mask` without the weights of units that aren't in `units`."""

    def protected(self, scores: Scores, units: Mask) -> Mask:
        """The units that stay, whatever the others score; as many as `least` says."""
        return Mask({key: np.zeros(shape, bool) for key, shape in units.shapes.items()})

    def least(self, units: Mask) -> dict[str, int]:
        """Key to the number of its units that stay."""
        return dict.fromkeys(units, 0)

    def rounding(self, total: int) -> int:
        """How far from what is protected, of `total` units, a count is still rounded to it."""
        return 0

    def shuffled(self, mask: Mask, rng: np.random.Generator) -> Mask:
        """A mask with the same number of units in each variable, at places drawn anew."""
        return self.expand(self.units(mask).shuffled(rng), Mask.ones(mask.shapes))

    def random(self, mask: Mask, rng: np.random.Generator) -> Mask:
        """A mask with as many units in all, drawn anew from all variables together."""
        return self.expand(self.units(mask).random(rng), Mask.ones(mask.shapes))


@dataclass(frozen=True)
class Unstructured(Structure):
    """Each weight for itself."""

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
    """Consecutive inputs of one output; the last block of a kernel may be shorter.

    TFLite stores the kernel of a dense layer as (outputs, inputs), so that blocks of 4 are the 1x4
    blocks of its sparse FULLY_CONNECTED. A block scores the mean of its surviving weights' scores.

    Source: Mao et al. (2017, arXiv:1705.08922), where a grain is as salient as the sum of its
    weights' magnitudes; the mean is fair to shorter blocks.

    Args:
        size: How many inputs make a block, at least 1.
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
        """What `ufunc.reduceat` takes to reduce each block."""
        return array, np.arange(0, array.shape[-2], self.size), -2


@dataclass(frozen=True)
class NOfM(Structure):
    """Of each `m` consecutive inputs of an output at least the `n` best stay.

    Each weight is a unit. At every step the lowest go among those that aren't protected, so the
    pattern is complete when each block has no more than its `n`: at the density n / m. A last block
    that is shorter keeps `n` too, or all where it has no more, since runtimes fill it up with
    zeros. So kernels with few inputs (of images) can't get as sparse; leave them dense by `skip`.

    A count that is as near to the pattern as rounding makes it, a thousandth of the weights or 3 of
    them, is rounded to it, so that the pattern gets complete. Below that the pruner refuses.

    Source: Mishra et al. (2021, arXiv:2104.08378), 2 of 4 by magnitude; here in several steps.

    Args:
        n: At least 1.
        m: Greater than `n`.
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
        """See `Structure`; the `n` that a block must have are drawn first."""
        return Mask(
            {
                key: self._drawn([array.shape], int(np.count_nonzero(array)), rng)[0]
                for key, array in mask.items()
            }
        )

    def random(self, mask: Mask, rng: np.random.Generator) -> Mask:
        """See `Structure`; the `n` that a block must have are drawn first."""
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
        """The `n` highest-scoring survivors of each block, ties by place."""
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
