"""Recompute moving statistics as those of a population."""

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
    """Set moving statistics to those of a population: precise batch normalization.

    Each batch passes through the model once, normalized by its own statistics as in training but
    without dropout and noise, as for inference. The moments of the batches are then joined to those
    of all examples. For variances that is the law of total variance, `E[var_B] + Var[mean_B]`,
    weighted by batch size. A mean of the batches' variances, which moving averages estimate, lacks
    the variance between batches and is too small by a factor of about 1 - 1/n for batches of n
    values per channel. L-p scales are joined by their p-th powers, or by their maximum.

    Frozen layers keep their statistics. So do layers of a class of yours that overrides `call`,
    with a warning, since what they do beside normalizing isn't known.

    Source: Wu & Johnson (2021, arXiv:2105.07576), section 3.

    Args:
        model: A built model; only moving statistics change.
        batches: Batches of inputs as the model takes them, of the size used in training, since
            later layers depend on it. Some thousand examples are enough; without batches nothing
            changes. Of tuples (x, y) and (x, y, sample_weight) only x is used.

    Raises:
        DataError: when a batch isn't what the model takes, or holds NaN or infinity.
        ModelError: when statistics of finite inputs aren't finite.

    After an error the model is unchanged.

    Example:
        >>> model = keras.Sequential([keras.Input((1,)), keras.layers.BatchNormalization()])
        >>> recalibrate(model, [np.array([[1.0], [3.0]]), np.array([[5.0], [7.0]])])
        >>> float(model.layers[0].moving_mean[0]), float(model.layers[0].moving_variance[0])
        (4.0, 5.0)
    """
    layers = batch_layers(model)
    found: dict[int, list[Moments]] = {id(layer): [] for layer in layers}
    called: list[keras.Layer] = []

    def take(batch: Any) -> list[Moments]:
        """Return the moments of all calls, in the order of `called`."""
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
    """Return the inputs of a batch, without labels and weights.

    Args:
        model: The model that takes them.
        batch: Inputs, or a tuple as data sets for `fit` yield it.
        number: Number of the batch, from 0, for the message.

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
    """Return the number of arrays that a model takes; None where it isn't known."""
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
    """Raise for statistics that aren't finite, because of the inputs or of the model."""
    for part in keras.tree.flatten(inputs):
        values = np.asarray(part)
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            example = int(np.argmin(np.isfinite(values).reshape(len(values), -1).all(axis=1)))
            raise DataError(
                f"Batches must be finite numbers. Received: NaN or infinity in batch {number}, "
                f"example {example}. Remove or repair such examples; the model is unchanged."
            )
    raise ModelError(
        f"The statistics of `{layer.name}` aren't finite in batch {number}, whose inputs are. "
        "Weights of the model aren't finite, or its activations exceed float32. The model is "
        "unchanged."
    )


def _joined(layer: keras.Layer, parts: list[Moments]) -> Moments:
    """Join the moments of parts to those of the whole."""
    counts, means, spreads = (np.stack([part[i] for part in parts]) for i in range(3))
    count = counts.sum(0)
    shares = counts / np.maximum(count, 1.0)
    mean = (shares * means).sum(0)
    spread = np.asarray(mean_of_spreads(layer, shares, spreads))
    if not isinstance(layer, KeepsScale):
        spread = spread + (shares * (means - mean) ** 2).sum(0)
    return Moments(count, mean, spread)


def set_moments(layer: Any, moments: Moments) -> None:
    """Set the moving statistics of a layer.

    Args:
        layer: A layer with a `moving_mean`, and a `moving_variance` or a `moving_scale`.
        moments: Moments of shape (channels,) each.
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
