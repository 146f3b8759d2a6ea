"""A split as tensors in memory, and its batches in order for `evaluate` and `predict`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from tfticket.data.arrays import aligned
from tfticket.data.dataset import Split
from tfticket.errors import DataError

# Autograph takes longer to find nothing to convert than all the rest of making a pipeline.
as_it_is = tf.autograph.experimental.do_not_convert


class Resident:
    """Inputs and labels that a graph captures without a copy.

    Args:
        split: The examples. Arrays of `load` aren't copied: changing them changes what the graph
            reads.
        scale: Factor of the inputs, shape () or (channels,).
        offset: Added to the inputs after scaling, shape as `scale`.
    """

    def __init__(self, split: Split, scale: np.ndarray | float, offset: np.ndarray | float) -> None:
        self.count = len(split)
        self._x, self._y = _tensor(split.x), _tensor(split.y)
        self._scale = np.asarray(scale, np.float32)
        self._offset = np.asarray(offset, np.float32)

    def gather(self, indices: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Return unscaled inputs and labels."""
        return tf.gather(self._x, indices), tf.gather(self._y, indices)

    def part(self, start: int, stop: int) -> tuple[tf.Tensor, tf.Tensor]:
        """Return unscaled inputs and labels from `start` up to `stop`, or to the end."""
        return self._x[start:stop], self._y[start:stop]

    def normalize(self, x: tf.Tensor) -> tf.Tensor:
        """Scale inputs, as `DataSet.as_fed`."""
        if x.dtype == tf.int64 and (self._scale == 1).all() and not self._offset.any():
            return x
        x = tf.cast(x, tf.float32) * self._scale
        return x + self._offset if self._offset.any() else x


def _tensor(array: np.ndarray) -> tf.Tensor:
    # By DLPack, which shares memory; `tf.constant` holds two copies of a NumPy array.
    with tf.device("CPU"):
        return tf.experimental.dlpack.from_dlpack(aligned(array).__dlpack__())


def plain_options() -> tf.data.Options:
    """Return options without the optimizations that don't pay for data in memory."""
    options = tf.data.Options()
    options.autotune.enabled = False
    options.deterministic = True
    # Rewriting the pipeline would copy the captured data; there is nothing here to rewrite.
    options.experimental_optimization.apply_default_optimizations = False
    return options


def batches(
    split: Split,
    batch_size: int = 1000,
    *,
    scale: np.ndarray | float = 1.0,
    offset: np.ndarray | float = 0.0,
) -> tf.data.Dataset:
    """Return a finite data set for `model.evaluate` and `model.predict`, in the split's order.

    If the number of examples allows it, all batches have the same size, at most `batch_size` and
    more than half of it, so that nothing is compiled twice.

    Args:
        split: The examples.
        batch_size: Most examples in a batch.
        scale: Factor of the inputs, shape () or (channels,).
        offset: Added to the inputs after scaling, shape as `scale`.

    Example:
        >>> from tfticket.data import load
        >>> data = load("digits")
        >>> [len(y) for x, y in batches(data.validation, 100, scale=data.scale)]
        [72, 72]
    """
    source = Resident(split, scale, offset)
    fewest = -(-source.count // batch_size)
    parts = next((p for p in range(fewest, 2 * fewest) if source.count % p == 0), None)
    return Batches(source, batch_size if parts is None else source.count // parts)


class Batches(tf.data.Dataset):
    """A `tf.data.Dataset` that can also be read without `tf.data`.

    Keras makes two iterators for each evaluation in a `fit`, of 4 ms each: as long as 20 steps of a
    small network. See `EvaluationFunction`.

    Args:
        source: The examples.
        size: Examples in a batch; the last one may have fewer.

    Attributes:
        in_memory: The same batches for loops in Python; each loop begins anew.
    """

    def __init__(self, source: Resident, size: int) -> None:
        indices = tf.data.Dataset.range(source.count).batch(size, source.count % size == 0)

        def batch(indices: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            x, y = source.gather(indices)
            return source.normalize(x), y

        self._pipeline = indices.map(as_it_is(batch)).with_options(plain_options())
        self.in_memory = InMemory(source, size)
        super().__init__(self._pipeline._variant_tensor)

    @property
    def element_spec(self) -> Any:
        """Types and shapes of a batch."""
        return self._pipeline.element_spec

    def _inputs(self) -> list[tf.data.Dataset]:
        return [self._pipeline]


class InMemory(Iterable[tuple[tf.Tensor, tf.Tensor]]):
    """Batches sliced from memory on demand; the arguments are those of `Batches`."""

    def __init__(self, source: Resident, size: int) -> None:
        self._source = source
        self._size = size

    def __iter__(self) -> Iterator[tuple[tf.Tensor, tf.Tensor]]:
        """Yield inputs, float32, and labels.

        Raises:
            DataError: in a graph, which would keep the first batches forever.
        """
        for start in range(0, self._source.count, self._size):
            if not tf.executing_eagerly():
                raise DataError(
                    "Batches in memory can be read by Python alone, not by a loop in a graph. "
                    "Give it the data set itself."
                )
            x, y = self._source.part(start, start + self._size)
            yield self._source.normalize(x), y
