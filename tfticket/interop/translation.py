"""One layer of Keras 2 as a layer of Keras 3."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import keras

from tfticket.errors import ModelError
from tfticket.interop.catalog import LAYERS, MODELS

# Keys that Keras 3 has under another name.
_RENAMED = {"LeakyReLU": {"alpha": "negative_slope"}}

# Keys that a layer of Keras 3 may not know, and the values with which they change nothing; None
# for any, since what they say is known from elsewhere or concerns only how it is computed.
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


def unknown_settings(layer: Mapping[str, Any]) -> list[str]:
    """What a layer is told that its namesake in Keras 3 doesn't know, in words.

    Args:
        layer: `class_name` and `config`, of a class that is in the catalog.
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
    """Makes the layer of Keras 3, not yet built.

    Args:
        layer: `class_name` and `config`, without settings that are unknown.
        name: The layer's name.
        inside: Makes the layer inside a wrapper such as `Bidirectional`, or one that stands in the
            place of an activation.

    Raises:
        ModelError: when Keras 3 refuses its configuration.
    """
    kind = layer["class_name"]
    config = _renamed(kind, layer["config"])
    cls = getattr(keras.layers, kind)
    known = _known_settings(cls)
    settings = {key: value for key, value in config.items() if key in known}
    for key, value in settings.items():
        # The layers inside wrappers, and layers in the place of an activation.
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
    """What Keras says first; the rest is for programmers."""
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
    """Names of the arguments that the class takes, and hands on to its parents."""
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
    """The name of a type or policy of Keras 2, which Keras 3 takes too."""
    return dtype["config"]["name"] if isinstance(dtype, Mapping) else dtype
