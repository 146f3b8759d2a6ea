"""A short training in which weights already are what the format will make of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfticket.channels.roles import kernel_axes
from tfticket.channels.rules import is_depthwise
from tfticket.errors import ExportError
from tfticket.export.labels import check_numbers
from tfticket.internals import flat_layers
from tfticket.models import loss_for
from tfticket.seeds import generator
from tfticket.sparsity.convert import strip
from tfticket.state import kernels_of
from tfticket.wording import brief_repr

BITS: Mapping[str, int] = {"int8": 8, "dynamic": 8, "int4": 4}


@dataclass(frozen=True, eq=False)
class FineTuning:
    """A short training that tunes a network to weights of few bits.

    Attributes:
        x: Training examples as the model takes them, shape (n, ...).
        y: Their labels, integers, shape (n,).
        steps: Optimizer steps.
        batch_size: Examples a step.
        learning_rate: Of Adam, falling to 0 by a cosine.
        worth: Share of accuracy that a format must have lost for a network to be tuned to it.
        seed: Of the order of the examples.
    """

    x: np.ndarray
    y: np.ndarray
    steps: int = 300
    batch_size: int = 128
    learning_rate: float = 1e-4
    worth: float = 0.001
    seed: int = 0

    __repr__ = brief_repr


def fake_quantize(kernel: Any, *, bits: int, axes: tuple[int, ...]) -> Any:
    """Round a kernel to symmetric integers, one scale an output channel; gradients pass through.

    `q = round(w / s) s` with `s = max|w| / (2^(bits - 1) - 1)`; a zero stays zero.

    Source: Jacob et al. (2018, arXiv:1712.05877), section 3; the straight-through estimator of
    Bengio et al. (2013, arXiv:1308.3432).

    Args:
        kernel: Float tensor.
        bits: 2 or more.
        axes: The axes of its output channels, counted from the front.
    """
    others = [axis for axis in range(len(kernel.shape)) if axis not in axes]
    largest = tf.reduce_max(tf.abs(kernel), axis=others, keepdims=True)
    scale = tf.maximum(largest, 1e-12) / (2 ** (bits - 1) - 1)
    return kernel + tf.stop_gradient(tf.round(kernel / scale) * scale - kernel)


def fine_tune(model: keras.Model, tuning: FineTuning, *, bits: int) -> keras.Model:
    """Train a copy of a model with kernels rounded to `bits`.

    Zeros stay zero: gradients of zero weights are masked. Batch normalization, where it wasn't
    folded away, keeps its statistics.

    Args:
        model: A classifier with one input and one output. It isn't changed.
        tuning: The data, and how long.
        bits: What kernels are rounded to.

    Raises:
        ExportError: when the data isn't finite, or the training diverges.
    """
    copy = strip(model)
    kernels = {id(kernel): output_axes(copy, kernel) for kernel in kernels_of(copy).values()}
    variables = copy.trainable_variables
    masks = [
        tf.cast(tf.not_equal(v.value, 0.0), v.dtype) if id(v) in kernels else None
        for v in variables
    ]
    fixed = [v.value for v in copy.non_trainable_variables]
    rate = keras.optimizers.schedules.CosineDecay(tuning.learning_rate, tuning.steps)
    optimizer, loss = keras.optimizers.Adam(rate), loss_for(copy)
    optimizer.build(variables)

    @tf.function
    def step(x: Any, y: Any) -> Any:
        values = [v.value for v in variables]
        with tf.GradientTape() as tape:
            tape.watch(values)
            rounded = [
                fake_quantize(value, bits=bits, axes=kernels[id(v)]) if id(v) in kernels else value
                for v, value in zip(variables, values, strict=True)
            ]
            outputs, _ = copy.stateless_call(rounded, fixed, x, training=False)
            found = loss(y, outputs)
        gradients = tape.gradient(found, values)
        masked = [
            gradient if mask is None else gradient * mask
            for gradient, mask in zip(gradients, masks, strict=True)
        ]
        optimizer.apply(masked, variables)
        return found

    x, y = check_numbers(tuning.x, "tuning.x"), check_numbers(tuning.y, "tuning.y")
    rng = generator(tuning.seed, "fine_tune")
    size = min(tuning.batch_size, len(x))
    last = tf.constant(0.0)
    for _ in range(tuning.steps):
        batch = rng.choice(len(x), size, replace=False)
        last = step(tf.constant(x[batch]), tf.constant(y[batch]))
    if not np.isfinite(float(last)):
        raise ExportError(
            "Fine-tuning must end with a finite loss. Received: a training that diverged. Choose a "
            "lower learning rate."
        )
    return copy


def output_axes(model: keras.Layer, kernel: keras.Variable) -> tuple[int, ...]:
    """Return the axes of a kernel along which the format has a scale each.

    Args:
        model: A model or layer that has the kernel; of layers of unknown kind it is the last axis.
        kernel: The kernel.
    """
    rank = len(kernel.shape)
    for layer in flat_layers(model):
        if getattr(layer, "kernel", None) is kernel:
            return (rank - 2, rank - 1) if is_depthwise(layer) else (kernel_axes(layer)[1],)
    return (rank - 1,)
