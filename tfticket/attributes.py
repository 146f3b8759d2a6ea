"""The plain attributes of layers: what they hold, and which of them Keras made."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

import keras


@functools.cache
def of_every_layer() -> frozenset[str]:
    """The attributes that Keras gives any layer or model."""
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
