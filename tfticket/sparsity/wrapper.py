"""`Masked(layer)`: a wrapper that owns the mask of a layer and is saved with it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from tfticket.errors import MaskError, ModelError
from tfticket.internals import copy_call, flat_layers
from tfticket.sparsity.constraint import MaskConstraint, masked
from tfticket.state import MaskOwner, named_variables, prunable_variables, variable_owners

# Keras calls these on each layer itself, so the wrapper mustn't pass on its layer's.
_OF_THE_WRAPPER = {"save_assets", "load_assets"}


@keras.saving.register_keras_serializable(package="tfticket")
class Masked(MaskOwner):
    """Wrapper that keeps the pruned weights of any layer with kernels at exactly zero.

    Masks are non-trainable boolean weights. They are saved in the `.keras` file, and hold in `fit`,
    in any loop that uses a Keras optimizer, after reloading, and in another model that reuses the
    layer. The wrapped layer computes as before, without a multiplication in the forward pass. A new
    wrapper keeps all weights.

    Attributes of the layer (`units`, `kernel`, `activation`, ...) can be read and set on the
    wrapper; `trainable` is shared.

    Args:
        layer: The layer to wrap, built or not. The wrapper takes over its name.
        skip: Glob patterns of kernels inside the layer to leave dense, relative to the layer
            (`query/kernel`).
        also: Glob patterns of weights to prune that aren't called `kernel`, likewise.

    Raises:
        ModelError: when it is built, and the layer has no kernel, is quantized, or has LoRA.

    Example:
        >>> layer = Masked(keras.layers.Dense(10))
        >>> layer(np.ones((2, 4))).shape
        TensorShape([2, 10])
        >>> sorted(layer.masks)
        ['kernel']
    """

    skip: tuple[str, ...] = ()
    also: tuple[str, ...] = ()

    def __init__(
        self, layer: keras.Layer, skip: Sequence[str] = (), also: Sequence[str] = (), **kwargs: Any
    ) -> None:
        kwargs.setdefault("name", layer.name)
        kwargs.setdefault("dtype", layer.dtype_policy)
        if not kwargs.pop("trainable", True):
            layer.trainable = False
        super().__init__(layer, **kwargs)
        self.skip = tuple(skip)
        self.also = tuple(also)
        self.supports_masking = layer.supports_masking
        # Keras reads these off `call`; the wrapper's own takes anything, so it takes its layer's.
        copy_call(layer, self)
        self._mask_variables: dict[str, keras.Variable] = {}

    @property
    def trainable(self) -> bool:
        """True if the layer is trained; masks aren't."""
        return bool(self.layer.trainable) if "layer" in vars(self) else True

    @trainable.setter
    def trainable(self, value: bool) -> None:
        self.layer.trainable = value

    def __getattr__(self, name: str) -> Any:
        """Read an attribute of the layer."""
        if name.startswith("_") or name in _OF_THE_WRAPPER or "layer" not in vars(self):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        return getattr(self.layer, name)

    def __setattr__(self, name: str, value: Any) -> None:
        """Set an attribute of the layer, if it has it, or of the wrapper."""
        ours = name.startswith("_") or name in vars(self) or hasattr(type(self), name)
        if not ours and hasattr(vars(self).get("layer"), name):
            setattr(self.layer, name, value)
        else:
            super().__setattr__(name, value)

    @property
    def masks(self) -> dict[str, keras.Variable]:
        """Mask variables by the key of the kernel inside the layer; empty until it is built."""
        return dict(self._mask_variables)

    @property
    def kernels(self) -> dict[str, keras.Variable]:
        """Kernels that the masks cover, by the same keys."""
        named = named_variables(self.layer) if self._mask_variables else {}
        return {key: named[key] for key in self._mask_variables}

    def set_masks(self, masks: dict[str, np.ndarray]) -> None:
        """Replace masks, and set pruned weights to zero.

        Args:
            masks: Kernel key inside the layer to boolean array of the kernel's shape, True = kept.

        Raises:
            MaskError: when a key or shape doesn't fit; nothing is changed then.
        """
        for key, array in masks.items():
            if key not in self._mask_variables:
                raise MaskError(
                    f"The layer {self.name!r} has masks for {sorted(self._mask_variables)}. "
                    f"Received: {key!r}"
                )
            if array.shape != tuple(self._mask_variables[key].shape):
                raise MaskError(
                    f"The mask of {self.name}/{key} has the shape "
                    f"{tuple(self._mask_variables[key].shape)}. Received: {array.shape}"
                )
        for key, array in masks.items():
            self._mask_variables[key].assign(array)
        self.enforce()

    def enforce(self) -> None:
        """Set pruned weights to zero; needed only after weights were assigned by hand."""
        for key, kernel in self.kernels.items():
            kernel.assign(masked(kernel, self._mask_variables[key]))

    def build(self, input_shape: Any = None) -> None:
        """Build the layer, if it isn't built, and the masks."""
        super().build(input_shape)
        self._make_masks()
        self.built = True

    def _maybe_build(self, call_spec: Any) -> None:
        # Layers such as attention are built from several shapes, each in its own way.
        if not self.built:
            self.layer._maybe_build(call_spec)
            self.build()

    def _make_masks(self) -> None:
        chosen = prunable_variables(self.layer, self.skip, self.also)
        for key, (layer, _) in variable_owners(self.layer).items():
            if key in chosen and getattr(layer, "quantization_mode", None):
                raise self._refusal("is quantized and can't have a mask", "Sparsify it before")
            if key in chosen and getattr(layer, "lora_enabled", False):
                raise self._refusal(
                    "has LoRA and can't have a mask",
                    "Leave it dense (`skip`), or build one without LoRA that has its `kernel`",
                )
        for key, kernel in chosen.items():
            mask = self.add_weight(
                shape=kernel.shape,
                initializer="ones",
                dtype="bool",
                trainable=False,
                name=f"{key.replace('/', '_')}_mask",
            )
            self._mask_variables[key] = mask
            kernel.constraint = MaskConstraint(mask, kernel.constraint)
        for layer in flat_layers(self.layer):
            layer.quantize = self.quantize  # `Model.quantize` asks the innermost layers
            if hasattr(layer, "enable_lora"):
                layer.enable_lora = self.enable_lora

    def call(self, *args: Any, **kwargs: Any) -> Any:
        """Call the wrapped layer."""
        return self.layer(*args, **kwargs)

    def compute_output_spec(self, *args: Any, **kwargs: Any) -> Any:
        """See the wrapped layer."""
        return self.layer.compute_output_spec(*args, **kwargs)

    def compute_output_shape(self, *args: Any, **kwargs: Any) -> Any:
        """See the wrapped layer."""
        return self.layer.compute_output_shape(*args, **kwargs)

    def compute_mask(self, inputs: Any, previous_mask: Any) -> Any:
        """See the wrapped layer."""
        return self.layer.compute_mask(inputs, previous_mask)

    def quantize(self, *args: Any, **kwargs: Any) -> None:
        """Refuse: Keras would replace the masked kernel with an integer one."""
        raise self._refusal(
            "has a mask and can't be quantized",
            "Quantize the model that `strip` returns: its zeros stay zero",
        )

    def enable_lora(self, *args: Any, **kwargs: Any) -> None:
        """Refuse: LoRA would add a product of matrices to pruned weights, too."""
        raise self._refusal(
            "has a mask and can't be given LoRA",
            "Train its own weights, whose zeros stay zero, or leave it dense (`skip`)",
        )

    def _refusal(self, what: str, remedy: str) -> ModelError:
        return ModelError(
            f"The layer {self.name!r} {what}. A mask keeps weights at zero where they are plain "
            f"floats that nothing is added to. {remedy}."
        )

    def get_build_config(self) -> dict[str, Any] | None:
        """Return the build config of the wrapped layer."""
        return {"layer": self.layer.get_build_config()} if self.built else None

    def build_from_config(self, config: dict[str, Any]) -> None:
        """Build the wrapped layer from its own config, then the masks."""
        if not self.layer.built and config["layer"]:
            self.layer.build_from_config(config["layer"])
        if not self.built:
            self.build()

    def get_config(self) -> dict[str, Any]:
        """See `keras.Layer.get_config`."""
        config = {**super().get_config(), "skip": list(self.skip)}
        return {**config, "also": list(self.also)} if self.also else config
