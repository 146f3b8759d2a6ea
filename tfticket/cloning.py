"""Copies of whole models, with other layers where they are wanted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import keras
from keras.src.models.functional import Functional

from tfticket.errors import ModelError
from tfticket.state import variable_owners

HALF = ("float16", "bfloat16")
"""Types that a model may compute in and that lose digits."""

Convert = Callable[[keras.Layer], keras.Layer | None]
"""Makes the layer that stands in the copy for one of the model; None leaves it out."""


class Clone(NamedTuple):
    """A copy of a model.

    Attributes:
        model: Of the same architecture, names and compilation, with a fresh optimizer; its weights
            aren't the model's yet.
        layers: Each layer that was converted, and what stands for it; a shared layer once. Models
            inside the model aren't listed, their layers are.
    """

    model: keras.Model
    layers: list[tuple[keras.Layer, keras.Layer | None]]


def clone(model: keras.Model, convert: Convert, *, instead: str) -> Clone:
    """Copies a model layer by layer; see `Clone`.

    Layers of nested models are converted too, and layers in several places once. A layer that is
    left out passes its first input on.

    Args:
        model: A built Sequential or Functional model; it isn't changed.
        convert: What to make of each layer.
        instead: A sentence for whoever has a subclassed model: what to do.

    Raises:
        ModelError: for a subclassed model, which has no graph to copy.
    """
    require_graph(model, instead=instead)
    layers: list[tuple[keras.Layer, keras.Layer | None]] = []
    made: dict[int, Any] = {}

    def convert_once(operation: Any) -> Any:
        if id(operation) not in made:
            made[id(operation)] = _converted(operation)
        return made[id(operation)]

    def _converted(operation: Any) -> Any:
        if isinstance(operation, (keras.Sequential, Functional)):
            return _clone_graph(operation, convert_once)
        if not isinstance(operation, keras.Layer):
            return copy_layer(operation)  # `keras.ops.add` and its like hold nothing to convert
        new = convert(operation)
        layers.append((operation, new))
        return _PassOn() if new is None else new

    return Clone(_clone_graph(model, convert_once), layers)


def copy_layer(layer: Any) -> Any:
    """A layer (or another operation of a graph) of the same configuration, with new weights."""
    return layer.__class__.from_config(layer.get_config())


def copy_state(layer: keras.Layer, new: keras.Layer) -> None:
    """Gives a built layer the weights, statistics and seeds of one that has the same variables."""
    theirs = variable_owners(layer)
    for key, (_, variable) in variable_owners(new).items():
        variable.assign(theirs[key][1].value)


def in_full_precision(model: keras.Model) -> keras.Model:
    """Makes a model compute in float32 where it would in less; its weights are float32 anyway.

    Args:
        model: A copy; it is changed.
    """
    for layer in model._flatten_layers():
        if layer.compute_dtype in HALF:
            layer.dtype_policy = "float32"
    return model


def require_graph(model: keras.Model, *, instead: str) -> None:
    """Raises a `ModelError` for a subclassed model; `instead` says what to do with one."""
    if not isinstance(model, (keras.Sequential, Functional)):
        raise ModelError(
            "Only Sequential and Functional models can be copied layer by layer. Received: "
            f"{model.name!r} of the class {type(model).__name__}. {instead}"
        )


class _PassOn:
    """Stands in a graph for what is left out of it."""

    def __call__(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        return inputs


def _clone_graph(model: keras.Model, convert: Callable[[Any], Any]) -> keras.Model:
    if isinstance(model, keras.Sequential):
        return _clone_sequential(model, convert)
    return keras.models.clone_model(
        model, _named_inputs(model), clone_function=convert, call_function=_call
    )


def _call(operation: Any, *args: Any, **kwargs: Any) -> Any:
    """Replays a call of the graph, as far as the new layer knows its arguments.

    Keras notes `mask=None` among the arguments of a call, and other layers may know no masks, or
    need not know whether they are in training.
    """
    if isinstance(operation, keras.Layer):
        known = operation._call_signature.parameters
        takes_any = any(parameter.kind is parameter.VAR_KEYWORD for parameter in known.values())
        if not takes_any:
            kwargs = {
                name: value
                for name, value in kwargs.items()
                if name in known or not (value is None or name in ("training", "mask"))
            }
    return operation(*args, **kwargs)


def _clone_sequential(model: keras.Sequential, convert: Callable[[Any], Any]) -> keras.Sequential:
    layers = [convert(layer) for layer in model.layers]
    first = model._layers[0]  # `layers` doesn't tell it when it is an input
    if isinstance(first, keras.layers.InputLayer):
        layers.insert(0, copy_layer(first))
    kept = [layer for layer in layers if not isinstance(layer, _PassOn)]
    copy = keras.Sequential(kept, name=model.name, trainable=model.trainable)
    if model.compiled:
        copy.compile_from_config(model.get_compile_config())
    return copy


def _named_inputs(model: keras.Model) -> Any:
    """New inputs like the model's. Keras' own would lose the automatic names of input layers."""
    return keras.tree.map_structure(
        lambda x: keras.Input(
            batch_shape=x.shape, dtype=x.dtype, name=x._keras_history.operation.name
        ),
        model._inputs_struct,
    )
