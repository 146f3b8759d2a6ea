"""The network of nine convolutions that co-teaching was tried with."""

from __future__ import annotations

from typing import Any

import keras

from tfticket.models.parts import NormFactory, Parts, image_input, parts
from tfticket.seeds import sub_seed

_SLOPE = 0.01
_BLOCKS = (128, 256)
_LAST = (512, 256, 128)


def cnn9(
    input_shape: tuple[int, ...],
    num_classes: int,
    *,
    width: float = 1.0,
    norm: str | NormFactory | None = None,
    dropout: float = 0.0,
    seed: int = 0,
    initializer: Any = "he_normal",
) -> keras.Model:
    """Nine convolutions of 3x3, leaky ReLUs: 4,428,416 kernel weights on CIFAR-10.

    Three convolutions of 128 channels, pooling, three of 256, pooling, then 512, 256 and 128
    without padding, an average over the image, and the output layer.

    Source: the program of Han et al., "Co-teaching" (2018, arXiv:1804.06872). It drops a quarter of
    the channels behind both poolings: never with some versions of its framework, in tests too with
    others. Here they are dropped while training.

    Args:
        input_shape: Shape of one image, at least 28x28, since three convolutions have no padding.
        num_classes: Number of logits.
        width: Factor of the number of channels, greater than 0.
        norm: A name in `NORMS`, or a function of name and channels that gives a layer; None for
            `batch`, the network's own.
        dropout: Share of the channels dropped behind each of the two poolings, in [0, 1); the
            program's is 0.25.
        seed: Seed of the initial weights and of the dropout.
        initializer: Of the kernels.
    """
    norm = "batch" if norm is None else norm
    make = parts(seed=seed, width=width, norm=norm, dropout=dropout, initializer=initializer)
    inputs = x = image_input(input_shape, smallest=28)
    index = 0
    for block, channels in enumerate(_BLOCKS, start=1):
        for _ in range(3):
            index += 1
            x = _convolve(make, x, channels, f"conv{index}")
        x = keras.layers.MaxPooling2D(name=f"pool{block}")(x)
        if dropout:
            name = f"pool{block}_dropout"
            x = keras.layers.SpatialDropout2D(
                dropout, seed=sub_seed(seed, "dropout", f"pool{block}"), name=name
            )(x)
    for channels in _LAST:
        index += 1
        x = _convolve(make, x, channels, f"conv{index}", padding="valid")
    x = keras.layers.GlobalAveragePooling2D(name="pool3")(x)
    return keras.Model(inputs, make.logits(x, num_classes), name="cnn9")


def _convolve(make: Parts, x: Any, channels: int, name: str, padding: str = "same") -> Any:
    x = make.convolve(x, channels, name, relu=False, padding=padding)
    return keras.layers.LeakyReLU(_SLOPE, name=f"{name}_relu")(x)
