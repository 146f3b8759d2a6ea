"""Data sets whose labels are in question."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tfticket import data
from tfticket.data import DataSet
from tfticket.errors import DataError
from tfticket.noise import (
    Corruption,
    TransitionMatrix,
    corrupt,
    given_labels,
    instance_dependent,
    read_label_file,
)
from tfticket.noise.labels.given import NO_CLASS
from tfticket.wording import brief_repr

PathLike = str | os.PathLike[str]

_MOST_PIXELS = 5_000_000


@dataclass(frozen=True, eq=False)
class LabeledData:
    """A data set whose labels are in question.

    Attributes:
        data: The data set as `data.load_whole` gives it: an id is a place in its `train`.
        given: The labels in question, shape (n,), int64; -1 where there is none.
        corruption: Given and true labels, where the true ones are known; else None.
    """

    data: DataSet
    given: np.ndarray
    corruption: Corruption | None = None

    __repr__ = brief_repr

    def __len__(self) -> int:
        return len(self.given)

    @property
    def has_rows(self) -> bool:
        """True where the examples are rows of numbers: features, embeddings, a table."""
        x = self.data.train.x
        return x.ndim == 2 and x.dtype.kind == "f"

    @property
    def has_small_images(self) -> bool:
        """True where pixels can be compared in seconds, as rows of numbers."""
        x = self.data.train.x
        return x.ndim == 4 and x.size <= _MOST_PIXELS

    @classmethod
    def load(
        cls,
        name: str,
        *,
        labels: PathLike | None = None,
        data_dir: PathLike | None = None,
        limit: int | None = None,
        label_column: str | None = None,
    ) -> LabeledData:
        """Load a data set by name.

        Labels may be missing, and files of a folder may be unreadable: these are left out, and
        stand in `data.unreadable`.

        Args:
            name: What `data.load` takes: `digits`, `mnist`, `folder:PATH`, `npz:PATH`, ...
            labels: A file of labels, see `read_label_file`: the ones in question, so that the data
                set's own are the true ones. None asks about the data set's own.
            data_dir: Folder of the data sets.
            limit: Use only the first N examples.
            label_column: Name of the column of labels in a table.

        Raises:
            DataError: when data or labels can't be had, differ in number, or it is a regression.
        """
        whole = data.load_whole(
            name,
            data_dir=data_dir,
            limit=limit,
            label_column=label_column,
            missing_labels="keep",
            unreadable="skip",
        )
        if whole.regression:
            raise DataError(f"Labels must be classes to be audited. Received: {name}.")
        own = whole.train.y.astype(np.int64)
        if labels is None:
            return cls(whole, own)
        given = read_label_file(labels, class_names=whole.class_names, missing="keep")[:limit]
        if len(given) != len(own):
            raise DataError(
                f"`{labels}` must hold a label for each of the {len(own):,} training examples of "
                f"`{name}`, in their order. Received: {len(given):,}."
            )
        # Where a label is missing, given or true, nothing is known to be wrong.
        true = np.where(own == NO_CLASS, np.maximum(given, 0), own)
        filled = np.where(given == NO_CLASS, true, given)
        return cls(whole, given, given_labels(true, filled, num_classes=whole.num_classes))

    def corrupted(
        self, transition: TransitionMatrix, *, seed: int, exact: bool = False
    ) -> LabeledData:
        """Corrupt the labels by a transition matrix; the present ones are taken for true.

        Args:
            transition: T, over the classes of the data.
            seed: Seed of the noise.
            exact: See `tfticket.noise.corrupt`.

        Raises:
            DataError: when T is about another number of classes.
        """
        if transition.num_classes != self.data.num_classes:
            raise DataError(
                f"The transition matrix must be about the {self.data.num_classes} classes of "
                f"`{self.data.name}`. Received: one about {transition.num_classes}."
            )
        return self._with(corrupt(self.given, transition, seed=seed, exact=exact))

    def corrupted_by_looks(
        self, rate: float, *, seed: int, draw: Callable[..., Corruption] = instance_dependent
    ) -> LabeledData:
        """Corrupt the labels by noise that depends on the example.

        Args:
            rate: Mean flip rate, in [0, 1].
            seed: Seed of the noise.
            draw: `instance_dependent` or `human_like`.
        """
        classes = self.data.num_classes
        return self._with(
            draw(self.data.train.x, self.given, num_classes=classes, rate=rate, seed=seed)
        )

    def _with(self, made: Corruption) -> LabeledData:
        return LabeledData(self.data, made.given, made)

    def inputs(self) -> np.ndarray:
        """Inputs of a network, shape (n, *input_shape)."""
        return self.data.inputs(self.data.train)
