"""The labels to be looked at, with the examples that they belong to."""

from __future__ import annotations

import os
from dataclasses import dataclass

import numpy as np

from tfticket import data
from tfticket.data import DataSet
from tfticket.errors import DataError
from tfticket.noisy import (
    Corruption,
    TransitionMatrix,
    corrupt,
    given_labels,
    instance_dependent,
    read_label_file,
)

PathLike = str | os.PathLike[str]


@dataclass(frozen=True, eq=False)
class Subject:
    """A data set whose labels are looked at.

    Attributes:
        data: The data set as `data.load_whole` gives it: an id is a place in its `train`.
        given: The labels in question, shape (n,), int64.
        corruption: Given and true labels, where the true ones are known; else None.
    """

    data: DataSet
    given: np.ndarray
    corruption: Corruption | None = None

    def __len__(self) -> int:
        return len(self.given)

    @property
    def has_rows(self) -> bool:
        """Whether the examples are rows of numbers: features, embeddings, a table."""
        x = self.data.train.x
        return x.ndim == 2 and x.dtype.kind == "f"

    @classmethod
    def load(
        cls,
        name: str,
        *,
        labels: PathLike | None = None,
        data_dir: PathLike | None = None,
        limit: int | None = None,
    ) -> Subject:
        """Loads a data set by name.

        Args:
            name: What `data.load` takes: `digits`, `mnist`, `folder:PATH`, `npz:PATH`, ...
            labels: A file of labels, see `read_label_file`: the ones in question, so that the data
                set's own are the true ones. None asks about the data set's own.
            data_dir: Where data sets lie.
            limit: Look at the first so many examples only.

        Raises:
            DataError: when data or labels can't be had, differ in number, or it is a regression.
        """
        whole = data.load_whole(name, data_dir=data_dir, limit=limit)
        if whole.regression:
            raise DataError(f"Labels must be classes to be looked at. Received: {name}.")
        own = whole.train.y.astype(np.int64)
        if labels is None:
            return cls(whole, own)
        given = read_label_file(labels, num_classes=whole.num_classes)[:limit]
        if len(given) != len(own):
            raise DataError(
                f"`{labels}` must hold a label for each of the {len(own):,} training examples of "
                f"`{name}`, in their order. Received: {len(given):,}."
            )
        return cls(whole, given, given_labels(own, given, num_classes=whole.num_classes))

    def corrupted(self, transition: TransitionMatrix, *, seed: int, exact: bool = False) -> Subject:
        """The same examples, with the labels in question made wrong, and taken for true before.

        Args:
            transition: T, over the classes of the data.
            seed: Seed of the noise.
            exact: See `tfticket.noisy.corrupt`.

        Raises:
            DataError: when T is about another number of classes.
        """
        if transition.num_classes != self.data.num_classes:
            raise DataError(
                f"The transition matrix must be about the {self.data.num_classes} classes of "
                f"`{self.data.name}`. Received: one about {transition.num_classes}."
            )
        return self._with(corrupt(self.given, transition, seed=seed, exact=exact))

    def corrupted_by_looks(self, rate: float, *, seed: int) -> Subject:
        """The same with noise that depends on the example; see `noisy.instance_dependent`.

        Args:
            rate: Mean flip rate, in [0, 1].
            seed: Seed of the noise.
        """
        classes = self.data.num_classes
        return self._with(
            instance_dependent(
                self.data.train.x, self.given, num_classes=classes, rate=rate, seed=seed
            )
        )

    def _with(self, made: Corruption) -> Subject:
        return Subject(self.data, made.given, made)

    def inputs(self) -> np.ndarray:
        """What a network sees, shape (n, *input_shape)."""
        return self.data.inputs(self.data.train)
