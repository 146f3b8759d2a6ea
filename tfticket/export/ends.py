"""Inputs and outputs of a Keras model: their names, and the order of what is given for them.

Keras takes an array, a list or a dictionary. Inside, all are in the order of `model.inputs` and
`model.outputs`, which is the order of our files too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras

from tfticket.errors import ExportError
from tfticket.internals import maker_of
from tfticket.state import unused


def structures(model: keras.Model) -> tuple[Any, Any]:
    """Return inputs and outputs as the model takes and gives them: a tensor, list or dictionary."""
    if isinstance(model, keras.Sequential):
        return model.inputs[0], model.outputs[0]
    return model.input, model.output


def input_names(model: keras.Model) -> tuple[str, ...]:
    """Return a name for each input: its key in a dictionary, or that of its `keras.Input`.

    Example:
        >>> first, second = keras.Input((2,), name="image"), keras.Input((2,), name="depth")
        >>> model = keras.Model([first, second], keras.layers.Add()([first, second]))
        >>> input_names(model)
        ('image', 'depth')
    """
    return _names(structures(model)[0], [tensor.name for tensor in model.inputs])


def output_names(model: keras.Model) -> tuple[str, ...]:
    """Return a name for each output: its key in a dictionary, or that of the layer it is from.

    Example:
        >>> given = keras.Input((2,))
        >>> made = {"what": keras.layers.Dense(3)(given), "where": keras.layers.Dense(4)(given)}
        >>> output_names(keras.Model(given, made))
        ('what', 'where')
    """
    return _names(structures(model)[1], [maker_of(tensor).name for tensor in model.outputs])


def _names(structure: Any, own: Sequence[str]) -> tuple[str, ...]:
    names: list[str] = []
    for (path, _), name in zip(keras.tree.flatten_with_path(structure), own, strict=True):
        keyed = any(isinstance(part, str) for part in path)
        names.append(unused("/".join(map(str, path)) if keyed else name, names))
    return tuple(names)


def one_each(arrays: Any, names: Sequence[str], name: str) -> tuple[Any, ...]:
    """Sort what was given for several inputs or outputs into the order of their names.

    Args:
        arrays: An array where there is one; otherwise a list in order or a dictionary by name.
        names: Of the inputs or outputs.
        name: What to call the arrays in an error.

    Raises:
        ExportError: when they aren't one for each.
    """
    if isinstance(arrays, Mapping):
        if set(arrays) == set(names):
            return tuple(arrays[each] for each in names)
        received = ", ".join(map(str, arrays))
    elif len(names) == 1:
        return (arrays,)
    elif isinstance(arrays, (list, tuple)) and len(arrays) == len(names):
        return tuple(arrays)
    else:
        shape = getattr(arrays, "shape", None)
        received = f"an array of shape {shape}" if shape is not None else f"{len(arrays)} arrays"
    raise ExportError(
        f"`{name}` must have one array for each of {', '.join(names)}. Received: {received}. Give "
        "a list in this order, or a dictionary by these names."
    )
