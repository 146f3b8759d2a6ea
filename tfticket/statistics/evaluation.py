"""Evaluation by other statistics than the moving ones, which stay as they are."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from tfticket.statistics.moments import (
    KeepsScale,
    Moments,
    batch_layers,
    mean_of_spreads,
    moments_of,
    moving_moments,
    normalized,
    normalizing,
)


@contextlib.contextmanager
def batch_statistics(model: keras.Model) -> Iterator[None]:
    """Let a model normalize each batch by the batch's own statistics, inside a `with` block.

    This is as in training, but without dropout or noise, and no average is updated. The difference
    to an ordinary evaluation is the effect of moving statistics. Frozen layers are left alone.
    Functions that were traced before aren't affected, among them those of `model.evaluate` and
    `model.predict`: call the model, or use `predict` of this module.

    Args:
        model: A built model.

    Example:
        >>> model = keras.Sequential([keras.Input((2,)), keras.layers.BatchNormalization()])
        >>> with batch_statistics(model):
        ...     outputs = predict(model, np.array([[0.0, 5.0], [2.0, 9.0]]), batch_size=2)
        >>> outputs.round(2).tolist()
        [[-1.0, -1.0], [1.0, 1.0]]
    """

    def normalize(layer: keras.Layer, x: Any, mask: Any) -> Any:
        return normalized(layer, x, moments_of(layer, x, mask))

    with normalizing(batch_layers(model), normalize):
        yield


@contextlib.contextmanager
def eval_norm(
    model: keras.Model, batch_size: int, *, weight: float | None = None
) -> Iterator[None]:
    """Let a model normalize as training in small batches does on average, inside a `with` block.

    In a batch of n examples each one contributes to the statistics that it is normalized by; at
    evaluation it doesn't. EvalNorm restores the contribution:

        mean = a * mean_i + (1 - a) * moving_mean
        variance = a * var_i + (1 - a) * moving_variance + a * (1 - a) * (mean_i - moving_mean)^2

    with the statistics of the example itself, `mean_i` and `var_i`. For a = 1/n and independent
    examples these are exactly the expectations of the batch's statistics, given that the example is
    in the batch; `moving_variance` must then be the average of the batches' variances that
    training leaves, not the population's from `recalibrate`.

    The paper also learns a, and another weight for the variance, layer by layer so that outputs
    come close to those in training; this is its form with one fixed weight. The paper's own fixed
    weight could not be checked against its text: one public implementation takes 1/n^2. For l-p
    scales, which the paper doesn't have, p-th powers are mixed, and at p = inf the larger one
    counts. Functions that were traced before aren't affected; see `batch_statistics`.

    Source: Singh & Shrivastava (2019, arXiv:1904.06031).

    Args:
        model: A built model, with the moving statistics of its training.
        batch_size: n, the number of examples in a batch of training, at least 1.
        weight: a, in [0, 1]; 1/n by default, and 0 is an ordinary evaluation.

    Raises:
        ValueError: when `batch_size` or `weight` is out of range.

    Example:
        >>> model = keras.Sequential([keras.Input((2,)), keras.layers.BatchNormalization()])
        >>> with eval_norm(model, batch_size=4):
        ...     outputs = predict(model, np.array([[0.0, 8.0], [4.0, 2.0]]), batch_size=2)
        >>> outputs.shape
        (2, 2)
    """
    if batch_size < 1 or not (weight is None or 0 <= weight <= 1):
        raise ValueError(
            "`batch_size` must be at least 1 and `weight` in [0, 1]. Received: "
            f"batch_size={batch_size}, weight={weight}."
        )
    share = 1.0 / batch_size if weight is None else weight

    def normalize(layer: keras.Layer, x: Any, mask: Any) -> Any:
        return normalized(layer, x, _mixed(layer, x, mask, share))

    with normalizing(batch_layers(model), normalize):
        yield


def predict(model: keras.Model, x: Any, *, batch_size: int) -> Any:
    """Predict in full batches, for `batch_statistics` and `eval_norm`.

    The last batch is filled with earlier examples, so that every example is normalized among
    equally many.

    Args:
        model: A built model.
        x: Inputs as the model takes them, arrays of one length.
        batch_size: Examples in a batch, at least 1; all examples where there are fewer.

    Returns:
        The model's outputs for all examples, as NumPy arrays.

    Example:
        >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Rescaling(2.0)])
        >>> predict(model, np.ones((5, 2)), batch_size=4).shape
        (5, 2)
    """
    call = tf.function(lambda batch: model(batch, training=False), reduce_retracing=True)
    length = len(keras.tree.flatten(x)[0])
    parts = []
    for begin in range(0, length, batch_size):
        first = max(0, min(begin, length - batch_size))
        batch = keras.tree.map_structure(lambda a, i=first: a[i : i + batch_size], x)
        parts.append(
            keras.tree.map_structure(lambda a, i=begin - first: a.numpy()[i:], call(batch))
        )
    return keras.tree.map_structure(lambda *arrays: np.concatenate(arrays), *parts)


def _mixed(layer: keras.Layer, x: Any, mask: Any, share: float) -> Moments:
    """Mix the statistics of each example with the moving ones."""
    own, moving = moments_of(layer, x, mask, each_example=True), moving_moments(layer, x)
    distance = own.mean - moving.mean
    shares = ops.reshape(ops.cast([share, 1.0 - share], x.dtype), (2, *[1] * len(x.shape)))
    spreads = ops.stack([own.spread, ops.broadcast_to(moving.spread, ops.shape(own.spread))])
    spread = mean_of_spreads(layer, shares, spreads)
    if not isinstance(layer, KeepsScale):
        spread = spread + share * (1.0 - share) * ops.square(distance)
    return Moments(own.count, moving.mean + share * distance, spread)
