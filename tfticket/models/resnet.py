"""Residual networks for CIFAR of He et al. (arXiv:1512.03385, section 4.2).

Their options:
    input_shape: Shape of one image, at least 4x4.
    num_classes: Number of logits.
    width: Factor of the number of channels, greater than 0.
    norm: A name in `NORMS`, or a function of name and channels that gives a layer; None for
        `batch`, the network's own.
    dropout: Share of the features dropped before the output layer, in [0, 1).
    seed: Seed of the initial weights and of the dropout.
    initializer: Of the kernels. The paper's is `he_normal`.
"""

from __future__ import annotations

from typing import Any

import keras

from tfticket.models.parts import NormFactory, Parts, image_input, parts


def resnet20(input_shape: tuple[int, ...], num_classes: int, **options: Any) -> keras.Model:
    """Twenty layers in three stages of 16, 32 and 64 channels: 270,896 kernel weights on CIFAR-10.

    Where a stage changes the size, the shortcut is a 1x1 convolution, `stage2_block1_shortcut` and
    `stage3_block1_shortcut`, as in the runs of the lottery-ticket papers (which don't prune these
    2,560 weights, nor the 640 of `output`); He et al. pad with zeros there.
    """
    return _resnet("resnet20", 3, input_shape, num_classes, **options)


def resnet32(input_shape: tuple[int, ...], num_classes: int, **options: Any) -> keras.Model:
    """As `resnet20`, with five blocks in each stage instead of three: 464,432 kernel weights."""
    return _resnet("resnet32", 5, input_shape, num_classes, **options)


def _resnet(
    name: str,
    blocks: int,
    input_shape: tuple[int, ...],
    num_classes: int,
    *,
    width: float = 1.0,
    norm: str | NormFactory | None = None,
    dropout: float = 0.0,
    seed: int = 0,
    initializer: Any = "he_normal",
) -> keras.Model:
    norm = "batch" if norm is None else norm
    make = parts(seed=seed, width=width, norm=norm, dropout=dropout, initializer=initializer)
    inputs = image_input(input_shape, smallest=4)
    x = make.convolve(inputs, 16, "conv1")
    for stage, channels in enumerate((16, 32, 64), start=1):
        for block in range(1, blocks + 1):
            strides = 2 if stage > 1 and block == 1 else 1
            x = _block(make, x, channels, f"stage{stage}_block{block}", strides)
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    x = make.drop(x, "pool")
    return keras.Model(inputs, make.logits(x, num_classes), name=name)


def _block(make: Parts, inputs: Any, channels: int, name: str, strides: int) -> Any:
    x = make.convolve(inputs, channels, f"{name}_conv1", strides=strides)
    x = make.convolve(x, channels, f"{name}_conv2", relu=False)
    shortcut = inputs
    if strides > 1:
        shortcut = make.convolve(
            inputs, channels, f"{name}_shortcut", size=1, strides=strides, relu=False
        )
    x = keras.layers.Add(name=f"{name}_add")([x, shortcut])
    return keras.layers.ReLU(name=f"{name}_relu")(x)
