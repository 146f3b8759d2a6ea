"""The small networks of "The Lottery Ticket Hypothesis" (Frankle & Carbin, arXiv:1803.03635).

Their options:
    input_shape: Shape of one example.
    num_classes: Number of logits.
    width: Factor of the number of units and channels, greater than 0.
    norm: A name in `NORMS`, or a function of name and channels that gives a layer; None for the
        network's own (none).
    dropout: Share of the units dropped after each hidden dense layer, in [0, 1). The paper's
        section 4 has 0.5 for the convolutional ones and doesn't say where.
    seed: Seed of the initial weights and of the dropout.
    initializer: Of the kernels. The paper's is `glorot_normal`.
"""

from __future__ import annotations

from typing import Any

import keras

from tfticket.models.parts import NormFactory, image_input, parts


def lenet_300_100(
    input_shape: tuple[int, ...],
    num_classes: int,
    *,
    width: float = 1.0,
    norm: str | NormFactory | None = None,
    dropout: float = 0.0,
    seed: int = 0,
    initializer: Any = "glorot_normal",
) -> keras.Model:
    """Two hidden dense layers of 300 and 100 units: 266,200 kernel weights on MNIST.

    LeCun et al. 1998, "Gradient-Based Learning Applied to Document Recognition", with ReLU.
    """
    make = parts(seed=seed, width=width, norm=norm, dropout=dropout, initializer=initializer)
    inputs = keras.Input(tuple(input_shape), name="image")
    x = keras.layers.Flatten(name="flatten")(inputs)
    x = make.dense(x, 300, "dense1")
    x = make.dense(x, 100, "dense2")
    return keras.Model(inputs, make.logits(x, num_classes), name="lenet_300_100")


def conv2(input_shape: tuple[int, ...], num_classes: int, **options: Any) -> keras.Model:
    """Two convolutions of 64 channels, pooling, two dense layers of 256: 4,300,992 on CIFAR-10."""
    return _conv("conv2", (64,), input_shape, num_classes, **options)


def conv4(input_shape: tuple[int, ...], num_classes: int, **options: Any) -> keras.Model:
    """As `conv2`, with two more convolutions of 128 channels: 2,425,024 on CIFAR-10."""
    return _conv("conv4", (64, 128), input_shape, num_classes, **options)


def conv6(input_shape: tuple[int, ...], num_classes: int, **options: Any) -> keras.Model:
    """As `conv4`, with two more convolutions of 256 channels: 2,261,184 on CIFAR-10.

    The paper prints 1.7 million, which doesn't follow from the architecture that it states.
    """
    return _conv("conv6", (64, 128, 256), input_shape, num_classes, **options)


def _conv(
    name: str,
    channels: tuple[int, ...],
    input_shape: tuple[int, ...],
    num_classes: int,
    *,
    width: float = 1.0,
    norm: str | NormFactory | None = None,
    dropout: float = 0.0,
    seed: int = 0,
    initializer: Any = "glorot_normal",
) -> keras.Model:
    make = parts(seed=seed, width=width, norm=norm, dropout=dropout, initializer=initializer)
    inputs = x = image_input(input_shape, smallest=2 ** len(channels))
    for block, count in enumerate(channels, start=1):
        x = make.convolve(x, count, f"conv{2 * block - 1}")
        x = make.convolve(x, count, f"conv{2 * block}")
        x = keras.layers.MaxPooling2D(name=f"pool{block}")(x)
    x = keras.layers.Flatten(name="flatten")(x)
    x = make.dense(x, 256, "dense1")
    x = make.dense(x, 256, "dense2")
    return keras.Model(inputs, make.logits(x, num_classes), name=name)
