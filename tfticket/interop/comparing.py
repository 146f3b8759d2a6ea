"""Does the model of Keras 3 answer as the legacy one does?"""

from __future__ import annotations

import keras
import numpy as np

from tfticket.errors import ModelError
from tfticket.interop.child import LegacyContent

_TOLERANCE = 1e-5


def compare(content: LegacyContent, model: keras.Model, *, source: str) -> float:
    """Runs the random inputs that the legacy model was given.

    Args:
        content: The legacy model's inputs and outputs.
        model: The model of Keras 3, with the legacy weights.
        source: What to call the legacy model in an error.

    Returns:
        The largest difference of an output, as a share of the largest output where that is above 1.

    Raises:
        ModelError: when it is above 1e-5, or tf_keras' own outputs aren't finite.
    """
    is_sequential = isinstance(model, keras.Sequential)
    structure = model.inputs[0] if is_sequential else model.input
    given = keras.tree.pack_sequence_as(structure, list(content.inputs))
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
    difference = max(
        _largest(ours - theirs) / max(1.0, _largest(theirs))
        for ours, theirs in zip(outputs, content.outputs, strict=True)
    )
    if not difference <= _TOLERANCE:  # nor a NaN
        raise ModelError(
            f"A model must give the same outputs in Keras 2 and 3, to {_TOLERANCE:g}. Received: "
            f"{source}, whose outputs differ by {difference:.2g}: a layer means something else in "
            "Keras 3. Find it by saving parts of the model."
        )
    return difference


def _largest(array: np.ndarray) -> float:
    return float(np.max(np.abs(array), initial=0))
