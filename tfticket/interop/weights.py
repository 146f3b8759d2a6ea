"""Weights and masks of a legacy model, put where they belong in the model of Keras 3."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import keras
import numpy as np

from tfticket.errors import ModelError
from tfticket.interop.child import LegacyContent, LegacyLayer
from tfticket.interop.rebuilding import Rebuilt
from tfticket.state import kernels_of, variable_owners

_EMBEDDINGS = "embeddings"  # the only weights that tfmot prunes and tfticket doesn't


def give_weights(content: LegacyContent, rebuilt: Rebuilt) -> None:
    """Gives each layer its legacy weights.

    Raises:
        ModelError: when a layer has other weights in Keras 3.
    """
    misfits = []
    for legacy in content.layers:
        variables = rebuilt.layers[legacy.path].weights
        if not _fit(legacy, variables):
            misfits.append(
                f"`{'/'.join(legacy.path)}` with {_shapes(legacy.names, legacy.weights)}, and in "
                f"Keras 3 {_shapes([variable.name for variable in variables], variables)}"
            )
            continue
        for variable, array in zip(variables, legacy.weights, strict=True):
            variable.assign(array)
    if misfits:
        raise ModelError(
            "A layer must have the same weights in Keras 2 and 3. Received: "
            f"{'; '.join(misfits)}. Replace these layers in tf_keras and save the model again."
        )


def masks_of_wrappers(content: LegacyContent, rebuilt: Rebuilt) -> dict[str, np.ndarray]:
    """Key to the mask that tfmot's wrapper held, boolean, True = kept; empty without wrappers."""
    key_of = {id(variable): key for key, variable in _variables(rebuilt.model).items()}
    return {
        key_of[id(rebuilt.layers[legacy.path].weights[place])]: mask
        for legacy in content.layers
        for place, mask in legacy.masks.items()
    }


def masks_of_zeros(model: keras.Model) -> dict[str, np.ndarray]:
    """Key to where a weight isn't zero, of kernels and embeddings that hold zeros."""
    kernels = kernels_of(model)
    kept = {
        key: np.asarray(variable.numpy()) != 0
        for key, variable in _variables(model).items()
        if key in kernels or variable.name == _EMBEDDINGS
    }
    return {key: array for key, array in kept.items() if not array.all()}


def clear(masks: Mapping[str, np.ndarray], model: keras.Model) -> int:
    """Sets what the masks prune to exactly zero, and returns how many weights weren't."""
    variables = _variables(model)
    cleared = 0
    for key, kept in masks.items():
        weights = variables[key].numpy()
        cleared += int(np.count_nonzero(weights[~kept]))
        variables[key].assign(np.where(kept, weights, np.zeros((), weights.dtype)))
    return cleared


def _variables(model: keras.Model) -> dict[str, keras.Variable]:
    """By key; none for a model of layers without weights."""
    return {key: variable for key, (_, variable) in variable_owners(model).items()}


def _fit(legacy: LegacyLayer, variables: Sequence[keras.Variable]) -> bool:
    return len(legacy.names) == len(variables) and all(
        # What was called `depthwise_kernel` is called `kernel` now.
        name.endswith(variable.name) and array.shape == tuple(variable.shape)
        for name, array, variable in zip(legacy.names, legacy.weights, variables, strict=True)
    )


def _shapes(names: Iterable[str], weights: Iterable[Any]) -> str:
    parts = [f"{n} {tuple(weight.shape)}" for n, weight in zip(names, weights, strict=True)]
    return ", ".join(parts) or "no weights"
