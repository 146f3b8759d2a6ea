"""From a layer to its copy: everything that a config doesn't hold.

A layer keeps more than weights: tables, statistics that `adapt` derived, states of seed generators
and of recurrent layers, whatever its author thought of. What it keeps is what it saves itself
(`save_own_variables`, `save_assets`); its copy loads that as it would from a file.
"""

from __future__ import annotations

import tempfile
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfticket.attributes import leaves, own_attributes
from tfticket.classes import is_own
from tfticket.errors import ModelError
from tfticket.internals import copy_masking, copy_trainable, flat_layers
from tfticket.remaking import described, first_words
from tfticket.state import MaskOwner, variable_owners

_DATA = (bool, int, float, complex, str, bytes, np.ndarray, np.generic)
_VARIABLES = (keras.Variable, tf.Variable)


def carry_state(old: keras.Layer, new: keras.Layer) -> None:
    """Gives a built copy of a layer all that the layer keeps.

    That is what each layer inside it saves of itself, the values of all variables, whether they are
    trained, and what stands in plain attributes: variables, and in layers of the user's own numbers
    and arrays too.

    Args:
        old: The layer. It isn't changed.
        new: One of the same class and config.

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
    """Gives a new copy of a layer what must be there before it is called.

    That is what it may need to be called at all, and tables, which can't be changed afterwards and
    may be as wide as what it returns. `carry_state` does the rest when all variables are there.

    Args:
        old: The layer. It isn't changed.
        new: One of the same class and config, just made.

    Raises:
        ModelError: when a layer can't load what it saves; it is named.
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
    """Variables in plain attributes of one layer, that Keras doesn't list among its weights."""
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
        return  # it saves its variables and nothing else, and they have keys
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
    """Also where a layer saves less than its variables: one with LoRA saves the merged kernel."""
    owners = variable_owners(old)
    for key, (_, ours) in variable_owners(new).items():
        if key not in owners:
            continue  # whether the answers need it is seen by comparing them
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
    """A copy as an array, of a variable, a tensor or a number."""
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
