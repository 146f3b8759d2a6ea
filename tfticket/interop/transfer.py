"""Copy weights and masks of a legacy model to its rebuilt one, and compare their outputs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import keras
import numpy as np

from tfticket.errors import ModelError
from tfticket.interop.child import LegacyContent, LegacyLayer, watched
from tfticket.interop.rebuilding import Rebuilt
from tfticket.state import kernels_of, variable_owners

_TOLERANCE = 1e-5
_TOLERANCE_INSIDE = 1e-4  # of the largest value of a layer: roundings add up on the way
_EMBEDDINGS = "embeddings"  # the only weights that tfmot prunes and tfticket doesn't


def give_weights(content: LegacyContent, rebuilt: Rebuilt) -> None:
    """Assign to each layer its legacy weights.

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
    """Map keys to the masks of tfmot's wrappers, boolean, True = kept; empty without wrappers."""
    key_of = {id(variable): key for key, variable in _variables(rebuilt.model).items()}
    return {
        key_of[id(rebuilt.layers[legacy.path].weights[place])]: mask
        for legacy in content.layers
        for place, mask in legacy.masks.items()
    }


def masks_of_zeros(model: keras.Model) -> dict[str, np.ndarray]:
    """Map the keys of kernels and embeddings that hold zeros to where they aren't zero."""
    kernels = kernels_of(model)
    kept = {
        key: np.asarray(variable.numpy()) != 0
        for key, variable in _variables(model).items()
        if key in kernels or variable.name == _EMBEDDINGS
    }
    return {key: array for key, array in kept.items() if not array.all()}


def clear(masks: Mapping[str, np.ndarray], model: keras.Model) -> int:
    """Set pruned weights to exactly zero, and count those that weren't."""
    variables = _variables(model)
    cleared = 0
    for key, kept in masks.items():
        weights = variables[key].numpy()
        cleared += int(np.count_nonzero(weights[~kept]))
        variables[key].assign(np.where(kept, weights, np.zeros((), weights.dtype)))
    return cleared


def _variables(model: keras.Model) -> dict[str, keras.Variable]:
    """Map keys to variables; empty for a model without weights."""
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


def compare(content: LegacyContent, rebuilt: Rebuilt, *, source: str) -> float:
    """Compare outputs on the random inputs that the legacy model was given.

    Outputs of inner layers are compared too: those of the whole network say little where it has
    learned little, or is sure of one class, since they hardly depend on the inputs then.

    Args:
        content: The legacy model's inputs and outputs, and those of its layers.
        rebuilt: The model of Keras 3, with the legacy weights.
        source: Name of the legacy model in errors.

    Returns:
        The largest difference of an output, as a share of the largest output where that is above 1.

    Raises:
        ModelError: when it is above 1e-5, an inner layer differs by more than 1e-4 of its largest
            value, or the outputs of tf_keras aren't finite.
    """
    model = rebuilt.model
    is_sequential = isinstance(model, keras.Sequential)
    structure = model.inputs[0] if is_sequential else model.input
    given = keras.tree.pack_sequence_as(structure, list(content.inputs))
    with keras.device("cpu:0"), watched(rebuilt.layers) as seen:  # as the child
        outputs = [np.asarray(each) for each in keras.tree.flatten(model(given, training=False))]
    if [each.shape for each in outputs] != [each.shape for each in content.outputs]:
        raise ModelError(
            "A model must have the same outputs in Keras 2 and 3. Received: "
            f"{source} with {[each.shape for each in content.outputs]}, and in Keras 3 "
            f"{[each.shape for each in outputs]}."
        )
    if not all(np.isfinite(each).all() for each in content.outputs):
        raise ModelError(
            "The outputs of a model must be finite to be compared. Received: "
            f"{source}, which gives others in tf_keras already; has its training diverged?"
        )
    for layer in content.layers:
        if layer.samples and layer.path in seen and not _agree(layer.samples, seen[layer.path]):
            raise ModelError(
                f"Each layer must do the same in Keras 2 and 3. Received: {source}, in which "
                f"`{'/'.join(layer.path)}` ({type(rebuilt.layers[layer.path]).__name__}) or what "
                "it reads does something else. Replace it in tf_keras and save the model again."
            )
    difference = max(
        _largest(ours - theirs) / max(1.0, _largest(theirs))
        for ours, theirs in zip(outputs, content.outputs, strict=True)
    )
    if not difference <= _TOLERANCE:  # nor a NaN
        raise ModelError(
            f"A model must give the same outputs in Keras 2 and 3, to {_TOLERANCE:g}. Received: "
            f"{source}, whose outputs differ by {difference:.2g}."
        )
    return difference


def _agree(theirs: tuple[np.ndarray, ...], ours: list[np.ndarray]) -> bool:
    return len(theirs) == len(ours) and all(
        a.shape == b.shape
        and np.allclose(b, a, rtol=0, atol=_TOLERANCE_INSIDE * _largest(a), equal_nan=True)
        for a, b in zip(theirs, ours, strict=True)
    )


def _largest(array: np.ndarray) -> float:
    return float(np.max(np.abs(array), initial=0))
