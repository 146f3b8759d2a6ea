"""Rebuild the architecture of a legacy model from layers of Keras 3."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import keras

from tfticket.errors import ModelError
from tfticket.interop.compatibility import LAYERS, MODELS, leaves, unwrapped

# Settings that Keras 3 has under another name.
_RENAMED = {"LeakyReLU": {"alpha": "negative_slope"}}

# Settings that a layer of Keras 3 may lack, and the values with which they have no effect; None for
# any value, since it is known from elsewhere or changes only how the layer computes.
_WITHOUT_EFFECT: dict[str, tuple[Any, ...] | None] = {
    "activity_regularizer": (None,),
    "batch_input_shape": None,  # the model has its inputs
    "groups": (1,),  # depthwise and transposed convolutions
    "implementation": None,
    "input_length": None,
    "kernel_constraint": (None,),  # of separable convolutions, which have two other kernels
    "kernel_initializer": None,
    "kernel_regularizer": (None,),
    "key_shape": None,  # known when it is called
    "noise_shape": (None,),
    "query_shape": None,
    "softmax_robust_masking": (False, None),
    "time_major": (False,),
    "value_shape": None,
}

_RECURRENT = (keras.layers.RNN, keras.layers.Bidirectional)

Path = tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Rebuilt:
    """A model of Keras 3 with the architecture of a legacy one, and weights of its own.

    Attributes:
        model: The model, not compiled.
        layers: Path of a layer in the legacy model to the layer that stands for it.
        renamed: Name of a layer in the legacy model to its new one, where they differ.
    """

    model: keras.Model
    layers: dict[Path, keras.Layer] = field(default_factory=dict)
    renamed: dict[str, str] = field(default_factory=dict)


def rebuild(described: Mapping[str, Any]) -> Rebuilt:
    """Build a described model in Keras 3, without tfmot's wrappers.

    Layers and nested models keep their names; a wrapped layer gets back its own. Keras 3 allows no
    `/` in a name: it becomes `_`.

    Args:
        described: A Sequential or Functional model as tf_keras describes it, which passed
            `check_importable`.

    Raises:
        ModelError: when a layer has settings that Keras 3 doesn't know, or can't be built.
    """
    unknown = [each for layer in leaves(described) for each in unknown_settings(layer)]
    if unknown:
        raise ModelError(
            "Each setting of a layer must be one that Keras 3 has too. Received: "
            f"{'; '.join(unknown)}. Replace these layers in tf_keras and save the model again."
        )
    builder = _Builder()
    model = builder.model(described, (), described["config"]["name"])
    return Rebuilt(model, builder.layers, builder.renamed)


class _Builder:
    def __init__(self) -> None:
        self.layers: dict[Path, keras.Layer] = {}
        self.renamed: dict[str, str] = {}

    def model(self, described: Mapping[str, Any], path: Path, name: str) -> keras.Model:
        config = described["config"]
        names = self._names(config["layers"], _names_of_inputs(config))
        made = {
            legacy: self._layer(layer, (*path, legacy), new)
            for (legacy, new), layer in zip(names.items(), config["layers"], strict=True)
        }
        if described["class_name"] == "Sequential":
            return keras.Sequential(list(made.values()), name=name)
        return _Graph(config, made).model(name)

    def _names(
        self, layers: Iterable[Mapping[str, Any]], wanted: Mapping[str, str]
    ) -> dict[str, str]:
        """Map legacy names to new ones, which are unique among siblings."""
        names: dict[str, str] = {}
        for layer in layers:
            legacy, own = layer["config"]["name"], unwrapped(layer)["config"]["name"]
            base = new = wanted.get(legacy, own).replace("/", "_")
            number = 0
            while new in names.values():
                number += 1
                new = f"{base}_{number}"
            names[legacy] = new
            if new != own:
                self.renamed[own] = new
        return names

    def _layer(self, layer: Mapping[str, Any], path: Path, name: str) -> Any:
        inner = unwrapped(layer)
        if inner["class_name"] in MODELS:
            return self.model(inner, path, name)
        if inner["class_name"] == "InputLayer":
            config = inner["config"]
            return keras.layers.InputLayer(
                batch_shape=config["batch_input_shape"], dtype=config["dtype"], name=name
            )
        made = new_layer(inner, name=name, inside=self._inside)
        self.layers[path] = made
        return made

    def _inside(self, layer: Mapping[str, Any]) -> keras.Layer:
        name = layer["config"]["name"].replace("/", "_")
        if layer["class_name"] in MODELS:
            return _Builder().model(layer, (), name)
        return new_layer(layer, name=name, inside=self._inside)


class _Graph:
    """Replay of the legacy graph of a Functional model, layer call by layer call.

    Keras 3 can't read the graph itself: it counts the calls of nested models from another number
    than Keras 2 did.

    Args:
        config: The model's configuration.
        layers: Legacy name to layer.
    """

    def __init__(self, config: Mapping[str, Any], layers: Mapping[str, Any]) -> None:
        self._config = config
        self._layers = layers
        self._calls: dict[str, list[list[Any]]] = {}
        self._first_call = {
            each["config"]["name"]: _first_call(unwrapped(each)) for each in config["layers"]
        }

    def model(self, name: str) -> keras.Model:
        waiting = {}
        for described in self._config["layers"]:
            legacy = described["config"]["name"]
            if described["class_name"] == "InputLayer":
                self._calls[legacy] = [[self._layers[legacy].output]]
            else:
                self._calls[legacy] = []
                waiting[legacy] = list(described["inbound_nodes"])
        while any(waiting.values()):
            if not any(self._call_next(legacy, nodes) for legacy, nodes in waiting.items()):
                raise ModelError(
                    "The layers of a model must lead from its inputs to its outputs. Received: "
                    f"{[legacy for legacy, nodes in waiting.items() if nodes]}, which nothing "
                    "leads to."
                )
        inputs = self._tensors(self._config["input_layers"], {})
        outputs = self._tensors(self._config["output_layers"], {})
        return keras.Model(_alone(inputs), _alone(outputs), name=name)

    def _call_next(self, legacy: str, nodes: list[Any]) -> bool:
        """Make the next call of a layer, if its inputs exist."""
        if not nodes or not self._is_there(nodes[0]):
            return False
        keywords: dict[str, Any] = {}
        given = _alone(self._tensors(nodes.pop(0), keywords))
        keywords = {key: self._tensors(value, {}) for key, value in keywords.items()}
        layer = self._layers[legacy]
        if isinstance(layer, _RECURRENT) and isinstance(given, list):
            given, keywords["initial_state"] = given[0], given[1:]
        try:
            outputs = layer(given, **keywords)
        except (TypeError, ValueError, AttributeError, RuntimeError) as error:
            raise ModelError(
                "A layer must take in Keras 3 what it takes in Keras 2. Received: "
                f"`{legacy}` ({type(layer).__name__}), which doesn't: {first_line(error)}"
            ) from error
        self._calls[legacy].append(keras.tree.flatten(outputs))
        return True

    def _is_there(self, nested: Any) -> bool:
        if self._is_tensor(nested):
            legacy, number, _, *keywords = nested
            made = number - self._first_call[legacy] < len(self._calls[legacy])
            return made and all(self._is_there(each) for each in keywords)
        if isinstance(nested, Mapping):
            nested = list(nested.values())
        return not isinstance(nested, list) or all(self._is_there(each) for each in nested)

    def _tensors(self, nested: Any, keywords: dict[str, Any]) -> Any:
        """Look up the tensors that a legacy graph names; collect the keywords beside the names."""
        if self._is_tensor(nested):
            legacy, number, output, *noted = nested
            for each in noted:
                keywords.update(each)
            return self._calls[legacy][number - self._first_call[legacy]][output]
        if isinstance(nested, Mapping):
            return {key: self._tensors(value, keywords) for key, value in nested.items()}
        if isinstance(nested, list):
            return [self._tensors(each, keywords) for each in nested]
        return nested

    def _is_tensor(self, nested: Any) -> bool:
        return (
            isinstance(nested, list)
            and len(nested) in (3, 4)
            and isinstance(nested[0], str)
            and nested[0] in self._calls
            and isinstance(nested[1], int)
        )


def _names_of_inputs(config: Mapping[str, Any]) -> dict[str, str]:
    """Map legacy names of inputs to their keys in a dictionary; Keras 3 wants them equal."""
    inputs = config.get("input_layers")
    return {node[0]: key for key, node in inputs.items()} if isinstance(inputs, Mapping) else {}


def _first_call(layer: Mapping[str, Any]) -> int:
    """Return the number of a layer's first call; a model counts its own construction as call 0."""
    if layer["class_name"] not in MODELS or not layer["config"]["layers"]:
        return 0
    return int(layer["config"]["layers"][0]["class_name"] == "InputLayer")


def _alone(nested: Any) -> Any:
    return nested[0] if isinstance(nested, list) and len(nested) == 1 else nested


def unknown_settings(layer: Mapping[str, Any]) -> list[str]:
    """List the settings of a layer that its namesake in Keras 3 doesn't have, in words.

    Args:
        layer: `class_name` and `config`, of a class that Keras 3 has.
    """
    kind, config = layer["class_name"], layer["config"]
    if kind == "InputLayer":
        return []
    known = _known_settings(getattr(keras.layers, kind))
    return [
        f"`{config['name']}` ({kind}): {key}={value!r}"
        for key, value in _renamed(kind, config).items()
        if key not in known and not _changes_nothing(key, value)
    ]


def new_layer(
    layer: Mapping[str, Any], *, name: str, inside: Callable[[Mapping[str, Any]], keras.Layer]
) -> keras.Layer:
    """Make the layer of Keras 3, not yet built.

    Args:
        layer: `class_name` and `config`, without unknown settings.
        name: The layer's name.
        inside: Makes the layer inside a wrapper such as `Bidirectional`, or a layer that is used as
            an activation.

    Raises:
        ModelError: when Keras 3 refuses its configuration.
    """
    kind = layer["class_name"]
    config = _renamed(kind, layer["config"])
    cls = getattr(keras.layers, kind)
    known = _known_settings(cls)
    settings = {key: value for key, value in config.items() if key in known}
    for key, value in settings.items():
        # Layers inside wrappers, and layers used as activations.
        if isinstance(value, Mapping) and value.get("class_name") in LAYERS | MODELS:
            settings[key] = inside(value)
    if isinstance(settings.get("axis"), list) and len(settings["axis"]) == 1:
        settings["axis"] = settings["axis"][0]  # Keras 2 makes a list of it, which 3 may refuse
    settings["name"] = name
    settings["dtype"] = _precision(config.get("dtype"))
    trainable = settings.pop("trainable", True)
    try:
        made = cls(**settings)
    except (TypeError, ValueError, AttributeError, KeyError) as error:
        raise ModelError(
            f"A layer must mean the same in Keras 3. Received: `{config['name']}` ({kind}), which "
            f"Keras 3 refuses: {first_line(error)}"
        ) from error
    made.trainable = trainable
    return made


def first_line(error: Exception) -> str:
    """Return the first line of an error of Keras; the rest is for programmers."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _renamed(kind: str, config: Mapping[str, Any]) -> dict[str, Any]:
    names = _RENAMED.get(kind, {})
    return {names.get(key, key): value for key, value in config.items()}


def _changes_nothing(key: str, value: Any) -> bool:
    if key not in _WITHOUT_EFFECT:
        return False
    values = _WITHOUT_EFFECT[key]
    return values is None or value in values


def _known_settings(cls: type) -> set[str]:
    """List the arguments that the class takes, or hands on to its parents."""
    known = {"name", "dtype", "trainable"}
    for parent in cls.__mro__:
        if not issubclass(parent, keras.Layer):
            break
        if "__init__" not in vars(parent):
            continue
        parameters = inspect.signature(vars(parent)["__init__"]).parameters
        known |= parameters.keys()
        if all(each.kind is not each.VAR_KEYWORD for each in parameters.values()):
            break
    return known


def _precision(dtype: Any) -> str | None:
    """Return the name of a dtype or policy of Keras 2, which Keras 3 takes too."""
    name: str | None = dtype["config"]["name"] if isinstance(dtype, Mapping) else dtype
    return name
