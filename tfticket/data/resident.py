"""A split as tensors in the host's memory, gathered and scaled in the graph."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from tfticket.data.alignment import aligned
from tfticket.data.dataset import Split


class Resident:
    """Inputs and labels that a graph captures without a copy.

    Args:
        split: The examples. Arrays of `load` are used as they lie in memory; changing them changes
            what the graph reads.
        scale: Factor of the inputs, shape () or (channels,).
        offset: What is added to them after that.
    """

    def __init__(self, split: Split, scale: np.ndarray | float, offset: np.ndarray | float) -> None:
        self.count = len(split)
        self._x, self._y = _tensor(split.x), _tensor(split.y)
        self._scale = np.asarray(scale, np.float32)
        self._offset = np.asarray(offset, np.float32)

    def gather(self, indices: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Inputs as they are in the split, and labels."""
        return tf.gather(self._x, indices), tf.gather(self._y, indices)

    def part(self, start: int, stop: int) -> tuple[tf.Tensor, tf.Tensor]:
        """Those of the examples from `start` to before `stop`, or to the end."""
        return self._x[start:stop], self._y[start:stop]

    def normalize(self, x: tf.Tensor) -> tf.Tensor:
        """Inputs as the network sees them; see `DataSet.as_fed`."""
        if x.dtype == tf.int64 and (self._scale == 1).all() and not self._offset.any():
            return x
        x = tf.cast(x, tf.float32) * self._scale
        return x + self._offset if self._offset.any() else x


def _tensor(array: np.ndarray) -> tf.Tensor:
    # By DLPack, which shares memory; `tf.constant` holds two copies of a NumPy array.
    with tf.device("CPU"):
        return tf.experimental.dlpack.from_dlpack(aligned(array).__dlpack__())
