"""The plain attributes of layers: what they hold, and which of them Keras made."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

import keras

_OF_TENSORFLOW = ("_self_", "_obj_", "_tf_")
"""How what TensorFlow notes in an object that holds variables begins."""


def own_attributes(layer: Any) -> Iterator[tuple[str, Any]]:
    """The attributes of a layer, or of another object of Keras, that its class or its user made."""
    for name, value in list(vars(layer).items()):
        if name not in _of_every_layer() and not name.startswith(_OF_TENSORFLOW):
            yield name, value


@functools.cache
def _of_every_layer() -> frozenset[str]:
    """Names of the attributes that Keras sets on every layer or model."""
    bare = (keras.layers.Layer(name="layer"), keras.Model(name="model"))
    return frozenset({"_build_shapes_dict"}.union(*(vars(each) for each in bare)))


def leaves(value: Any) -> Iterator[Any]:
    """What an attribute holds, through lists, tuples and dictionaries."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        for part in value:
            yield from leaves(part)
    else:
        yield value
