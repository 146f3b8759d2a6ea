"""Copy one layer, optimizer or metric: made anew from its config, then given its state.

A config can't hold functions and classes of the user's; `remade` passes on the same ones. A layer
keeps more than weights: tables, statistics that `adapt` derived, states of seed generators and of
recurrent layers, whatever its author thought of. Its copy loads what the layer saves of itself
(`save_own_variables`, `save_assets`), as from a file.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from types import FunctionType
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfticket.errors import ModelError
from tfticket.internals import copy_masking, copy_trainable, flat_layers
from tfticket.introspection import is_own, leaves, own_attributes
from tfticket.state import MaskOwner, variable_owners

_DATA = (bool, int, float, complex, str, bytes, np.ndarray, np.generic)
_VARIABLES = (keras.Variable, tf.Variable)


def remade(thing: Any, *, kind: type | None = None, without: Sequence[str] = (), **new: Any) -> Any:
    """Make a layer, another operation, an optimizer or a metric anew, not built.

    Functions and classes that it was given (an activation, a regularizer, a schedule) are shared
    with the original, whether registered with Keras or not, lambdas too.

    Args:
        thing: An object with a config.
        kind: The class of the new one; that of `thing` by default.
        without: Entries of the config to leave out.
        **new: Entries of the config to replace, such as `name`.

    Raises:
        ModelError: when the config doesn't suffice to make it.

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
    """Name an object of Keras and its class, as the beginning of a message."""
    kinds = {
        keras.Model: "model",
        keras.Layer: "layer",
        keras.optimizers.Optimizer: "optimizer",
        keras.metrics.Metric: "metric",
    }
    kind = next((word for base, word in kinds.items() if isinstance(thing, base)), "operation")
    return f"The {kind} {thing.name!r} of the class {type(thing).__name__}"


def first_words(error: Exception) -> str:
    """Return the first paragraph of an error, or of the cause that Keras reports in it."""
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
        # Some layers put functions into their configs, and expect them serialized.
        held = config()
        if not any(isinstance(value, FunctionType) for value in held.values()):
            raise
        for key, value in held.items():
            if isinstance(value, FunctionType):
                held[key] = keras.saving.serialize_keras_object(value)
        return kind.from_config(held)


@contextlib.contextmanager
def _found_by_name(thing: Any) -> Iterator[None]:
    """Let Keras find the functions and classes that a config can only name.

    Functions get unique names meanwhile: in a config all lambdas have the same one, and a function
    called `gelu` is taken for that of Keras.
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


def carry_state(old: keras.Layer, new: keras.Layer) -> None:
    """Copy the state of a layer to a built copy of it.

    That is what each layer inside it saves of itself, the values of all variables, whether they are
    trainable, and plain attributes: variables, and in layers of the user's own also numbers and
    arrays.

    Args:
        old: The layer; it isn't changed.
        new: A layer of the same class and config.

    Raises:
        ModelError: when a layer can't load what it saves; it is named.
    """
    theirs, ours = flat_layers(old), flat_layers(new)
    if [type(each) for each in theirs] != [type(each) for each in ours]:
        raise ModelError(
            f"{described(old)} can't be copied: its copy holds the layers {_names(ours)} where it "
            f"holds {_names(theirs)}. The constructor must make all layers inside from what "
            "`get_config` returns. Mend the two; a saved file has the same trouble."
        )
    for source, target in zip(theirs, ours, strict=True):
        _load_what_it_saves(source, target)
        _load_assets(source, target)
        _copy_attributes(source, target)
        copy_trainable(source, target)
    _copy_variables(old, new)


def carry_before_calls(old: keras.Layer, new: keras.Layer) -> None:
    """Copy the part of a layer's state that a new copy of it needs before its first call.

    That is attributes, and tables, which can't be changed afterwards and may decide the shape of
    the output. `carry_state` does the rest when all variables exist. Args and errors as there.
    """
    for source, target in zip(flat_layers(old), flat_layers(new), strict=False):
        if type(source) is not type(target):
            continue
        copy_masking(source, target)
        _copy_attributes(source, target)
        if hasattr(source, "save_assets"):
            shapes = source.get_build_config()
            if shapes and not target.built and type(target).build is not keras.Layer.build:
                target.build_from_config(shapes)
            _load_what_it_saves(source, target)
            _load_assets(source, target)


def unlisted_variables(layer: keras.Layer) -> list[Any]:
    """List the variables in attributes of one layer that Keras doesn't list among its weights."""
    listed = {id(variable) for variable in layer.variables}
    return [
        leaf
        for _, value in own_attributes(layer)
        for leaf in leaves(value)
        if isinstance(leaf, _VARIABLES) and id(leaf) not in listed
    ]


def _load_what_it_saves(source: keras.Layer, target: keras.Layer) -> None:
    saves = type(source).load_own_variables is not keras.Layer.load_own_variables
    if not (saves or isinstance(source, MaskOwner)):
        return  # it saves nothing but variables, which are copied by key
    store: dict[str, Any] = {}
    try:
        source.save_own_variables(store)
        target.load_own_variables({name: _array(value) for name, value in store.items()})
    except Exception as error:  # it may be anybody's code
        raise _unloadable(source, "own_variables", error) from error


def _load_assets(source: keras.Layer, target: keras.Layer) -> None:
    if not hasattr(source, "save_assets"):
        return
    with tempfile.TemporaryDirectory() as folder:
        try:
            source.save_assets(folder)
            target.load_assets(folder)
        except Exception as error:
            raise _unloadable(source, "assets", error) from error
    if hasattr(source, "get_vocabulary") and source.get_vocabulary() != target.get_vocabulary():
        raise ModelError(
            f"{described(source)} can't be copied: its copy reads another vocabulary than it "
            "saves. A vocabulary is saved a word a line, so that words must hold no line breaks. "
            "Clean the words; a saved file has the same trouble."
        )


def _copy_attributes(source: keras.Layer, target: keras.Layer) -> None:
    for theirs, ours in zip(unlisted_variables(source), unlisted_variables(target), strict=False):
        if theirs.shape == ours.shape:
            ours.assign(theirs.numpy())
    if is_own(source):
        for name, value in own_attributes(source):
            here = vars(target).get(name)
            if _is_data(value) and (here is None or _is_data(here)):
                setattr(target, name, _duplicate(value))


def _copy_variables(old: keras.Layer, new: keras.Layer) -> None:
    """Copy variables by key, since some layers save less: with LoRA only the merged kernel."""
    owners = variable_owners(old)
    for key, (_, ours) in variable_owners(new).items():
        if key not in owners:
            continue  # if outputs depend on it, comparing them will tell
        theirs = owners[key][1]
        if theirs.shape != ours.shape:
            raise ModelError(
                f"{described(old)} can't be copied: its copy has a variable `{key}` of the shape "
                f"{tuple(ours.shape)} where it has one of {tuple(theirs.shape)}. Shapes must "
                "follow from `get_config` and from what the layer is called on. Put what they "
                "depend on into the config."
            )
        ours.assign(theirs.value)
        if ours.trainable != theirs.trainable:
            ours.trainable = theirs.trainable


def _array(value: Any) -> np.ndarray:
    """Copy a variable, a tensor or a number to an array."""
    return np.array(np.asarray(value))


def _is_data(value: Any) -> bool:
    return all(isinstance(leaf, _DATA) for leaf in leaves(value))


def _duplicate(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _duplicate(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_duplicate(part) for part in value]
    return np.array(value) if isinstance(value, np.ndarray) else value


def _unloadable(layer: keras.Layer, what: str, error: Exception) -> ModelError:
    return ModelError(
        f"{described(layer)} can't be copied: {first_words(error)} A copy is given what the layer "
        f"saves, so `load_{what}` must take what `save_{what}` stores. Mend the two; a saved file "
        "has the same trouble."
    )


def _names(layers: list[keras.Layer]) -> list[str]:
    return [type(each).__name__ for each in layers]
