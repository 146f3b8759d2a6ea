"""Building blocks of the networks: named, seeded layers with a chosen normalization."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypedDict

import keras

from tfticket.errors import ModelError
from tfticket.norms.catalog import NORMS, Norm
from tfticket.norms.layers.convolution import StandardizedConv2D
from tfticket.seeds import sub_seed

__all__ = ["NORMS", "NormFactory", "Options", "Parts", "Shape", "image_input", "parts"]

NormFactory = Callable[[str, int], keras.layers.Layer | None]
"""Function of a name and a number of channels that returns a normalization; a `Norm` is one."""


Shape = tuple[int, ...]


class Options(TypedDict, total=False):
    """Options of all networks.

    Attributes:
        width: Factor of the number of units or channels, greater than 0; 1 by default.
        norm: A name in `NORMS`, or a function of name and channels that returns a layer. None, the
            default, is the network's own.
        dropout: Share of the units dropped, in [0, 1), where the network says; 0 by default.
        seed: Seed of the initial weights and of the dropout; 0 by default.
        initializer: Initializer of the kernels, by default that of the paper.
    """

    width: float
    norm: str | NormFactory | None
    dropout: float
    seed: int
    initializer: Any


@dataclass(frozen=True)
class Parts:
    """Factory of the layers of one network.

    Attributes:
        seed: Seed of all streams. Each initializer, dropout and noisy norm gets a seed derived from
            it and the layer's name, so that no two layers of one shape start with the same weights.
        width: Factor of the number of units or channels.
        norm: Normalization between a layer and its ReLU; the layer has no bias then, which the
            norm would cancel. If the norm standardizes weights, convolutions are standardized.
        dropout: Share of the units dropped, in [0, 1).
        initializer: A Keras initializer or its name.
    """

    seed: int
    width: float
    norm: NormFactory | None
    dropout: float
    initializer: Any

    @property
    def dense_norm(self) -> NormFactory | None:
        """Normalization behind dense layers; None if it would normalize over their one position."""
        single = isinstance(self.norm, Norm) and self.norm.needs_positions
        return None if single else self.norm

    def units(self, count: int) -> int:
        """Scale a number of units or channels by `width`."""
        return max(1, round(count * self.width))

    def kernel(self, name: str) -> keras.initializers.Initializer:
        """Return the seeded initializer of the layer called `name`."""
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
        """Apply a dense layer, normalization, ReLU and dropout."""
        units = self.units(count)
        layer = keras.layers.Dense(
            units, use_bias=self.dense_norm is None, kernel_initializer=self.kernel(name), name=name
        )
        return self.drop(self.activate(layer(x), units, name), name)

    def drop(self, x: Any, name: str) -> Any:
        """Apply dropout behind the layer called `name`, if there is any."""
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
        """Apply a convolution, normalization and ReLU.

        Args:
            x: Images, shape (batch, height, width, channels).
            count: Number of filters before it is scaled by `width`.
            name: Name of the convolution.
            size: Side of the kernel.
            strides: Stride in both directions.
            padding: `same` or `valid`.
            relu: Whether to end in a ReLU.
        """
        channels = self.units(count)
        standardizes = isinstance(self.norm, Norm) and self.norm.standardizes_weights
        convolution = StandardizedConv2D if standardizes else keras.layers.Conv2D
        layer = convolution(
            channels, size, strides=strides, padding=padding, use_bias=self.norm is None,
            kernel_initializer=self.kernel(name), name=name,
        )  # fmt: skip
        return self.activate(layer(x), channels, name, relu=relu)

    def activate(self, x: Any, channels: int, name: str, *, relu: bool = True) -> Any:
        """Apply normalization if there is any, then ReLU."""
        norm = self.dense_norm if len(x.shape) == 2 else self.norm
        if norm is not None:
            if isinstance(norm, Norm) and "seed" in norm.known_options:
                seed = sub_seed(self.seed, "norm", f"{name}_norm")
                norm = Norm(norm.kind, {"seed": seed, **norm.options})
            layer: Any = norm(f"{name}_norm", channels)
            x = layer(x)
        return keras.layers.ReLU(name=f"{name}_relu")(x) if relu else x

    def logits(self, x: Any, num_classes: int) -> Any:
        """Apply the output layer, of `num_classes` units whatever `width` is."""
        layer = keras.layers.Dense(
            num_classes,
            kernel_initializer=self.kernel("output"),
            # Under mixed precision the loss needs logits of full precision.
            dtype=keras.config.dtype_policy().variable_dtype,
            name="output",
        )
        return layer(x)


def parts(options: Options, *, norm: str | None = None, initializer: str) -> Parts:
    """Check the options of a network, and return the factory of its layers.

    Args:
        options: As given.
        norm: The network's own normalization, if `options` has none.
        initializer: That of the paper, if `options` has none.

    Raises:
        ModelError: when an option is out of range or unknown.
    """
    unknown = sorted(options.keys() - Options.__annotations__.keys())
    if unknown:
        raise TypeError(f"Options are {', '.join(Options.__annotations__)}. Received: {unknown}.")
    width, dropout = options.get("width", 1.0), options.get("dropout", 0.0)
    if not width > 0:
        raise ModelError(f"`width` must be greater than 0. Received: width={width}.")
    if not 0 <= dropout < 1:
        raise ModelError(f"`dropout` must be in [0, 1). Received: dropout={dropout}.")
    chosen = norm if options.get("norm") is None else options["norm"]
    factory = Norm(chosen) if isinstance(chosen, str) else chosen
    if isinstance(factory, Norm) and factory.kind == "none":
        factory = None
    seed, initializer = options.get("seed", 0), options.get("initializer", initializer)
    made = Parts(seed, width, factory, dropout, initializer)
    made.kernel("")  # raises for an unknown initializer, before anything is built
    return made


def image_input(input_shape: tuple[int, ...], *, smallest: int) -> Any:
    """Return the input of a convolutional network.

    Raises:
        ModelError: when the examples aren't images, or are too small for the pooling.
    """
    if len(input_shape) != 3 or min(input_shape[:2]) < smallest:
        raise ModelError(
            "This network needs images of shape (height, width, channels), at least "
            f"{smallest}x{smallest} pixels for its pooling. Received: examples of shape "
            f"{tuple(input_shape)}."
        )
    return keras.Input(tuple(input_shape), name="image")
