"""Internal covariate shift: how much a layer's gradient changes because the layers before it did.

Definition 2.1 of Santurkar et al. (arXiv:1805.11604). With the weights W_1..W_k before a step on
the batch B and W'_1..W'_k after it,

    G_i  = dL/dW_i (W_1, ..., W_k; B)
    G'_i = dL/dW_i (W'_1, ..., W'_{i-1}, W_i, W_{i+1}, ..., W_k; B)

    l2 = ||G_i - G'_i||_2 (ideally 0)        cosine = <G_i, G'_i> / (||G_i|| ||G'_i||) (ideally 1)

Nothing here needs TensorFlow.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from tfticket.errors import TicketError
from tfticket.files import load_arrays, write_arrays
from tfticket.metrics import Row

SPLIT = "shift"
_KIND = "shift"


@dataclass(frozen=True, eq=False)
class ShiftRecord:
    """The measurements of one training: T moments, L layers.

    Attributes:
        step: Optimizer steps made before the measurement, shape (T,), int64.
        layers: Names of the layers, shape (L,), strings.
        l2: ||G_i - G'_i||_2, shape (T, L).
        cosine: Cosine of the angle between G_i and G'_i, shape (T, L); NaN where one is zero.
        gradient_norm: ||G_i||_2, shape (T, L).
    """

    step: np.ndarray
    layers: np.ndarray
    l2: np.ndarray
    cosine: np.ndarray
    gradient_norm: np.ndarray

    def __post_init__(self) -> None:
        shape = (len(self.step), len(self.layers))
        for name in ("l2", "cosine", "gradient_norm"):
            if getattr(self, name).shape != shape:
                raise ValueError(
                    f"`{name}` must have the shape {shape}, from {shape[0]} steps and {shape[1]} "
                    f"layers. Received: {getattr(self, name).shape}."
                )

    def __len__(self) -> int:
        return len(self.step)

    def rows(self, *, seed: int, branch: str, steps_per_epoch: float, level: int = 0) -> list[Row]:
        """`l2` and `cosine` in the common table, under the split `shift`; NaN is left out."""
        return [
            Row(seed, branch, level, step, step / steps_per_epoch, SPLIT, name, float(value))
            for moment, step in enumerate(self.step.tolist())
            for place, layer in enumerate(self.layers)
            for name, value in (
                (f"l2/{layer}", self.l2[moment, place]),
                (f"cosine/{layer}", self.cosine[moment, place]),
            )
            if np.isfinite(value)
        ]

    def to_arrays(self) -> dict[str, np.ndarray]:
        """The fields by name."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> ShiftRecord:
        """The record that `to_arrays` took apart; raises `TicketError` when a field is missing."""
        missing = [field.name for field in fields(cls) if field.name not in arrays]
        if missing:
            raise TicketError(f"A record of shift must have all of its fields. Missing: {missing}.")
        return cls(**{field.name: np.asarray(arrays[field.name]) for field in fields(cls)})

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Writes one `.npz`, whole or not at all."""
        return write_arrays(path, kind=_KIND, header={}, arrays=self.to_arrays())

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> ShiftRecord:
        """Reads what `save` wrote; raises `TicketError` when it is missing or damaged."""
        return load_arrays(
            path, lambda _, arrays: cls.from_arrays(arrays), kind=_KIND, holds="a record of shift"
        )
