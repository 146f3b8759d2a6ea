"""Examples that lie in memory, fed by index, many steps per call of `fit`.

A step costs no round trip to Python: one matrix of indices is drawn per chunk of steps, and the
images are gathered, scaled and augmented in the graph. On a CPU, tf.data's autotuning is switched
off because its thread can stall the end of an epoch for as long as the epoch took.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from tfticket.data.dataset import Split
from tfticket.data.ordered import Resident, as_it_is, plain_options
from tfticket.errors import DataError
from tfticket.seeds import generator, sub_seed

AUGMENTATIONS = ("none", "flip_crop")
_PADDING = 4


def flip_crop(x: tf.Tensor, *, seed: int, step: tf.Tensor) -> tf.Tensor:
    """Shift images by up to 4 pixels over a black border, and mirror half of them.

    Source: He et al. (arXiv:1512.03385, section 4.2), for CIFAR-10.

    Args:
        x: Images, shape (batch, height, width, channels), any type; black is 0.
        seed: Seed of the augmentation, in [0, 2**31).
        step: Scalar; the result is a pure function of seed, step and place in the batch.

    Returns:
        Images of the same shape and type.
    """
    count, height, width = x.shape[0], x.shape[1], x.shape[2]
    shifts = 2 * _PADDING + 1
    seeds = tf.stack([tf.constant(seed, tf.int64), tf.cast(step, tf.int64)])
    # One draw for the three decisions: 9 rows times 9 columns times 2 directions.
    draws = tf.random.stateless_uniform((count, 1), seeds, 0, 2 * shifts**2, tf.int32)
    mirrored, top, left = draws % 2, draws // 2 % shifts, draws // 2 // shifts
    columns = tf.where(mirrored == 0, tf.range(width), tf.range(width)[::-1])
    border = [_PADDING, _PADDING]
    padded = tf.pad(x, [[0, 0], border, border, [0, 0]])
    rows = tf.gather(padded, top + tf.range(height), axis=1, batch_dims=1)
    return tf.gather(rows, left + columns, axis=2, batch_dims=1)


class Feed:
    """Training batches whose order is a pure function of the seed and the step.

    Each epoch goes through the data in a permutation of its own. Steps count from 0 and all batches
    are full: one that the end of an epoch cuts is filled from the beginning of the next. Keras asks
    for `steps_per_epoch` batches at a time, which are a chunk here. Only one iterator may be in
    use.

    Args:
        split: The examples; arrays of `load` aren't copied.
        batch_size: Examples in a batch, at most `len(split)`.
        seed: Seed of the run.
        chunk_steps: Steps in a chunk; `steps_per_execution` should divide it.
        scale: Factor of the inputs, shape () or (channels,).
        offset: Added to the inputs after scaling, shape as `scale`.
        augment: `none` or `flip_crop`, a function of the seed, the step and the place in the batch.
        labels: Function of the labels of a batch, in the graph; None leaves them unchanged.

    Raises:
        DataError: when a number is out of range or there are no images to augment.

    Example:
        >>> from tfticket.data import load
        >>> data = load("digits")
        >>> feed = Feed(data.train, batch_size=60, seed=0, chunk_steps=5, scale=data.scale)
        >>> [x.shape[0] for x, y in feed.dataset()], feed.step
        ([60, 60, 60, 60, 60], 5)
        >>> feed.seek(0)  # the next chunk begins at step 0 again
        >>> sorted(feed.fit_arguments())
        ['shuffle', 'steps_per_epoch', 'x']
    """

    def __init__(
        self,
        split: Split,
        *,
        batch_size: int,
        seed: int,
        chunk_steps: int,
        scale: np.ndarray | float = 1.0,
        offset: np.ndarray | float = 0.0,
        augment: str = "none",
        labels: Callable[[tf.Tensor], Any] | None = None,
    ) -> None:
        if not 1 <= batch_size <= len(split):
            raise DataError(
                "`batch_size` must be at least 1 and at most the number of training examples. "
                f"Received: batch_size={batch_size} and {len(split):,} examples."
            )
        if chunk_steps < 1:
            raise DataError(f"`chunk_steps` must be at least 1. Received: {chunk_steps}.")
        if augment not in AUGMENTATIONS:
            raise DataError(
                f"`augment` must be one of {', '.join(AUGMENTATIONS)}. Received: {augment!r}."
            )
        if augment != "none" and split.x.ndim != 4:
            raise DataError(
                f"augment={augment!r} needs images of shape (height, width, channels). Received: "
                f"inputs of shape {split.x.shape[1:]}."
            )
        self.batch_size = batch_size
        self.seed = seed
        self.chunk_steps = chunk_steps
        self.augment = augment
        self._labels = labels
        self._step = 0
        self._orders: dict[int, np.ndarray] = {}
        self._source = Resident(split, scale, offset)

    def __repr__(self) -> str:
        size = f"{self._source.count:,} examples, batch_size={self.batch_size}"
        return f"Feed({size}, seed={self.seed}, chunk_steps={self.chunk_steps}, step={self.step})"

    @property
    def step(self) -> int:
        """Step of the next chunk's first batch; moves on when a chunk's last batch is taken."""
        return self._step

    @property
    def batches_per_epoch(self) -> float:
        """Number of batches in the data, a fraction if the batch size doesn't divide it."""
        return self._source.count / self.batch_size

    def seek(self, step: int) -> None:
        """Let the next chunk begin at `step`, 0 or more; also from a callback's `on_epoch_end`."""
        if step < 0:
            raise DataError(f"`step` must be 0 or more. Received: {step}.")
        self._step = step

    def indices(self, step: int, count: int) -> np.ndarray:
        """Return the examples in the batches of `count` steps from `step` on.

        Returns:
            Places in the split, shape (count, batch_size), int32.
        """
        examples = self._source.count
        first, last = step * self.batch_size, (step + count) * self.batch_size
        epochs = range(first // examples, -(-last // examples))
        # Kept between calls: a chunk mostly begins in the epoch that the one before ended in.
        self._orders = {
            epoch: self._orders[epoch] if epoch in self._orders else self._order(epoch)
            for epoch in epochs
        }
        start = first - epochs.start * examples
        flat = np.concatenate(list(self._orders.values()))[start : start + last - first]
        return flat.reshape(count, self.batch_size)

    def take(self, count: int) -> tuple[tf.Tensor, tf.Tensor]:
        """Return `indices` and numbers, shape (count,), int64, of the next steps, and move on."""
        start = self._step
        rows = tf.constant(self.indices(start, count))
        self._step = start + count
        return rows, tf.constant(np.arange(start, self._step))

    def batch(self, step: int) -> tuple[tf.Tensor, Any]:
        """Return the batch of one step: inputs, float32, and labels."""
        return self.gather(tf.constant(self.indices(step, 1)[0]), tf.constant(step, tf.int64))

    def dataset(self, *, endless: bool = False) -> tf.data.Dataset:
        """Return batches (inputs float32, labels) from the current step on.

        Args:
            endless: If False, one chunk, and each new iterator yields the next one. If True, chunk
                after chunk from one iterator, for `fit` with `steps_per_epoch=chunk_steps`: Keras
                then makes one iterator, not two an epoch of 6 ms each.
        """
        signature = (
            tf.TensorSpec((None, self.batch_size), tf.int32),
            tf.TensorSpec((None,), tf.int64),
        )
        rows = tf.data.Dataset.from_generator(
            self._chunks, args=(endless,), output_signature=signature
        )
        batches = rows.unbatch().map(as_it_is(self.gather))
        if not endless:
            batches = batches.apply(tf.data.experimental.assert_cardinality(self.chunk_steps))
        return batches.with_options(plain_options())

    def fit_arguments(self) -> dict[str, Any]:
        """Return keywords for `model.fit` with which each of its epochs is one chunk."""
        return {
            "x": self._endless,
            "steps_per_epoch": self.chunk_steps,
            "shuffle": False,  # Keras warns otherwise: the order is decided here
        }

    @functools.cached_property
    def _endless(self) -> tf.data.Dataset:
        # Kept: to make it takes as long as a hundred steps of a small network.
        return self.dataset(endless=True)

    def _order(self, epoch: int) -> np.ndarray:
        order = generator(self.seed, "order", epoch)
        return order.permutation(self._source.count).astype(np.int32)

    def _chunks(self, endless: bool) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        while True:
            start, stop = self._step, self._step + self.chunk_steps
            rows, steps = self.indices(start, self.chunk_steps), np.arange(start, stop)
            # The position moves with the last batch, so that an iterator which is made and thrown
            # away, or interrupted, has changed nothing.
            yield rows[:-1], steps[:-1]
            self._step = stop
            yield rows[-1:], steps[-1:]
            if not endless:
                return

    def gather(self, indices: tf.Tensor, step: tf.Tensor) -> tuple[tf.Tensor, Any]:
        """Return the batch of a step in the graph, from its indices, shape (batch_size,)."""
        x, y = self._source.gather(indices)
        if self.augment == "flip_crop":
            x = flip_crop(x, seed=sub_seed(self.seed, "augmentation"), step=step)
        return self._source.normalize(x), y if self._labels is None else self._labels(y)
