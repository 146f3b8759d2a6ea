"""Masks: which weights of a network are kept, as immutable plain data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any

import numpy as np

from tfticket.errors import MaskError
from tfticket.files import digest


class Mask(Mapping[str, np.ndarray]):
    """Immutable mapping from the key of a variable to a boolean array, True = kept.

    Equal masks compare equal. `total`, `kept`, `density` and `sparsity` count prunable weights
    only, as the papers do.

    Args:
        arrays: Key (`conv1/kernel`) to an array of the variable's shape, of booleans or of numbers
            that are 0 or 1.

    Raises:
        MaskError: when an array holds other values.

    Example:
        >>> mask = Mask({"dense/kernel": [[1, 0], [0, 0]]})
        >>> mask.kept, mask.sparsity
        (1, 0.75)
        >>> mask.apply({"dense/kernel": np.full((2, 2), -3.0)})["dense/kernel"].tolist()
        [[-3.0, 0.0], [0.0, 0.0]]
    """

    def __init__(self, arrays: Mapping[str, Any]) -> None:
        self._arrays = {key: _as_mask(key, array) for key, array in arrays.items()}

    @classmethod
    def ones(cls, shapes: Mapping[str, tuple[int, ...]]) -> Mask:
        """Make the dense mask, from key to shape."""
        return cls({key: np.ones(shape, bool) for key, shape in shapes.items()})

    def __getitem__(self, key: str) -> np.ndarray:
        return self._arrays[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._arrays)

    def __len__(self) -> int:
        return len(self._arrays)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Mask):
            return NotImplemented
        return self.keys() == other.keys() and all(
            np.array_equal(self[key], other[key]) for key in self
        )

    def __hash__(self) -> int:
        return hash(self.sha256)

    def __repr__(self) -> str:
        return f"Mask({len(self)} variables, {self.kept:,} of {self.total:,} weights kept)"

    @cached_property
    def total(self) -> int:
        """Number of weights that the mask covers."""
        return sum(array.size for array in self._arrays.values())

    @cached_property
    def kept(self) -> int:
        """Number of weights that are kept."""
        return sum(self.counts().values())

    @property
    def density(self) -> float:
        """`kept / total`, in [0, 1]."""
        return self.kept / self.total if self.total else 1.0

    @property
    def sparsity(self) -> float:
        """`1 - density`."""
        return 1.0 - self.density

    @cached_property
    def sha256(self) -> str:
        """Hash of keys, shapes and bits."""
        return digest(self.to_arrays())

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Key to shape."""
        return {key: array.shape for key, array in self._arrays.items()}

    def counts(self) -> dict[str, int]:
        """Count the kept weights of each key."""
        return {key: int(np.count_nonzero(array)) for key, array in self._arrays.items()}

    def is_subset_of(self, other: Mask) -> bool:
        """Tell whether all weights kept here are kept in `other`."""
        self._check_same_shapes(other)
        return all(not np.any(self[key] & ~other[key]) for key in self)

    def overlap(self, other: Mask) -> float:
        """Return the Jaccard index of the kept sets, |A and B| / |A or B|; 1 for two empty ones."""
        self._check_same_shapes(other)
        both = sum(int(np.count_nonzero(self[key] & other[key])) for key in self)
        either = self.kept + other.kept - both
        return both / either if either else 1.0

    def shuffled(self, rng: np.random.Generator) -> Mask:
        """Draw a mask with the same count in each layer, at random places."""
        return Mask(
            {
                key: rng.permuted(array.ravel()).reshape(array.shape)
                for key, array in self._arrays.items()
            }
        )

    def random(self, rng: np.random.Generator) -> Mask:
        """Draw a mask with the same overall count, at random places of all layers together."""
        flat = rng.permuted(np.concatenate([array.ravel() for array in self._arrays.values()]))
        parts = np.split(flat, np.cumsum([array.size for array in self._arrays.values()])[:-1])
        return Mask(
            {key: part.reshape(self[key].shape) for key, part in zip(self, parts, strict=True)}
        )

    def apply(self, weights: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Copy `weights` with exact (positive) zeros where the mask prunes.

        Keys that the mask doesn't have are passed on unchanged.

        Raises:
            MaskError: when a key of the mask is missing or has another shape.
        """
        missing = [key for key in self if key not in weights]
        if missing:
            raise MaskError(f"Each key of a mask must be among the weights. Missing: {missing}")
        return {
            key: np.where(self._fitting(key, array), array, np.zeros((), array.dtype))
            if key in self
            else array
            for key, array in weights.items()
        }

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Pack eight weights into a byte, with the shape beside it; `from_arrays` reads it."""
        packed: dict[str, np.ndarray] = {}
        for key, array in self._arrays.items():
            packed[f"{key}:bits"] = np.packbits(array.ravel())
            packed[f"{key}:shape"] = np.asarray(array.shape, np.int64)
        return packed

    @classmethod
    def from_arrays(cls, packed: Mapping[str, np.ndarray]) -> Mask:
        """Unpack what `to_arrays` returned."""
        arrays = {}
        for name, bits in packed.items():
            if name.endswith(":bits"):
                key = name.removesuffix(":bits")
                shape = tuple(int(side) for side in packed[f"{key}:shape"])
                size = int(np.prod(shape, dtype=np.int64))
                if (size + 7) // 8 != bits.size:
                    raise MaskError(
                        f"A mask of shape {shape} needs {(size + 7) // 8} bytes. "
                        f"Received: {bits.size} for `{key}`."
                    )
                arrays[key] = np.unpackbits(bits, count=size).astype(bool).reshape(shape)
        return cls(arrays)

    def _fitting(self, key: str, array: np.ndarray) -> np.ndarray:
        if self[key].shape != array.shape:
            raise MaskError(
                f"A mask must have the shape of its variable. Received: `{key}` has the shape "
                f"{array.shape}, its mask {self[key].shape}."
            )
        return self[key]

    def _check_same_shapes(self, other: Mask) -> None:
        if self.shapes != other.shapes:
            differing = sorted({key for key, _ in self.shapes.items() ^ other.shapes.items()})
            raise MaskError(
                "Two masks can be compared only when they cover the same variables with the same "
                f"shapes. Differing: {differing}."
            )


def _as_mask(key: str, array: Any) -> np.ndarray:
    given = np.asarray(array)
    kept = given.astype(bool)
    if given.dtype != bool and not np.array_equal(kept, given):
        raise MaskError(f"A mask holds 0 and 1 only. Received: other values for `{key}`.")
    if kept is given:
        kept = kept.copy()
    kept.setflags(write=False)
    return kept
