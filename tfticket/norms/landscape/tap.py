"""A look at the batch of the coming training step of a running `fit`.

Keras gives callbacks no batches. Wrapping `train_step` would, but then another function is compiled
and trained than without the callback. Here the compiled function stays as it is: for one call it
gets another iterator, which yields the batches of the first one in their order, after someone has
seen the first of them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

import keras
import tensorflow as tf

from tfticket.errors import ModelError


@runtime_checkable
class TellsNextBatch(Protocol):
    """A train function that takes no batches from an iterator, as that of `data.ChunkedFit`."""

    def __call__(self, iterator: Any) -> Any:
        """Trains for one execution."""

    def next_batch(self) -> Any:
        """The batch that it begins with when it is called."""


def look_at_next_batch(model: keras.Model, look: Callable[[Any], None]) -> None:
    """Calls `look` with the next batch, before the model is trained on it.

    To be called in `on_train_batch_begin`. It holds for that one execution, of one step or
    `steps_per_execution` of them, and then nothing of it is left. Several may look at one batch.

    Args:
        model: In the middle of `fit`.
        look: Gets what the data set yields. It isn't called when the data are at their end.
    """
    train = model.train_function

    def train_watched(iterator: Any) -> Any:
        model.train_function = train
        if isinstance(train, TellsNextBatch):
            look(train.next_batch())
            return train(iterator)
        return train(_watched(iterator, look))

    if isinstance(train, TellsNextBatch):  # to whoever looks at the same batch
        train_watched.next_batch = train.next_batch  # type: ignore[attr-defined]
    model.train_function = train_watched


def _watched(iterator: Any, look: Callable[[Any], None]) -> Any:
    if not isinstance(iterator, tf.data.Iterator):
        raise ModelError(
            "The training batch can be looked at only where one `tf.data` iterator feeds one "
            f"replica. Received: {type(iterator).__name__}. Measure on a fixed batch: "
            "`batch=(x, y)`."
        )
    try:
        first = next(iterator)
    except StopIteration:
        return iterator  # whoever trains finds out by itself
    look(first)
    return iter(_with_first(iterator, first))


@tf.function
def _with_first(iterator: Any, first: Any) -> tf.data.Dataset:
    """A batch, and then what an iterator still gives. No Python runs between batches."""
    rest = tf.data.Dataset.range(tf.int64.max).map(lambda _: iterator.get_next_as_optional())
    rest = rest.take_while(lambda batch: batch.has_value()).map(lambda batch: batch.get_value())
    options = tf.data.Options()
    options.autotune.enabled = False
    options.experimental_optimization.apply_default_optimizations = False
    return tf.data.Dataset.from_tensors(first).concatenate(rest).with_options(options)
