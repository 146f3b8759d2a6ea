"""Does the model of Keras 3 answer as the legacy one does?"""

from __future__ import annotations

import keras
import numpy as np

from tfticket.errors import ModelError
from tfticket.interop.child import LegacyContent
from tfticket.interop.rebuilding import Rebuilt
from tfticket.interop.watching import watched

_TOLERANCE = 1e-5
_TOLERANCE_INSIDE = 1e-4  # of the largest value of a layer: roundings add up on the way


def compare(content: LegacyContent, rebuilt: Rebuilt, *, source: str) -> float:
    """Runs the random inputs that the legacy model was given.

    Layers on the way are compared too. Of outputs alone, those of a network that has learned
    little, or is sure of one class, would say little: they hardly depend on the inputs.

    Args:
        content: The legacy model's inputs and outputs, and those of its layers.
        rebuilt: The model of Keras 3, with the legacy weights.
        source: What to call the legacy model in an error.

    Returns:
        The largest difference of an output, as a share of the largest output where that is above 1.

    Raises:
        ModelError: when it is above 1e-5, a layer on the way differs by more than 1e-4 of its
            largest value, or tf_keras' own outputs aren't finite.
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
