"""What a data set is: plain arrays, and how their values become the network's input."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tfticket.data.arrays import pieces


@dataclass(frozen=True, eq=False)
class Split:
    """Examples and their labels.

    Attributes:
        x: Inputs, shape (n, *input_shape), uint8 where the source is uint8 and float32 elsewhere;
            int64 for whole numbers that float32 can't hold, such as hashes.
        y: Labels, shape (n,), int32 in [0, num_classes); of a regression targets, shape
            (n, outputs), float32.
        files: For each example the file that it was read from, below the folder of the data set
            and with `/` between folders, shape (n,), text; None where examples have no files.
    """

    x: np.ndarray
    y: np.ndarray
    files: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.y)

    def first(self, count: int | None) -> Split:
        """The first so many examples; all if None."""
        files = None if self.files is None else self.files[:count]
        return Split(self.x[:count], self.y[:count], files)


@dataclass(frozen=True, eq=False)
class DataSet:
    """A data set in memory, split three ways.

    The arrays hold the values of the source; `x * scale + offset` is what a network sees. `Feed`
    and `batches` do that for one batch at a time, so that the memory holds bytes and not floats;
    `as_fed` and `inputs` do it for arrays.

    Attributes:
        name: What it was loaded by.
        train: Examples to train on.
        validation: Examples held out of the training data, to stop and to choose by.
        test: Examples that no decision depends on.
        num_classes: Number of classes; 0 for a regression.
        class_names: A name for each class, by label; empty for a regression.
        input_shape: Shape of one example.
        scale: Factor, float32, shape () or (channels,).
        offset: What is added after the factor, float32, shape as `scale`.
        description: Where it came from and what was done to it, in a sentence or two.
        train_ids: The places of `train` in the source's training data, shape (n,), int64, rising.
        validation_ids: The same of `validation`.
        source_count: How many examples the source's training data has.
        fingerprint: SHA-256 over the source's arrays and how they were split and normalized: equal
            fingerprints mean equal numbers.
        normalize: What is done to inputs: `none`, `unit` or `standard`.
        feeding: The same in a sentence, with what inputs are; it is part of `description` too.
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

    @property
    def regression(self) -> bool:
        """Whether numbers are to be predicted, and not classes."""
        return not self.num_classes

    def inputs(self, split: Split, limit: int | None = None) -> np.ndarray:
        """The first examples of a split as a network sees them; splits are in random order.

        Args:
            split: One of the three.
            limit: How many at most; None for all.

        Returns:
            Shape (n, *input_shape); see `as_fed`.
        """
        return self.as_fed(split.x[:limit])

    def as_fed(self, x: np.ndarray) -> np.ndarray:
        """Inputs as a network sees them.

        Args:
            x: As in the splits, shape (n, *input_shape).

        Returns:
            A new array of the same shape, float32; int64 where `x` is that and isn't scaled.
        """
        if x.dtype == np.int64 and self.as_it_is:
            return x.copy()
        fed = x.astype(np.float32)
        fed *= self.scale
        fed += self.offset
        return fed

    @property
    def as_it_is(self) -> bool:
        """Whether a network sees the numbers of the source."""
        return bool((self.scale == 1).all() and (self.offset == 0).all())

    def fraction(self) -> float | None:
        """The first number of the training inputs that a network doesn't see as a whole one."""
        for piece in pieces(self.train.x):
            fed = self.as_fed(self.train.x[piece])
            if (found := fed != np.rint(fed)).any():
                return float(fed[found][0])
        return None

    @property
    def outputs(self) -> int:
        """How many numbers a network gives for one example: its logits, or the targets."""
        return self.train.y.shape[1] if self.regression else self.num_classes


@dataclass(frozen=True, eq=False)
class Source:
    """What was read, before anything was split, scaled or left out.

    Attributes:
        train: Inputs of shape (n, ...), any numeric type, and integers of shape (n,) or (n, 1); of
            a regression floats of shape (n, outputs).
        test: The same, or None when the source has no test data of its own.
        description: Where the arrays came from.
        class_names: A name for each class; empty when the source knows none, and then the training
            labels say how many classes there are.
        max_value: The largest value that inputs can have, which `unit` takes to 1; None when it
            isn't known.
        regression: Whether numbers are to be predicted, and not classes.
    """

    train: Split
    test: Split | None
    description: str
    class_names: tuple[str, ...] = ()
    max_value: float | None = None
    regression: bool = False
