"""The statistics of a population, taken for a network as it is."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfticket.errors import DataError, ModelError
from tfticket.internals import build_shapes
from tfticket.statistics.moments import (
    KeepsScale,
    Moments,
    batch_layers,
    mean_of_spreads,
    moments_of,
    normalized,
    normalizing,
)

_WORTH_A_TRACE = 16
"""Batches from which on it is faster to trace the model than to run it layer by layer."""


def recalibrate(model: keras.Model, batches: Iterable[Any]) -> None:
    """Sets moving statistics to those of a population: precise batch normalization.

    Each batch goes through the model once, normalized by its own statistics as in training but
    without dropout and noise, since what follows is inference. The moments of the batches are then
    joined to those of all examples. For variances that is the law of total variance,
    `E[var_B] + Var[mean_B]`, weighted by the batches' sizes: the variance of the population, which
    inference normalizes. A mean of the batches' variances, which is what moving averages estimate,
    lacks the variance between batches and is too small by a factor of about 1 - 1/n for batches of
    n numbers a channel. L-p scales are joined by their p-th powers, or by their maximum.

    Frozen layers keep their statistics. So do layers of a class of yours that overrides `call`,
    with a warning: what they do beside normalizing isn't known.

    Source: Wu & Johnson (2021, arXiv:2105.07576), section 3.

    Args:
        model: A built model; only moving statistics change.
        batches: Batches of inputs, each as the model takes it and of the size used in training:
            later layers see what earlier ones make of a batch of that size. Some thousand examples
            are enough. Nothing changes when there are none. Of tuples (x, y) and (x, y,
            sample_weight), as data sets for `fit` have them, only x is looked at.

    Raises:
        DataError: when a batch isn't what the model takes, or holds NaN or infinity.
        ModelError: when statistics of finite inputs aren't finite.

    Nothing changes in the model where an error is raised.
    """
    layers = batch_layers(model)
    found: dict[int, list[Moments]] = {id(layer): [] for layer in layers}
    called: list[keras.Layer] = []

    def take(batch: Any) -> list[Moments]:
        """The moments of all calls, in the order of `called`."""
        moments: list[Moments] = []
        called.clear()

        def note(layer: keras.Layer, x: Any, mask: Any) -> Any:
            called.append(layer)
            moments.append(moments_of(layer, x, mask))
            return normalized(layer, x, moments[-1])

        with normalizing(layers, note):
            model(batch, training=False)
        return moments

    for number, batch in enumerate(batches if layers else ()):
        if number == _WORTH_A_TRACE:
            take = tf.function(take, reduce_retracing=True)
        inputs = inputs_of(model, batch, number=number)
        taken = take(inputs)
        for layer, moments in zip(called, taken, strict=True):
            values = Moments(*(np.asarray(m, np.float64).ravel() for m in moments))
            if not all(np.isfinite(m.astype(np.float32)).all() for m in values):
                _refuse(layer, inputs, number)
            found[id(layer)].append(values)
    for layer in layers:
        if found[id(layer)]:
            set_moments(layer, _joined(layer, found[id(layer)]))


def inputs_of(model: keras.Model, batch: Any, *, number: int) -> Any:
    """The inputs in a batch, without labels and weights.

    Args:
        model: What takes them.
        batch: Inputs, or a tuple as data sets for `fit` give it.
        number: Of the batch, from 0, for the message.

    Raises:
        DataError: when it holds another number of arrays than the model takes.
    """
    expected = _input_count(model)
    if expected is None:
        return batch
    inputs = batch
    if isinstance(batch, tuple) and len(batch) <= 3 and _array_count(batch) != expected:
        inputs = batch[0]
    if isinstance(batch, tuple) and len(batch) == expected == 1:
        inputs = batch[0]
    if _array_count(inputs) != expected:
        raise DataError(
            f"Batches must hold the {expected} inputs that the model takes, alone or as x of a "
            f"tuple (x, y). Received: {_array_count(inputs)} arrays in batch {number}, a "
            f"{type(batch).__name__}."
        )
    return inputs


def _input_count(model: keras.Model) -> int | None:
    """How many arrays a model takes; None where that can't be seen."""
    inputs = getattr(model, "inputs", None)
    if inputs:
        return len(inputs)
    shapes = build_shapes(model)
    sizes = next(iter(shapes.values()), None) if len(shapes) == 1 else None
    is_shape = isinstance(sizes, (tuple, list)) and all(
        n is None or isinstance(n, int) for n in sizes
    )
    return 1 if is_shape else None


def _array_count(values: Any) -> int:
    return len(keras.tree.flatten(values))


def _refuse(layer: keras.Layer, inputs: Any, number: int) -> None:
    """Raises for statistics that aren't finite, whose inputs may be to blame."""
    for part in keras.tree.flatten(inputs):
        values = np.asarray(part)
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            example = int(np.argmin(np.isfinite(values).reshape(len(values), -1).all(axis=1)))
            raise DataError(
                f"Batches must be finite numbers. Received: NaN or infinity in batch {number}, "
                f"example {example}. Remove or mend such examples; the model is as it was."
            )
    raise ModelError(
        f"The statistics of `{layer.name}` aren't finite in batch {number}, whose numbers are: "
        "weights of the model aren't, or its numbers grow beyond what float32 holds. The model is "
        "as it was."
    )


def _joined(layer: keras.Layer, parts: list[Moments]) -> Moments:
    """The moments of all that the parts are of."""
    counts, means, spreads = (np.stack([part[i] for part in parts]) for i in range(3))
    count = counts.sum(0)
    shares = counts / np.maximum(count, 1.0)
    mean = (shares * means).sum(0)
    spread = np.asarray(mean_of_spreads(layer, shares, spreads, axis=0))
    if not isinstance(layer, KeepsScale):
        spread = spread + (shares * (means - mean) ** 2).sum(0)
    return Moments(count, mean, spread)


def set_moments(layer: Any, moments: Moments) -> None:
    """Makes moments the moving statistics of a layer.

    Args:
        layer: One with a `moving_mean`, and a `moving_variance` or a `moving_scale`.
        moments: Each of shape (channels,).
    """
    layer.moving_mean.assign(moments.mean)
    if isinstance(layer, KeepsScale):
        layer.moving_scale.assign(moments.spread)
        return
    layer.moving_variance.assign(moments.spread)
    if isinstance(layer, keras.layers.BatchNormalization) and layer.renorm:
        deviation = np.sqrt(moments.spread + layer.epsilon)
        layer.moving_stddev.assign(deviation)  # its further averages are of the same statistics
        layer.renorm_mean.assign(moments.mean)
        layer.renorm_stddev.assign(deviation)
