"""Parts of a training step that any two networks share."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import keras
import tensorflow as tf

from tfticket.errors import ModelError


@contextlib.contextmanager
def recording(network: keras.Model) -> Iterator[tf.GradientTape]:
    """A tape that knows one network: its backward pass ends there, whatever the objective says."""
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch([variable.value for variable in network.trainable_variables])
        yield tape


def gradients(tape: tf.GradientTape, objective: Any, network: keras.Model) -> list[Any]:
    """The backward pass: a gradient for each trainable variable, None where it has no part."""
    return tape.gradient(objective, [variable.value for variable in network.trainable_variables])


def regularization(network: keras.Model) -> Any:
    """The sum of what its layers added to the loss in the last call, float32."""
    added = [keras.ops.sum(keras.ops.cast(loss, "float32")) for loss in network.losses]
    return tf.add_n(added) if added else tf.zeros(())


def sample_weights(sample_weight: Any) -> Any:
    """The weights as float32, shape (batch,), or None.

    Raises:
        ModelError: when a sample has more than one.
    """
    if sample_weight is None:
        return None
    shape = () if keras.tree.is_nested(sample_weight) else tuple(sample_weight.shape)
    if shape[1:] not in ((), (1,)) or not shape:
        raise ModelError(
            "Samples are selected whole, so each has one weight: shape (batch,). Received: weights "
            f"of shape {shape}."
        )
    return keras.ops.cast(keras.ops.reshape(sample_weight, (-1,)), "float32")
