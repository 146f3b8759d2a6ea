"""Statistics of batch normalization, measured anew for weights that no training led to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras


def recalibrate_statistics(model: keras.Model, batches: Sequence[Any]) -> None:
    """Sets the moving statistics of batch normalization to their means over `batches`.

    Args:
        model: Changed in its moving statistics (and its seed generators, if it has any) only.
        batches: Batches of inputs, each as the model takes it.
    """
    layers = [
        layer
        for layer in model._flatten_layers()
        if isinstance(layer, keras.layers.BatchNormalization)
    ]
    momenta = [layer.momentum for layer in layers]
    try:
        for number, batch in enumerate(batches if layers else ()):
            for layer in layers:
                layer.momentum = number / (number + 1)  # makes the moving average a plain mean
            model(batch, training=True)
    finally:
        for layer, momentum in zip(layers, momenta, strict=True):
            layer.momentum = momentum
