"""Models by name."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from typing import Any

import keras

from tfticket.errors import ModelError
from tfticket.models.cnn import cnn9
from tfticket.models.dln import dln
from tfticket.models.lottery import conv2, conv4, conv6, lenet_300_100
from tfticket.models.resnet import resnet20, resnet32
from tfticket.models.vggnet import vgg

MODELS: dict[str, Callable[..., keras.Model]] = {
    "lenet_300_100": lenet_300_100,
    "conv2": conv2,
    "conv4": conv4,
    "conv6": conv6,
    "cnn9": cnn9,
    "resnet20": resnet20,
    "resnet32": resnet32,
    "vgg": vgg,
    "dln": dln,
}


def build(name: str, input_shape: tuple[int, ...], num_classes: int, **options: Any) -> keras.Model:
    """Builds a network of the zoo.

    Args:
        name: A key of `MODELS`.
        input_shape: Shape of one example.
        num_classes: Number of logits, or of targets of a regression, at least 2.
        **options: `width`, `norm`, `dropout`, `seed`, `initializer`, and for `vgg` and `dln`
            `depth`.

    Raises:
        ModelError: when the name is unknown, or the network can't be built so.
    """
    if name not in MODELS:
        close = difflib.get_close_matches(name, MODELS, n=1)
        raise ModelError(
            f"A model must be one of {', '.join(MODELS)}, or a .keras file. Received: {name!r}."
            + (f" Did you mean {close[0]!r}?" if close else "")
        )
    if num_classes < 2:
        raise ModelError(f"`num_classes` must be at least 2. Received: {num_classes}.")
    return MODELS[name](input_shape, num_classes, **options)
