"""The examples that a file is checked on, and what Keras answers to them."""

from __future__ import annotations

import keras
import numpy as np

from tfticket.errors import ExportError
from tfticket.export.static import predictions
from tfticket.export.verify import Reference, check_finite

_RANDOM_INPUTS = 32

CheckData = tuple[np.ndarray, np.ndarray | None]
"""Examples as the model takes them, and their labels or None."""


def reference_of(
    model: keras.Model, calibration: np.ndarray | None, check_on: CheckData | None
) -> Reference:
    """What a model answers to the examples that its file will be checked on.

    Args:
        model: The model.
        calibration: Examples to take when there are no others.
        check_on: Examples and their labels; without any examples, random numbers are taken.

    Raises:
        ExportError: when the examples don't fit the model, or its answers aren't finite.
    """
    y = None
    if check_on is not None:
        x, inputs = examples_for(model, check_on[0], "check_on[0]"), "given"
        y = None if check_on[1] is None else np.asarray(check_on[1])
        if y is not None and (y.shape != (len(x),) or y.dtype.kind not in "iu"):
            raise ExportError(
                f"`check_on[1]` must be integer labels of shape ({len(x)},). Received: "
                f"{y.dtype} of shape {y.shape}."
            )
    elif calibration is not None:
        x, inputs = calibration, "calibration"
    else:
        x, inputs = _random_examples(model), "random"
    reduced = any(layer.compute_dtype in ("float16", "bfloat16") for layer in model.layers)
    outputs = predictions(model, x)
    check_finite(outputs, "The Keras model itself")
    return Reference(x, outputs, y, inputs, reduced)


def examples_for(model: keras.Model, x: np.ndarray, name: str) -> np.ndarray:
    """Examples in the type that the model takes.

    Args:
        model: The model.
        x: The examples, shape (n, ...).
        name: What to call them in an error.

    Raises:
        ExportError: when they have another shape, or are raw numbers that training didn't see.
    """
    x, given = np.asarray(x), model.inputs[0]
    if x.shape[1:] != tuple(given.shape[1:]) or not len(x):
        raise ExportError(
            f"`{name}` must be one example or more of the shape {tuple(given.shape[1:])}. "
            f"Received: an array of shape {x.shape}."
        )
    if x.dtype.kind in "iub" and keras.backend.is_float_dtype(given.dtype):
        raise ExportError(
            f"`{name}` must be what the model takes, already normalized: {given.dtype}. Received: "
            f"{x.dtype}. Scale raw data as for training, and say how by `preprocessing`."
        )
    return x.astype(given.dtype)


def _random_examples(model: keras.Model) -> np.ndarray:
    rng, given = np.random.default_rng(0), model.inputs[0]
    shape = (_RANDOM_INPUTS, *given.shape[1:])
    if keras.backend.is_float_dtype(given.dtype):
        return rng.standard_normal(shape).astype(given.dtype)
    return rng.integers(0, 2, shape).astype(given.dtype)  # 0 and 1 are valid for any vocabulary
