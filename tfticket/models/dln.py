"""The deep linear network of "How Does Batch Normalization Help Optimization?"."""

from __future__ import annotations

from typing import Any

import keras

from tfticket.errors import ModelError
from tfticket.models.parts import NormFactory, parts


def dln(
    input_shape: tuple[int, ...],
    num_classes: int,
    *,
    depth: int = 25,
    width: float = 1.0,
    width_units: int = 10,
    norm: str | NormFactory | None = None,
    dropout: float = 0.0,
    seed: int = 0,
    initializer: Any = "glorot_normal",
) -> keras.Model:
    """`depth` matrices, one after the other: W_1 ... W_depth x, without biases or activations.

    What it can express is linear; how it learns is not. A normalization goes behind each layer but
    the last. Santurkar et al. (arXiv:1805.11604), appendix A.1.2, have 25 layers of 10 x 10.

    Args:
        input_shape: Shape of one example; flattened if need be.
        num_classes: Number of outputs.
        depth: Number of layers, at least 2.
        width: Factor of `width_units`, greater than 0.
        width_units: Units of the layers but the last.
        norm: A name in `NORMS`, or a function of name and channels that gives a layer; None for
            none.
        dropout: Share of the units dropped after each layer but the last, in [0, 1).
        seed: Seed of the initial weights and of the dropout.
        initializer: Of the kernels.
    """
    if depth < 2:
        raise ModelError(f"`depth` must be at least 2. Received: {depth}.")
    make = parts(seed=seed, width=width, norm=norm, dropout=dropout, initializer=initializer)
    inputs = x = keras.Input(tuple(input_shape), name="input")
    if len(input_shape) > 1:
        x = keras.layers.Flatten(name="flatten")(x)
    units = make.units(width_units)
    for number in range(1, depth):
        name = f"dense{number}"
        x = _matrix(units, name, make.kernel(name))(x)
        x = make.drop(make.activate(x, units, name, relu=False), name)
    outputs = _matrix(num_classes, "output", make.kernel("output"))(x)
    return keras.Model(inputs, outputs, name=f"dln{depth}")


def _matrix(units: int, name: str, initializer: Any) -> keras.layers.Dense:
    return keras.layers.Dense(units, use_bias=False, kernel_initializer=initializer, name=name)
