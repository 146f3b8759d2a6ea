"""Batches of a split in its order, for `evaluate` and `predict`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from tfticket.data.dataset import Split
from tfticket.data.feed import as_it_is, plain_options
from tfticket.data.resident import Resident
from tfticket.errors import DataError


def batches(
    split: Split,
    batch_size: int = 1000,
    *,
    scale: np.ndarray | float = 1.0,
    offset: np.ndarray | float = 0.0,
) -> tf.data.Dataset:
    """A finite data set for `model.evaluate` and `model.predict`, in the split's order.

    Where the number of examples allows it all batches have the same size, at most `batch_size` and
    more than half of it, so that nothing is compiled twice.

    Args:
        split: The examples.
        batch_size: Most examples in a batch.
        scale: Factor of the inputs, shape () or (channels,).
        offset: What is added to them after that.
    """
    source = Resident(split, scale, offset)
    fewest = -(-source.count // batch_size)
    parts = next((p for p in range(fewest, 2 * fewest) if source.count % p == 0), None)
    return Batches(source, batch_size if parts is None else source.count // parts)


class Batches(tf.data.Dataset):
    """A data set like any other, that can also be read without `tf.data`.

    Keras makes two iterators for each evaluation in a `fit`, of 4 ms each: as long as 20 steps of a
    small network. See `EvaluationFunction`.

    Args:
        source: The examples.
        size: How many there are in a batch; the last one may have fewer.

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
    """Batches that are cut out of what lies in memory when they are asked for.

    Args:
        source: The examples.
        size: How many there are in a batch; the last one may have fewer.
    """

    def __init__(self, source: Resident, size: int) -> None:
        self._source = source
        self._size = size

    def __iter__(self) -> Iterator[tuple[tf.Tensor, tf.Tensor]]:
        """Inputs float32 and labels.

        Raises:
            DataError: in a graph, which would hold the first batches for ever.
        """
        for start in range(0, self._source.count, self._size):
            if not tf.executing_eagerly():
                raise DataError(
                    "Batches in memory can be read by Python alone. Received: a loop in a graph. "
                    "Give it the data set itself."
                )
            x, y = self._source.part(start, start + self._size)
            yield self._source.normalize(x), y
