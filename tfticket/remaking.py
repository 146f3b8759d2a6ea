"""Layers, optimizers and metrics made anew from their configs, with what no config can hold."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from types import FunctionType
from typing import Any

import keras

from tfticket.attributes import leaves, own_attributes
from tfticket.errors import ModelError
from tfticket.internals import flat_layers


def remade(thing: Any, *, kind: type | None = None, without: Sequence[str] = (), **new: Any) -> Any:
    """Makes a layer, another operation, an optimizer or a metric anew, as before it was built.

    Functions and classes that it was given (an activation, a regularizer, a schedule) are the same
    ones, registered with Keras or not, and also lambdas.

    Args:
        thing: What has a config.
        kind: The class of the new one; the same when None.
        without: Entries of the config that the new one doesn't take.
        **new: Entries of the config that differ, `name` among them.

    Raises:
        ModelError: when its config doesn't suffice to make it.

    Example:
        >>> remade(keras.layers.Dense(3, activation=lambda x: 2 * x)).units
        3
    """
    try:
        with _found_by_name(thing):
            made = _from_config(thing, kind or type(thing), without, new)
    except Exception as error:  # it may be anybody's code
        raise ModelError(
            f"{described(thing)} can't be copied: {first_words(error)} A copy is made by "
            "`from_config` from what `get_config` returns. Let that return all arguments of the "
            "constructor, as numbers, texts, or objects that Keras can save."
        ) from error
    made.name = new.get("name", thing.name)  # not every config has it
    return made


def described(thing: Any) -> str:
    """A layer, or another object of Keras, at the beginning of a message."""
    kinds = {
        keras.Model: "model",
        keras.Layer: "layer",
        keras.optimizers.Optimizer: "optimizer",
        keras.metrics.Metric: "metric",
    }
    kind = next((word for base, word in kinds.items() if isinstance(thing, base)), "operation")
    return f"The {kind} {thing.name!r} of the class {type(thing).__name__}"


def first_words(error: Exception) -> str:
    """What an error of anybody says in its first paragraph, or of the cause it names."""
    text = str(error).strip()
    text = text.partition("Exception encountered:")[2] or text
    words = " ".join(text.strip().partition("\n\n")[0].split()) or type(error).__name__
    return words if words[-1] in ".!?" else f"{words}."


def _from_config(thing: Any, kind: Any, without: Sequence[str], new: Mapping[str, Any]) -> Any:
    def config() -> dict[str, Any]:
        old = thing.get_config()
        changes = {key: value for key, value in new.items() if key != "name" or key in old}
        return {key: value for key, value in (old | changes).items() if key not in without}

    try:
        return kind.from_config(config())
    except (TypeError, ValueError):
        # Some layers put functions into their configs, and want them back as files hold them.
        held = config()
        if not any(isinstance(value, FunctionType) for value in held.values()):
            raise
        for key, value in held.items():
            if isinstance(value, FunctionType):
                held[key] = keras.saving.serialize_keras_object(value)
        return kind.from_config(held)


@contextlib.contextmanager
def _found_by_name(thing: Any) -> Iterator[None]:
    """A scope in which Keras finds what a config can only name.

    Functions are given names of their own meanwhile: a config calls each lambda the same, and takes
    a function called `gelu` for that of Keras.
    """
    functions, classes = [], {}
    for owner in flat_layers(thing) if isinstance(thing, keras.Layer) else [thing]:
        classes[type(owner).__name__] = type(owner)
        for _, value in own_attributes(owner):
            for leaf in leaves(value):
                if isinstance(leaf, FunctionType):
                    functions.append(leaf)
                elif hasattr(leaf, "get_config") and not isinstance(leaf, keras.Layer):
                    classes[type(leaf).__name__] = type(leaf)
    functions = [each for each in {id(f): f for f in functions}.values() if not _is_keras(each)]
    classes = {name: kind for name, kind in classes.items() if not _is_keras(kind)}
    known = {f"copied_function_{number}": each for number, each in enumerate(functions)}
    before = [each.__name__ for each in functions]
    try:
        for name, each in known.items():
            each.__name__ = name
        with keras.saving.custom_object_scope({**classes, **known}):
            yield
    finally:
        for each, name in zip(functions, before, strict=True):
            each.__name__ = name


def _is_keras(thing: Any) -> bool:
    return str(thing.__module__).partition(".")[0] == "keras"
