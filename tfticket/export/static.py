"""The copy of a model that is converted: plain, float32, one example at a time."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras.src.models.functional import Functional

from tfticket.cloning import clone, in_full_precision
from tfticket.errors import ExportError, ModelError
from tfticket.sparsity.wrapper import Masked
from tfticket.state import stable_name, unused


def static_copy(model: keras.Model) -> keras.Model:
    """A copy of a model as the converter needs it.

    The batch is 1, since with any other the file gets dynamic shapes and operators to compute them;
    wrappers that own masks are gone, their zeros stay; computation is in float32; automatic names
    are counted anew, since names end up in the file and would differ from one copy to the next.

    Raises:
        ModelError: for a subclassed model, which Keras can't copy.
        ExportError: for a model that hasn't one input and one output, or whose input has a side of
            unknown length.
    """
    check_exportable(model)
    structure = input_structure(model)
    taken: set[str] = set()

    def rename(operation: Any) -> str:
        name = unused(stable_name(operation), taken)
        taken.add(name)
        return name

    def one(tensor: keras.KerasTensor) -> keras.KerasTensor:
        name = tensor.name if isinstance(structure, dict) else "input"
        return keras.Input(batch_shape=(1, *tensor.shape[1:]), dtype=tensor.dtype, name=name)

    static = clone(
        model,
        lambda layer, copy: copy(layer.layer if isinstance(layer, Masked) else layer),
        instead="Rebuild it with the functional API.",
        rename=rename,
        inputs=keras.tree.map_structure(one, structure),
    ).model
    in_full_precision(static).name = "model"
    return static


def check_exportable(model: keras.Model) -> None:
    """Raises what `static_copy` would; making the copy can take long."""
    if not isinstance(model, (keras.Sequential, Functional)) or not model.built:
        raise ModelError(
            "Only built Sequential and Functional models can be exported. Received: "
            f"{model.name!r} of the class {type(model).__name__}. Rebuild it with the functional "
            "API, or call a Sequential model on data first."
        )
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        raise ExportError(
            "A model must have one input and one output to be exported. Received: "
            f"{len(model.inputs)} and {len(model.outputs)} in {model.name!r}."
        )
    shape = tuple(model.inputs[0].shape)
    if None in shape[1:]:
        raise ExportError(
            "A model's input must have known sides to be exported, but for the batch. Received: "
            f"the shape {shape}. Rebuild it with keras.Input(shape=...) of the size it will be "
            "used with."
        )


def predictions(model: keras.Model, x: np.ndarray) -> np.ndarray:
    """What the model answers to examples, shape (n, ...), float32."""
    structure = input_structure(model)
    batch_size = model.inputs[0].shape[0] or 256
    answers = []
    for start in range(0, len(x), batch_size):
        batch = x[start : start + batch_size]
        given = keras.tree.map_structure(lambda _, batch=batch: batch, structure)
        # Called as it is: `predict` would trace it anew for each model, and keep that in the model.
        (answer,) = keras.tree.flatten(model(given, training=False))
        answers.append(keras.ops.convert_to_numpy(answer))
    return np.concatenate(answers).astype(np.float32)


def input_structure(model: keras.Model) -> Any:
    """The input, or the list or dictionary that holds it, as the model wants to be called."""
    return model.inputs[0] if isinstance(model, keras.Sequential) else model.input
