"""The receipt of a corruption: true and given labels, what was asked for, what came out."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from tfticket.errors import DataError
from tfticket.files import digest, load_arrays, write_arrays
from tfticket.noisy.labels import NO_CLASS, checked_labels
from tfticket.noisy.transition import ORIENTATION, as_transition


@dataclass(frozen=True, eq=False)
class Corruption:
    """Given labels beside the true ones.

    Attributes:
        given: The labels to train on, shape (n,), int64 in [0, num_classes).
        true: The true labels, shape (n,), int64; -1 where the example is of no class.
        num_classes: k.
        kind: How they were made: a kind of `TransitionMatrix`, `instance_dependent`, `open_set`, or
            `file`.
        nominal_rate: The rate that was asked for, in [0, 1]; None where none was.
        nominal: The matrix T that they were drawn from, shape (k, k); None where there is none.
        seed: Seed of the run; None for labels from a file.
        exact: Whether the counts were fixed, and not drawn for each example.

    Raises:
        DataError: when labels are out of range, or given and true ones differ in number.
    """

    given: np.ndarray
    true: np.ndarray
    num_classes: int
    kind: str
    nominal_rate: float | None = None
    nominal: np.ndarray | None = None
    seed: int | None = None
    exact: bool = False

    _KIND: ClassVar[str] = "corruption"

    def __post_init__(self) -> None:
        given = checked_labels(self.given, self.num_classes, name="given")
        true = checked_labels(self.true, self.num_classes, name="true", least=NO_CLASS)
        if len(given) != len(true):
            raise DataError(
                "There must be a given label for each true one. Received: "
                f"{len(given)} given, {len(true)} true."
            )
        for name, array in (("given", given), ("true", true)):
            array.setflags(write=False)
            object.__setattr__(self, name, array)
        if self.nominal is not None:
            object.__setattr__(self, "nominal", as_transition(self.nominal).matrix)

    @property
    def changed(self) -> np.ndarray:
        """Where the given label is wrong, shape (n,), bool."""
        return self.given != self.true

    @property
    def realized_rate(self) -> float:
        """Share of wrong labels, in [0, 1]."""
        return float(self.changed.mean())

    @property
    def realized(self) -> np.ndarray:
        """The matrix that came out, shape (k, k); a row of NaN for a class without examples."""
        known = self.true != NO_CLASS
        counts = np.zeros((self.num_classes, self.num_classes))
        np.add.at(counts, (self.true[known], self.given[known]), 1)
        sums = counts.sum(axis=1, keepdims=True)
        return np.where(sums > 0, counts / np.maximum(sums, 1), np.nan)

    @property
    def sha256(self) -> str:
        """Hash of the true and the given labels; what was asked for doesn't enter."""
        return digest({"given": self.given, "true": self.true})

    def to_dict(self) -> dict[str, Any]:
        """The receipt as plain values for JSON; rows of absent classes are None."""
        return {
            "kind": self.kind,
            "examples": len(self.given),
            "num_classes": self.num_classes,
            "nominal_rate": self.nominal_rate,
            "realized_rate": self.realized_rate,
            "wrong": int(self.changed.sum()),
            "exact": self.exact,
            "seed": self.seed,
            "orientation": ORIENTATION,
            "nominal": None if self.nominal is None else self.nominal.tolist(),
            "realized": [None if np.isnan(row).any() else row.tolist() for row in self.realized],
            "sha256": self.sha256,
        }

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Writes labels and receipt as one `.npz`, whole or not at all.

        Raises:
            RunError: when it can't be written.
        """
        arrays = {"given": self.given, "true": self.true}
        return write_arrays(
            path, kind=self._KIND, header={"receipt": self.to_dict()}, arrays=arrays
        )

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Corruption:
        """Reads what `save` wrote.

        Raises:
            TicketError: when the file is missing, damaged, or no corruption.
        """
        return load_arrays(path, cls._decode, kind=cls._KIND, holds="labels and their receipt")

    @classmethod
    def _decode(cls, header: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Corruption:
        names = ("num_classes", "kind", "nominal_rate", "nominal", "seed", "exact")
        settings = {name: header["receipt"][name] for name in names}
        return cls(arrays["given"], arrays["true"], **settings)


def given_labels(true: ArrayLike, given: ArrayLike, *, num_classes: int) -> Corruption:
    """Labels that the user has, such as people's, in place of ones that were made wrong.

    Args:
        true: True labels, shape (n,), integers in [0, num_classes).
        given: What somebody took them for, in the same order: compare `read_label_file`.
        num_classes: k, at least 2.

    Raises:
        DataError: when labels are out of range, or they differ in number.
    """
    true = checked_labels(true, num_classes, name="true")
    return Corruption(np.asarray(given), true, num_classes, "file")
