"""Copy whole models, with some layers replaced; all copies of models are made here.

A copied layer needs its config, its state (`remaking`), and its place in the graph. None of that is
trusted: outputs are compared before a copy is returned.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import keras

from tfticket.answers import require_same
from tfticket.errors import ModelError
from tfticket.internals import (
    Functional,
    Trainer,
    call_parameters,
    compile_arguments,
    copy_trainable,
    first_layer,
    flat_layers,
    input_structure,
    maker_of,
)
from tfticket.remaking import carry_before_calls, carry_state, remade
from tfticket.state import MaskOwner, innermost_optimizer

HALF = ("float16", "bfloat16")
"""Compute dtypes of less than float32."""

_TRAINING = ("train_step", "test_step", "compute_loss", "compute_metrics", "make_train_function")


class Copy(Protocol):
    """Makes a copy of a layer."""

    def __call__(self, layer: keras.Layer) -> keras.Layer:
        """Make the copy; it gets its state when the graph is complete."""
        ...


Convert = Callable[[keras.Layer, Copy], keras.Layer | None]
"""Makes the layer of the copy that replaces one of the model; None leaves it out."""

Fill = Callable[[keras.Layer, Any], None]
"""Assigns the weights of a replaced layer to the built layer that replaces it."""


class Clone(NamedTuple):
    """Copy of a model.

    Attributes:
        model: Model of the same architecture, names and compilation, with a fresh optimizer.
        layers: Each layer of the model with its replacement; a shared layer once. Nested models
            aren't listed, their layers are.
        difference: Largest difference of outputs, over the largest output; see `require_same`. 0
            where outputs weren't compared.
    """

    model: keras.Model
    layers: list[tuple[keras.Layer, keras.Layer | None]]
    difference: float


def copied(layer: keras.Layer, copy: Copy) -> keras.Layer:
    """Copy a layer: the `Convert` that changes nothing."""
    return copy(layer)


def clone(
    model: keras.Model,
    convert: Convert = copied,
    *,
    instead: str,
    fill: Fill | None = None,
    same: bool | None = True,
    rename: Callable[[Any], str] | None = None,
    inputs: Any = None,
) -> Clone:
    """Copy a model layer by layer; see `Clone`.

    Layers of nested models are converted too, and shared layers once. A layer that is left out
    passes on its first input. Outputs of copied layers are compared with those of the originals.

    Args:
        model: A built Sequential or Functional model; it isn't changed.
        convert: Makes the replacement of each layer.
        instead: Sentence for errors about subclassed models: what to do.
        fill: Called with each layer that was replaced or wrapped, and its replacement.
        same: Whether the outputs of the copy must be those of the model. If False, only copied
            layers are compared; if None, nothing is, for copies that are filled later.
        rename: Function from an operation to its name in the copy; the same name by default.
        inputs: Symbolic inputs of the copy, in the model's structure; new ones by default.

    Raises:
        ModelError: for a subclassed model, which has no graph to copy; for a model or a layer that
            can't be copied, by name.
        InvariantError: when outputs differ for another reason.
    """
    require_graph(model, instead=instead)
    return _Cloning(convert, rename).made(model, inputs, fill, same)


def in_full_precision(model: keras.Model) -> keras.Model:
    """Set layers that compute in half precision to float32, which their weights have anyway.

    Args:
        model: A copy; it is changed.
    """
    for layer in flat_layers(model):
        if layer.compute_dtype in HALF:
            layer.dtype_policy = "float32"
    return model


def require_graph(model: keras.Model, *, instead: str) -> None:
    """Raise a `ModelError` for a subclassed model; `instead` says what to do."""
    if not isinstance(model, (keras.Sequential, Functional)):
        raise ModelError(
            "Only Sequential and Functional models can be copied layer by layer. Received: "
            f"{model.name!r} of the class {type(model).__name__}. {instead}"
        )


class _PassOn:
    """Replacement of a layer that is left out."""

    def __call__(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        return inputs


class _Cloning:
    """One copy in the making.

    Args:
        convert: See `clone`.
        rename: See `clone`.
    """

    def __init__(self, convert: Convert, rename: Callable[[Any], str] | None) -> None:
        self._convert = convert
        self._rename = rename or (lambda operation: operation.name)
        self._made: dict[int, Any] = {}
        self._layers: list[tuple[keras.Layer, keras.Layer | None]] = []
        self._copies: list[tuple[keras.Layer, keras.Layer]] = []

    def made(self, model: keras.Model, inputs: Any, fill: Fill | None, same: bool | None) -> Clone:
        copy = self._graph(model, inputs)
        for old, new in self._copies:
            carry_state(old, new)
        just_copied = {id(new) for _, new in self._copies}
        for old, new in self._layers:
            if fill is not None and new is not None and id(new) not in just_copied:
                fill(old, new)
        standing = {id(old): new for old, new in self._layers if id(_inner(new)) in just_copied}
        difference = 0.0 if same is None else require_same(model, copy, standing, whole=same)
        return Clone(copy, self._layers, difference)

    def _operation(self, operation: Any) -> Any:
        """Return the replacement of an operation of a graph, the same at each call."""
        if id(operation) not in self._made:
            self._made[id(operation)] = self._converted(operation)
        return self._made[id(operation)]

    def _converted(self, operation: Any) -> Any:
        if isinstance(operation, (keras.Sequential, Functional)):
            return self._graph(operation)
        if not isinstance(operation, keras.Layer):  # `keras.ops.add` and its like keep nothing
            return remade(operation, name=self._rename(operation))
        new = self._convert(operation, self._copy)
        self._layers.append((operation, new))
        return _PassOn() if new is None else new

    def _copy(self, layer: keras.Layer) -> keras.Layer:
        new = remade(layer, name=self._rename(layer))
        carry_before_calls(layer, new)
        self._copies.append((layer, new))
        return new

    def _graph(self, model: keras.Model, inputs: Any = None) -> keras.Model:
        if isinstance(model, keras.Sequential):
            copy = self._sequential(model, inputs)
        else:
            copy = keras.models.clone_model(
                model,
                self._inputs(model) if inputs is None else inputs,
                clone_function=self._operation,
                call_function=_call,
            )
        _require_same_call(model, copy)
        copy.name = self._rename(model)
        copy_trainable(model, copy)
        compile_like(model, copy)
        return copy

    def _sequential(self, model: keras.Sequential, inputs: Any) -> keras.Sequential:
        layers = [self._operation(layer) for layer in model.layers]
        layers = [layer for layer in layers if not isinstance(layer, _PassOn)]
        first = first_layer(model)
        if inputs is not None:
            layers.insert(0, inputs)
        elif isinstance(first, keras.layers.InputLayer):
            layers.insert(0, remade(first, name=self._rename(first)))
        own = type(model).__init__ is keras.Sequential.__init__
        return (type(model) if own else keras.Sequential)(layers, name=model.name)

    def _inputs(self, model: keras.Model) -> Any:
        """Make new inputs like the model's; those of Keras would lose names and sparsity."""
        layers = keras.tree.map_structure(lambda tensor: maker_of(tensor), input_structure(model))
        return keras.tree.map_structure(
            lambda layer: remade(layer, name=self._rename(layer)).output, layers
        )


def _inner(layer: Any) -> Any:
    return layer.layer if isinstance(layer, MaskOwner) else layer


def _call(operation: Any, *args: Any, **kwargs: Any) -> Any:
    """Replay a call of the graph, with the arguments that the new layer takes.

    Keras records `mask=None` among the arguments of a call; other layers may take neither `mask`
    nor `training`.
    """
    if isinstance(operation, keras.Layer):
        known = call_parameters(operation)
        takes_any = any(parameter.kind is parameter.VAR_KEYWORD for parameter in known.values())
        if not takes_any:
            kwargs = {
                name: value
                for name, value in kwargs.items()
                if name in known or not (value is None or name in ("training", "mask"))
            }
    return operation(*args, **kwargs)


def warn_of_plain_class(model: keras.Model, copy: keras.Model) -> None:
    """Warn when a copy to be trained lacks the training steps that the model's class defines."""
    lost = [name for name in _TRAINING if _differs(model, copy, name)]
    if lost:
        warnings.warn(
            f"The copy of {model.name!r} is trained by Keras' own {', '.join(lost)}: it is a plain "
            f"{type(copy).__name__}, since the constructor of {type(model).__name__} doesn't take "
            "what a copy is made from. Let it take (inputs, outputs, **kwargs), or the layers.",
            stacklevel=3,
        )


def _require_same_call(model: keras.Model, copy: keras.Model) -> None:
    """Refuse a model whose class does more than run its graph, where its copy lacks the class."""
    lost = [name for name in ("__call__", "call", "predict_step") if _differs(model, copy, name)]
    if lost:
        raise ModelError(
            f"The model {model.name!r} of the class {type(model).__name__} can't be copied: the "
            f"class overrides {', '.join(f'`{name}`' for name in lost)}, and its constructor "
            "doesn't take what a copy is made from. Let it take (inputs, outputs, **kwargs), or "
            "the layers where it is a Sequential, or put what it computes into a layer."
        )


def _differs(model: keras.Model, copy: keras.Model, name: str) -> bool:
    return getattr(type(model), name) is not getattr(type(copy), name)


def compile_like(model: keras.Model, copy: keras.Model) -> None:
    """Compile a copy like the model, with optimizer and metrics of its own."""
    if not model.compiled:
        return
    if type(copy).compile is not Trainer.compile:
        copy.compile_from_config(model.get_compile_config())
        return
    settings = compile_arguments(model)
    given = settings["optimizer"]
    if model.optimizer is not None:
        by_name = not isinstance(given, keras.optimizers.Optimizer)
        settings["optimizer"] = remade(innermost_optimizer(model) if by_name else given)
        scaled = isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer)
        settings["auto_scale_loss"] = scaled
    for name in ("metrics", "weighted_metrics"):
        settings[name] = keras.tree.map_structure(
            lambda each: remade(each) if isinstance(each, keras.metrics.Metric) else each,
            settings[name],
        )
    copy.compile(**settings)
    if copy.built and copy.optimizer is not None:
        copy.optimizer.build(copy.trainable_variables)
