"""What the networks are made of: named, seeded layers, with a normalization that can be chosen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras

from tfticket.errors import ModelError
from tfticket.norms.catalog import NORMS, Norm
from tfticket.norms.layers.convolution import StandardizedConv2D
from tfticket.seeds import sub_seed

__all__ = ["NORMS", "NormFactory", "Parts", "image_input", "parts"]

NormFactory = Callable[[str, int], keras.layers.Layer | None]
"""Makes a normalization layer from its name and the number of channels it will see.

The values of `NORMS` are such, and so is a `Norm` with options.
"""


@dataclass(frozen=True)
class Parts:
    """Makes the layers of one network.

    Attributes:
        seed: Each layer's initializer gets a seed of its own, derived from this and the layer's
            name, so that no two layers of one shape start with the same weights. Dropout and noisy
            normalization get theirs from it too.
        width: Factor of the number of units or channels.
        norm: Goes between a layer and its ReLU; the layer has no bias then, which the
            normalization would take away again. With one that standardizes weights, convolutions
            are standardized ones.
        dropout: Share of the units that is dropped, in [0, 1).
        initializer: Name of a Keras initializer, or one.
    """

    seed: int
    width: float
    norm: NormFactory | None
    dropout: float
    initializer: Any

    @property
    def dense_norm(self) -> NormFactory | None:
        """The normalization behind dense layers, whose output is a single position.

        There is none where each channel is normalized over positions: its output would be constant.
        """
        single = isinstance(self.norm, Norm) and self.norm.needs_positions
        return None if single else self.norm

    def units(self, count: int) -> int:
        """Scales a number of units or channels by `width`."""
        return max(1, round(count * self.width))

    def kernel(self, name: str) -> keras.initializers.Initializer:
        """The initializer of the layer called `name`."""
        try:
            initializer = keras.initializers.get(self.initializer)
            config = initializer.get_config()
        except (ValueError, AttributeError) as error:
            raise ModelError(
                "`initializer` must be a Keras initializer or the name of one, such as "
                f"'he_normal'. Received: {self.initializer!r}."
            ) from error
        if "seed" in config:
            config["seed"] = sub_seed(self.seed, "init", name)
        return type(initializer).from_config(config)

    def dense(self, x: Any, count: int, name: str) -> Any:
        """Dense layer, normalization, ReLU, dropout."""
        units = self.units(count)
        layer = keras.layers.Dense(
            units, use_bias=self.dense_norm is None, kernel_initializer=self.kernel(name), name=name
        )
        return self.drop(self.activate(layer(x), units, name), name)

    def drop(self, x: Any, name: str) -> Any:
        """Dropout behind the layer called `name`, if there is any."""
        if not self.dropout:
            return x
        seed = sub_seed(self.seed, "dropout", name)
        return keras.layers.Dropout(self.dropout, seed=seed, name=f"{name}_dropout")(x)

    def convolve(
        self,
        x: Any,
        count: int,
        name: str,
        *,
        size: int = 3,
        strides: int = 1,
        padding: str = "same",
        relu: bool = True,
    ) -> Any:
        """Convolution, with zero padding unless `padding` is `valid`, normalization, ReLU."""
        channels = self.units(count)
        standardizes = isinstance(self.norm, Norm) and self.norm.standardizes_weights
        convolution = StandardizedConv2D if standardizes else keras.layers.Conv2D
        layer = convolution(
            channels, size, strides=strides, padding=padding, use_bias=self.norm is None,
            kernel_initializer=self.kernel(name), name=name,
        )  # fmt: skip
        return self.activate(layer(x), channels, name, relu=relu)

    def activate(self, x: Any, channels: int, name: str, *, relu: bool = True) -> Any:
        """Normalization if there is one, then ReLU."""
        norm = self.dense_norm if len(x.shape) == 2 else self.norm
        if norm is not None:
            x = self._norm_layer(norm, f"{name}_norm", channels)(x)
        return keras.layers.ReLU(name=f"{name}_relu")(x) if relu else x

    def _norm_layer(self, norm: NormFactory, name: str, channels: int) -> Any:
        if isinstance(norm, Norm) and "seed" in norm.known_options:
            norm = Norm(norm.kind, {"seed": sub_seed(self.seed, "norm", name), **norm.options})
        return norm(name, channels)

    def logits(self, x: Any, num_classes: int) -> Any:
        """The output layer; its width is the number of classes, whatever `width` says."""
        name = "output"
        layer = keras.layers.Dense(
            num_classes,
            kernel_initializer=self.kernel(name),
            # Under mixed precision the loss needs logits of full precision.
            dtype=keras.config.dtype_policy().variable_dtype,
            name=name,
        )
        return layer(x)


def parts(
    *,
    seed: int,
    width: float,
    norm: str | NormFactory | None,
    dropout: float,
    initializer: Any,
) -> Parts:
    """Checks the options that all networks share.

    Raises:
        ModelError: when one of them is out of range or unknown.
    """
    if not width > 0:
        raise ModelError(f"`width` must be greater than 0. Received: width={width}.")
    if not 0 <= dropout < 1:
        raise ModelError(f"`dropout` must be in [0, 1). Received: dropout={dropout}.")
    factory = Norm(norm) if isinstance(norm, str) else norm
    if isinstance(factory, Norm) and factory.kind == "none":
        factory = None
    made = Parts(seed, width, factory, dropout, initializer)
    made.kernel("")  # an unknown initializer is found before anything is built
    return made


def image_input(input_shape: tuple[int, ...], *, smallest: int) -> Any:
    """The input of a convolutional network.

    Raises:
        ModelError: when the examples are no images, or are too small for the pooling.
    """
    if len(input_shape) != 3 or min(input_shape[:2]) < smallest:
        raise ModelError(
            "This network needs images of shape (height, width, channels), at least "
            f"{smallest}x{smallest} pixels for its pooling. Received: examples of shape "
            f"{tuple(input_shape)}."
        )
    return keras.Input(tuple(input_shape), name="image")
