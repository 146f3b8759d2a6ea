"""VGG (Simonyan & Zisserman, arXiv:1409.1556) as it is used for images of 32x32 pixels."""

from __future__ import annotations

from typing import Any

import keras

from tfticket.errors import ModelError
from tfticket.models.parts import NormFactory, image_input, parts

_CHANNELS = (64, 128, 256, 512, 512)
_REPEATS = {
    11: (1, 1, 2, 2, 2),
    13: (2, 2, 2, 2, 2),
    16: (2, 2, 3, 3, 3),
    19: (2, 2, 4, 4, 4),
}


def vgg(
    input_shape: tuple[int, ...],
    num_classes: int,
    *,
    depth: int = 16,
    width: float = 1.0,
    norm: str | NormFactory | None = None,
    dropout: float = 0.0,
    seed: int = 0,
    initializer: Any = "he_normal",
) -> keras.Model:
    """VGG with one dense layer, the output, behind an average over the image.

    The lottery-ticket papers use depth 16 and 19 in this form on CIFAR-10; the two wide dense
    layers of the original would hold most of the weights otherwise.

    Args:
        input_shape: Shape of one image, at least 16x16.
        num_classes: Number of logits.
        depth: 11, 13, 16 or 19 layers, counted as in the paper, which has three dense ones.
        width: Factor of the number of channels, greater than 0.
        norm: A name in `NORMS`, or a function of name and channels that gives a layer; None for
            `batch`.
        dropout: Share of the features dropped before the output layer, in [0, 1).
        seed: Seed of the initial weights and of the dropout.
        initializer: Of the kernels.
    """
    if depth not in _REPEATS:
        raise ModelError(
            f"`depth` must be one of {', '.join(map(str, _REPEATS))}. Received: {depth}."
        )
    norm = "batch" if norm is None else norm
    make = parts(seed=seed, width=width, norm=norm, dropout=dropout, initializer=initializer)
    inputs = x = image_input(input_shape, smallest=16)
    index = 0
    for block, (channels, repeats) in enumerate(
        zip(_CHANNELS, _REPEATS[depth], strict=True), start=1
    ):
        for _ in range(repeats):
            index += 1
            x = make.convolve(x, channels, f"conv{index}")
        if block < len(_CHANNELS):
            x = keras.layers.MaxPooling2D(name=f"pool{block}")(x)
    x = keras.layers.GlobalAveragePooling2D(name=f"pool{len(_CHANNELS)}")(x)
    x = make.drop(x, f"pool{len(_CHANNELS)}")
    return keras.Model(inputs, make.logits(x, num_classes), name=f"vgg{depth}")
