"""Data sets as plain arrays, with the scaling that turns their values into inputs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tfticket.data.arrays import aligned_rows, pieces
from tfticket.data.cells import Cells, Feature
from tfticket.wording import brief_repr


@dataclass(frozen=True, eq=False)
class Split:
    """Examples and their labels.

    Attributes:
        x: Inputs, shape (n, *input_shape), uint8 where the source is uint8 and float32 elsewhere;
            int64 for whole numbers that float32 can't hold, such as hashes.
        y: Labels, shape (n,), int32 in [0, num_classes), and -1 where one is missing (which only
            `load_whole` keeps, when asked to); of a segmentation one a pixel, shape
            (n, height, width); of a regression targets, shape (n, outputs), float32.
        files: For each example the file that it was read from, below the folder of the data set
            and with `/` between folders, shape (n,), text; None where examples have no files.
        cells: The rows of the table that examples were read from; None where there is none.
    """

    x: np.ndarray
    y: np.ndarray
    files: np.ndarray | None = None
    cells: Cells | None = None

    __repr__ = brief_repr

    def __len__(self) -> int:
        return len(self.y)

    def first(self, count: int | None) -> Split:
        """Return the first `count` examples; all if None."""
        chosen = np.arange(len(self))[:count]
        return Split(self.x[:count], self.y[:count], *self._beside(chosen))

    def take(self, chosen: np.ndarray) -> Split:
        """Return the examples at some places, shape (m,), rising; the arrays are aligned copies."""
        return Split(
            aligned_rows(self.x, chosen), aligned_rows(self.y, chosen), *self._beside(chosen)
        )

    def _beside(self, chosen: np.ndarray) -> tuple[np.ndarray | None, Cells | None]:
        return (
            None if self.files is None else self.files[chosen],
            None if self.cells is None else self.cells.take(chosen),
        )


@dataclass(frozen=True)
class Unreadable:
    """A file of a data set that can't be read.

    Attributes:
        file: Its path below the folder of the data set, with `/` between folders.
        reason: Why, as a clause: `it is damaged, or no image`.
        class_name: Name of the class that it belongs to.
    """

    file: str
    reason: str
    class_name: str


@dataclass(frozen=True, eq=False)
class DataSet:
    """A data set in memory, split three ways.

    The arrays hold the values of the source; `x * scale + offset` is the input of a network. `Feed`
    and `batches` scale one batch at a time, so that memory holds bytes and not floats; `as_fed` and
    `inputs` scale arrays.

    Attributes:
        name: Name that it was loaded by.
        train: Examples to train on.
        validation: Examples held out of the training data, to stop and to choose by.
        test: Examples that no decision depends on.
        num_classes: Number of classes; 0 for a regression.
        class_names: A name for each class, by label; empty for a regression.
        input_shape: Shape of one example.
        scale: Factor, float32, shape () or (channels,).
        offset: What is added after the factor, float32, shape as `scale`.
        description: Its origin and preprocessing, in a sentence or two.
        train_ids: The places of `train` in the source's training data, shape (n,), int64, rising.
        validation_ids: The same of `validation`.
        source_count: Number of examples in the source's training data.
        fingerprint: SHA-256 over the source's arrays, the split and the normalization: equal
            fingerprints mean equal numbers.
        normalize: Scaling of the inputs: `none`, `unit` or `standard`.
        feeding: Type, range and scaling of the inputs in a sentence, part of `description` too.
        unreadable: The files that were left out, see `load_whole`.
        features: Of a table: what each column of the inputs is; else empty.

    Example:
        >>> from tfticket.data import load
        >>> data = load("digits", validation=0.2)
        >>> data.train.x.max(), data.inputs(data.train).max(), data.outputs
        (np.uint8(16), np.float32(1.0), 10)
    """

    name: str
    train: Split
    validation: Split
    test: Split
    num_classes: int
    class_names: tuple[str, ...]
    input_shape: tuple[int, ...]
    scale: np.ndarray
    offset: np.ndarray
    description: str
    train_ids: np.ndarray
    validation_ids: np.ndarray
    source_count: int
    fingerprint: str
    normalize: str = "none"
    feeding: str = ""
    unreadable: tuple[Unreadable, ...] = ()
    features: tuple[Feature, ...] = ()

    def __repr__(self) -> str:
        counts = f"{len(self.train):,} + {len(self.validation):,} + {len(self.test):,} examples"
        return (
            f"DataSet({self.name!r}, {counts} of shape {self.input_shape}, {self.outputs} outputs)"
        )

    @property
    def regression(self) -> bool:
        """True if targets are numbers, not classes."""
        return not self.num_classes

    @property
    def segmentation(self) -> bool:
        """True if each pixel has a label."""
        return bool(self.num_classes) and self.train.y.ndim > 1

    def inputs(self, split: Split, limit: int | None = None) -> np.ndarray:
        """Return the first `limit` examples of a split (all if None), scaled by `as_fed`."""
        return self.as_fed(split.x[:limit])

    def as_fed(self, x: np.ndarray) -> np.ndarray:
        """Scale inputs as they are in the splits, shape (n, *input_shape).

        Returns:
            A new array of the same shape, float32; int64 if `x` is int64 and isn't scaled.
        """
        if x.dtype == np.int64 and self.as_it_is:
            return x.copy()
        fed = x.astype(np.float32)
        fed *= self.scale
        fed += self.offset
        return fed

    @property
    def as_it_is(self) -> bool:
        """True if inputs are the numbers of the source, unscaled."""
        return bool((self.scale == 1).all() and (self.offset == 0).all())

    def fraction(self) -> float | None:
        """Return the first scaled training input that isn't a whole number; None if all are."""
        for piece in pieces(self.train.x):
            fed = self.as_fed(self.train.x[piece])
            if (found := fed != np.rint(fed)).any():
                return float(fed[found][0])
        return None

    @property
    def outputs(self) -> int:
        """Number of outputs of a network for one example or pixel: its logits, or the targets."""
        return self.train.y.shape[1] if self.regression else self.num_classes


@dataclass(frozen=True, eq=False)
class Source:
    """Arrays as they were read, before they are split, scaled or limited.

    Attributes:
        train: Inputs of shape (n, ...), any numeric type, and integers of shape (n,) or (n, 1); of
            a regression floats of shape (n, outputs), of a segmentation (n, height, width).
        test: The same, or None when the source has no test data of its own.
        description: Origin of the arrays.
        class_names: A name for each class; empty when the source has none, and then the number of
            classes is that of the training labels.
        max_value: The largest value that inputs can have, which `unit` scales to 1, or None.
        regression: Whether targets are numbers, not classes.
        standardized: Whether targets of a regression are scaled to mean 0 and deviation 1, measured
            on what is trained on.
        segmentation: Whether each pixel has a label.
        unreadable: The files that were left out since they can't be read.
        features: Of a table: what each column of the inputs is; else empty.
    """

    train: Split
    test: Split | None
    description: str
    class_names: tuple[str, ...] = ()
    max_value: float | None = None
    regression: bool = False
    standardized: bool = False
    segmentation: bool = False
    unreadable: tuple[Unreadable, ...] = ()
    features: tuple[Feature, ...] = ()
