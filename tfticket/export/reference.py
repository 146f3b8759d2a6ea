"""The examples that a file is checked on, and what Keras answers to them."""

from __future__ import annotations

import keras
import numpy as np

from tfticket.errors import ExportError
from tfticket.export.labels import Labels
from tfticket.export.numbers import check_numbers
from tfticket.export.static import predictions
from tfticket.export.verify import Reference, check_finite
from tfticket.internals import graph_of, maker_of, nodes_of

_RANDOM_INPUTS = 32
_BATCH = 64

CheckData = tuple[np.ndarray, np.ndarray | None]
"""Examples as the model takes them, and their labels (see `Labels.of`) or None."""


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
        x, inputs, y = examples_for(model, check_on[0], "check_on[0]"), "given", check_on[1]
        if y is not None and len(y := np.asarray(y)) != len(x):
            raise ExportError(
                f"`check_on` holds {len(x):,} examples and {len(y):,} labels. Each example must "
                "have one. Give labels of the same examples, in the same order."
            )
    elif calibration is not None:
        x, inputs = calibration, "calibration"
    else:
        x, inputs = _random_examples(model), "random"
    reduced = any(layer.compute_dtype in ("float16", "bfloat16") for layer in model.layers)
    outputs = predictions(model, x)
    check_finite(outputs, "The Keras model itself")
    labels = None if y is None else Labels.of(y, outputs, "check_on[1]")
    return Reference(x, outputs, labels, inputs, reduced)


def examples_for(model: keras.Model, x: np.ndarray, name: str) -> np.ndarray:
    """Examples in the type that the model takes.

    Args:
        model: The model.
        x: The examples, shape (n, ...).
        name: What to call them in an error.

    Raises:
        ExportError: when they have another shape, aren't finite, or are raw numbers that training
            didn't see.
    """
    x, given = check_numbers(x, name), model.inputs[0]
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
    return check_numbers(x, name, given.dtype)


def check_inside(model: keras.Model, x: np.ndarray) -> None:
    """Checks that all that a network computes from calibration data is finite.

    What leaves the range of floats inside, such as outputs that a sigmoid then hides, gives a file
    that no runtime loads, or one of floats.

    Args:
        model: The model.
        x: Calibration data in the model's type, shape (n, ...).

    Raises:
        ExportError: naming the first layer whose outputs aren't finite.
    """
    graph = graph_of(model)
    made = [
        tensor
        for node in nodes_of(graph)
        for tensor in node.outputs
        if keras.backend.is_float_dtype(tensor.dtype)
    ]
    inside = keras.Model(model.inputs, made)
    batch_size = model.inputs[0].shape[0] or _BATCH
    for start in range(0, len(x), batch_size):
        answers = inside([x[start : start + batch_size]], training=False)
        for tensor, answer in zip(made, answers, strict=True):
            if not bool(keras.ops.all(keras.ops.isfinite(answer))):
                name = maker_of(tensor).name
                raise ExportError(
                    f"The layer {name!r} gives NaN or infinite numbers for the calibration data. "
                    "int8 needs the range of all values inside the network. Leave out the "
                    "examples it does so for, or look for weights or inputs that are far too large."
                )


def _random_examples(model: keras.Model) -> np.ndarray:
    rng, given = np.random.default_rng(0), model.inputs[0]
    shape = (_RANDOM_INPUTS, *given.shape[1:])
    if keras.backend.is_float_dtype(given.dtype):
        return rng.standard_normal(shape).astype(given.dtype)
    return rng.integers(0, 2, shape).astype(given.dtype)  # 0 and 1 are valid for any vocabulary
