"""The networks of the papers, by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Unpack

import keras

from tfticket.errors import ModelError
from tfticket.models.parts import Options, Parts, Shape, image_input, parts
from tfticket.seeds import sub_seed
from tfticket.wording import did_you_mean

_VGG_CHANNELS = (64, 128, 256, 512, 512)
_VGG_REPEATS = {
    11: (1, 1, 2, 2, 2),
    13: (2, 2, 2, 2, 2),
    16: (2, 2, 3, 3, 3),
    19: (2, 2, 4, 4, 4),
}


def lenet_300_100(input_shape: Shape, num_classes: int, **options: Unpack[Options]) -> keras.Model:
    """Build LeNet-300-100: two hidden dense layers, 266,200 kernel weights on MNIST.

    LeCun et al. 1998, "Gradient-Based Learning Applied to Document Recognition", with ReLU, as in
    "The Lottery Ticket Hypothesis" (Frankle & Carbin, arXiv:1803.03635).

    Args:
        input_shape: Shape of one example; flattened if need be.
        num_classes: Number of logits.
        **options: See `Options`; `dropout` follows each hidden layer.

    Example:
        >>> lenet_300_100((28, 28, 1), 10).count_params()
        266610
    """
    make = parts(options, initializer="glorot_normal")
    inputs = keras.Input(tuple(input_shape), name="image")
    x = keras.layers.Flatten(name="flatten")(inputs)
    x = make.dense(x, 300, "dense1")
    x = make.dense(x, 100, "dense2")
    return keras.Model(inputs, make.logits(x, num_classes), name="lenet_300_100")


def mlp(input_shape: Shape, num_classes: int, **options: Unpack[Options]) -> keras.Model:
    """Build a network of two hidden dense layers of 64 units with ReLU, for small tables.

    Args:
        input_shape: Shape of one example; flattened if need be.
        num_classes: Number of logits, or of targets of a regression, which may be one.
        **options: See `Options`; `dropout` follows each hidden layer.

    Example:
        >>> mlp((10,), 1).count_params()
        4929
    """
    make = parts(options, initializer="glorot_normal")
    inputs = x = keras.Input(tuple(input_shape), name="input")
    if len(input_shape) > 1:
        x = keras.layers.Flatten(name="flatten")(x)
    x = make.dense(x, 64, "dense1")
    x = make.dense(x, 64, "dense2")
    return keras.Model(inputs, make.logits(x, num_classes), name="mlp")


def unet(input_shape: Shape, num_classes: int, **options: Unpack[Options]) -> keras.Model:
    """Build a small U-Net that gives logits for each pixel: 14,536 kernel weights of 4 classes.

    Two poolings down from 8 to 32 channels and back up, each stage one 3x3 convolution, with the
    features of the same size beside it. Source: Ronneberger et al. (arXiv:1505.04597), which has
    two convolutions a stage, four poolings and 64 to 1024 channels.

    Args:
        input_shape: Shape of one image, whose sides are multiples of 4.
        num_classes: Number of logits of a pixel.
        **options: See `Options`; `dropout` comes at the smallest size.

    Raises:
        ModelError: when the sides can't be halved twice.

    Example:
        >>> unet((16, 16, 1), 4).output_shape
        (None, 16, 16, 4)
    """
    make = parts(options, initializer="he_normal")
    inputs = x = image_input(input_shape, smallest=4)
    if any(side % 4 for side in input_shape[:2]):
        raise ModelError(
            "The sides of the images of a U-Net must be multiples of 4, since it halves them twice."
            f" Received: examples of shape {tuple(input_shape)}."
        )
    beside = []
    for stage, channels in enumerate((8, 16), start=1):
        x = make.convolve(x, channels, f"down{stage}")
        beside.append(x)
        x = keras.layers.MaxPooling2D(name=f"pool{stage}")(x)
    x = make.drop(make.convolve(x, 32, "middle"), "middle")
    for stage, channels in ((2, 16), (1, 8)):
        x = keras.layers.UpSampling2D(name=f"larger{stage}")(x)
        x = keras.layers.Concatenate(name=f"beside{stage}")([x, beside[stage - 1]])
        x = make.convolve(x, channels, f"up{stage}")
    # A dense layer sees each pixel by itself.
    return keras.Model(inputs, make.logits(x, num_classes), name="unet")


def conv2(input_shape: Shape, num_classes: int, **options: Unpack[Options]) -> keras.Model:
    """Build Conv-2 of Frankle & Carbin (arXiv:1803.03635): 4,300,992 kernel weights on CIFAR-10.

    Two convolutions of 64 channels, pooling, and two dense layers of 256 units with dropout after
    each; the paper's section 4 drops a half and doesn't say where.

    Args:
        input_shape: Shape of one image, at least 2x2.
        num_classes: Number of logits.
        **options: See `Options`.

    Example:
        >>> conv2((32, 32, 3), 10, width=0.25).output_shape
        (None, 10)
    """
    return _conv("conv2", (64,), input_shape, num_classes, **options)


def conv4(input_shape: Shape, num_classes: int, **options: Unpack[Options]) -> keras.Model:
    """Build Conv-4: as `conv2`, with two more convolutions of 128 channels; 2,425,024 weights.

    Args:
        input_shape: Shape of one example, (height, width, channels).
        num_classes: Number of logits, at least 2.
        **options: See `build`.
    """
    return _conv("conv4", (64, 128), input_shape, num_classes, **options)


def conv6(input_shape: Shape, num_classes: int, **options: Unpack[Options]) -> keras.Model:
    """Build Conv-6: as `conv4`, with two more convolutions of 256 channels; 2,261,184 weights.

    The paper prints 1.7 million, which doesn't follow from the architecture that it states.

    Args:
        input_shape: Shape of one example, (height, width, channels).
        num_classes: Number of logits, at least 2.
        **options: See `build`.
    """
    return _conv("conv6", (64, 128, 256), input_shape, num_classes, **options)


def _conv(
    name: str,
    channels: tuple[int, ...],
    input_shape: Shape,
    num_classes: int,
    **options: Unpack[Options],
) -> keras.Model:
    make = parts(options, initializer="glorot_normal")
    inputs = x = image_input(input_shape, smallest=2 ** len(channels))
    for block, count in enumerate(channels, start=1):
        x = make.convolve(x, count, f"conv{2 * block - 1}")
        x = make.convolve(x, count, f"conv{2 * block}")
        x = keras.layers.MaxPooling2D(name=f"pool{block}")(x)
    x = keras.layers.Flatten(name="flatten")(x)
    x = make.dense(x, 256, "dense1")
    x = make.dense(x, 256, "dense2")
    return keras.Model(inputs, make.logits(x, num_classes), name=name)


def cnn9(input_shape: Shape, num_classes: int, **options: Unpack[Options]) -> keras.Model:
    """Build the nine-layer CNN of co-teaching: 4,428,416 kernel weights on CIFAR-10.

    Three 3x3 convolutions of 128 channels, pooling, three of 256, pooling, then 512, 256 and 128
    without padding, global average pooling and the output layer; leaky ReLUs of slope 0.01.

    Source: the program of Han et al., "Co-teaching" (2018, arXiv:1804.06872). It drops a quarter of
    the channels behind both poolings: with some versions of its framework never, with others in
    tests too. Here they are dropped in training only.

    Args:
        input_shape: Shape of one image, at least 28x28, since three convolutions have no padding.
        num_classes: Number of logits.
        **options: See `Options`; `dropout` of channels follows both poolings; the program's
            is 0.25.
    """
    make = parts(options, norm="batch", initializer="he_normal")

    def convolve(x: Any, channels: int, number: int, padding: str) -> Any:
        name = f"conv{number}"
        x = make.convolve(x, channels, name, relu=False, padding=padding)
        return keras.layers.LeakyReLU(0.01, name=f"{name}_relu")(x)

    inputs = x = image_input(input_shape, smallest=28)
    for block, channels in enumerate((128, 256)):
        for number in range(1, 4):
            x = convolve(x, channels, 3 * block + number, "same")
        pool = f"pool{block + 1}"
        x = keras.layers.MaxPooling2D(name=pool)(x)
        if make.dropout:
            x = keras.layers.SpatialDropout2D(
                make.dropout, seed=sub_seed(make.seed, "dropout", pool), name=f"{pool}_dropout"
            )(x)
    for number, channels in enumerate((512, 256, 128), start=7):
        x = convolve(x, channels, number, "valid")
    x = keras.layers.GlobalAveragePooling2D(name="pool3")(x)
    return keras.Model(inputs, make.logits(x, num_classes), name="cnn9")


def resnet20(input_shape: Shape, num_classes: int, **options: Unpack[Options]) -> keras.Model:
    """Build ResNet-20 for CIFAR (He et al., arXiv:1512.03385, section 4.2): 270,896 kernel weights.

    Three stages of 16, 32 and 64 channels. Where a stage changes the size, the shortcut is a 1x1
    convolution, `stage2_block1_shortcut` and `stage3_block1_shortcut`, as in the runs of the
    lottery-ticket papers (which don't prune these 2,560 weights, nor the 640 of `output`); He et
    al. pad with zeros there.

    Args:
        input_shape: Shape of one image, at least 4x4.
        num_classes: Number of logits.
        **options: See `Options`; `norm` is `batch` by default, and `dropout` comes before the
            output layer.

    Example:
        >>> resnet20((32, 32, 3), 10).get_layer("stage2_block1_shortcut").kernel.shape
        TensorShape([1, 1, 16, 32])
    """
    return _resnet("resnet20", 3, input_shape, num_classes, **options)


def resnet32(input_shape: Shape, num_classes: int, **options: Unpack[Options]) -> keras.Model:
    """Build ResNet-32: as `resnet20`, with five blocks a stage, not three; 464,432 weights.

    Args:
        input_shape: Shape of one example, (height, width, channels).
        num_classes: Number of logits, at least 2.
        **options: See `build`.
    """
    return _resnet("resnet32", 5, input_shape, num_classes, **options)


def _resnet(
    name: str, blocks: int, input_shape: Shape, num_classes: int, **options: Unpack[Options]
) -> keras.Model:
    make = parts(options, norm="batch", initializer="he_normal")
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


def vgg(
    input_shape: Shape, num_classes: int, *, depth: int = 16, **options: Unpack[Options]
) -> keras.Model:
    """Build VGG (Simonyan & Zisserman, arXiv:1409.1556) as it is used for images of 32x32 pixels.

    One dense layer, the output, follows global average pooling. The lottery-ticket papers use depth
    16 and 19 in this form on CIFAR-10; the two wide dense layers of the original would hold most of
    the weights otherwise.

    Args:
        input_shape: Shape of one image, at least 16x16.
        num_classes: Number of logits.
        depth: 11, 13, 16 or 19 layers, counted as in the paper, which has three dense ones.
        **options: See `Options`; `dropout` comes before the output layer.

    Raises:
        ModelError: when `depth` is another number, or the images are too small.
    """
    if depth not in _VGG_REPEATS:
        raise ModelError(
            f"VGG has no depth {depth}. `depth` must be one of {', '.join(map(str, _VGG_REPEATS))}."
        )
    make = parts(options, norm="batch", initializer="he_normal")
    inputs = x = image_input(input_shape, smallest=16)
    number = 0
    blocks = zip(_VGG_CHANNELS, _VGG_REPEATS[depth], strict=True)
    for block, (channels, repeats) in enumerate(blocks, start=1):
        for _ in range(repeats):
            number += 1
            x = make.convolve(x, channels, f"conv{number}")
        if block < len(_VGG_CHANNELS):
            x = keras.layers.MaxPooling2D(name=f"pool{block}")(x)
    pool = f"pool{len(_VGG_CHANNELS)}"
    x = make.drop(keras.layers.GlobalAveragePooling2D(name=pool)(x), pool)
    return keras.Model(inputs, make.logits(x, num_classes), name=f"vgg{depth}")


def dln(
    input_shape: Shape,
    num_classes: int,
    *,
    depth: int = 25,
    width_units: int = 10,
    **options: Unpack[Options],
) -> keras.Model:
    """Build a deep linear network, W_1 ... W_depth x, without biases or activations.

    A normalization follows each layer but the last. Source: Santurkar et al., "How Does Batch
    Normalization Help Optimization?" (arXiv:1805.11604), appendix A.1.2: 25 layers of 10 x 10.

    Args:
        input_shape: Shape of one example; flattened if need be.
        num_classes: Number of outputs.
        depth: Number of layers, at least 2.
        width_units: Units of the layers but the last, times `width`.
        **options: See `Options`; `dropout` follows each layer but the last.

    Raises:
        ModelError: when `depth` is below 2.
    """
    if depth < 2:
        raise ModelError(f"`depth` must be at least 2. Received: {depth}.")
    make = parts(options, initializer="glorot_normal")

    def matrix(units: int, name: str) -> keras.layers.Dense:
        return keras.layers.Dense(
            units, use_bias=False, kernel_initializer=make.kernel(name), name=name
        )

    inputs = x = keras.Input(tuple(input_shape), name="input")
    if len(input_shape) > 1:
        x = keras.layers.Flatten(name="flatten")(x)
    units = make.units(width_units)
    for number in range(1, depth):
        name = f"dense{number}"
        x = make.drop(make.activate(matrix(units, name)(x), units, name, relu=False), name)
    return keras.Model(inputs, matrix(num_classes, "output")(x), name=f"dln{depth}")


MODELS: dict[str, Callable[..., keras.Model]] = {
    "lenet_300_100": lenet_300_100,
    "mlp": mlp,
    "conv2": conv2,
    "conv4": conv4,
    "conv6": conv6,
    "cnn9": cnn9,
    "resnet20": resnet20,
    "resnet32": resnet32,
    "vgg": vgg,
    "dln": dln,
    "unet": unet,
}


def build(name: str, input_shape: Shape, num_classes: int, **options: Any) -> keras.Model:
    """Build a network by name.

    Args:
        name: A key of `MODELS`.
        input_shape: Shape of one example.
        num_classes: Number of logits, or of targets of a regression; at least 2, but for `mlp`.
        **options: See `tfticket.models.parts.Options`; for `vgg` and `dln` also `depth`.

    Raises:
        ModelError: when the name is unknown, or the network can't be built so.

    Example:
        >>> build("lenet_300_100", (28, 28, 1), 10, norm="batch").get_layer("dense1_norm").name
        'dense1_norm'
    """
    if name not in MODELS:
        raise ModelError(
            f"No network named {name!r}.{did_you_mean(name, MODELS)} A model is one of "
            f"{', '.join(MODELS)}, or a .keras file."
        )
    if num_classes < (least := 1 if name == "mlp" else 2):
        raise ModelError(f"`num_classes` must be at least {least}. Received: {num_classes}.")
    return MODELS[name](input_shape, num_classes, **options)
