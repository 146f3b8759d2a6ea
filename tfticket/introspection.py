"""Look into layers and models of anybody: what their classes override, what their attributes hold.

Keras tracks the weights of layers. It doesn't list what a model keeps beside them (a second
optimizer, counters, `tf.Variable`s of a custom step), in attributes, lists, dicts or objects of the
user's own. And what is known of a class of Keras holds for a subclass only while that overrides
nothing that computes.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import keras
import tensorflow as tf

from tfticket.internals import LISTED_VARIABLES, backing_variable, set_by_keras

_KNOWN = ("keras", "tfticket")  # the packages whose layers do what their names say
# What a subclass may override, beside the constructor, and still compute as its parent does.
_COMPUTES_NOTHING = {"get_config", "from_config"}

# The classes of Keras, TensorFlow and Python that are searched; of other packages all are.
_LOOKED_INTO = (
    keras.Layer,
    keras.Loss,
    keras.Metric,
    keras.Optimizer,
    keras.optimizers.schedules.LearningRateSchedule,
    keras.random.SeedGenerator,
)
_CLOSED = ("builtins", "collections", "keras", "numpy", "tensorflow", "threading", "weakref")
_MOST_ITEMS = 10_000


def is_own(layer: keras.Layer) -> bool:
    """Tell whether the class of a layer is neither of Keras nor of tfticket."""
    return not _is_known(type(layer))


def overridden(layer: keras.Layer) -> tuple[str, ...]:
    """List what the class of a layer overrides of its nearest parent in Keras or tfticket.

    What is known of the parent doesn't hold for a subclass that overrides `call`, or something that
    `call` uses. It may override its constructor and its config, and implement what the parent
    leaves open.

    Returns:
        Names of methods and attributes, sorted; none for a class of Keras or of tfticket.

    Example:
        >>> class NormReLU(keras.layers.BatchNormalization):
        ...     def call(self, inputs, training=None, mask=None):
        ...         return keras.ops.relu(super().call(inputs, training=training, mask=mask))
        >>> overridden(NormReLU())
        ('call',)
    """
    own: list[type] = []
    for parent in type(layer).__mro__:
        if _is_known(parent):
            return tuple(sorted({name for kind in own for name in _changes(kind, parent)}))
        own.append(parent)
    return ()


def computes_as(layer: keras.Layer, kinds: type | tuple[type, ...]) -> bool:
    """Like `isinstance`, but False for a subclass that overrides what its parent computes."""
    return isinstance(layer, kinds) and not overridden(layer)


def _is_known(kind: type) -> bool:
    return kind.__module__.partition(".")[0] in _KNOWN


def _changes(kind: type, parent: type) -> Iterator[str]:
    for name in vars(kind):
        old = getattr(parent, name, None)
        is_default = old is getattr(keras.Layer, name, None) or hasattr(old, "__isabstractmethod__")
        if name == "__call__" or not (
            is_default or name.startswith("__") or name in _COMPUTES_NOTHING
        ):
            yield name


def own_attributes(layer: Any) -> Iterator[tuple[str, Any]]:
    """Yield the attributes of a layer, or of another object of Keras, that Keras didn't set."""
    for name, value in list(vars(layer).items()):
        if not set_by_keras(name):
            yield name, value


def leaves(value: Any) -> Iterator[Any]:
    """Yield the values inside nested lists, tuples and dictionaries."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        for part in value:
            yield from leaves(part)
    else:
        yield value


def held_variables(root: Any, *, without: Collection[int] = ()) -> dict[str, Any]:
    """List the variables that can be reached from an object.

    Containers of more than 10,000 items, such as data that a model keeps, are passed over.

    Args:
        root: A model, or anything else with attributes.
        without: The `id` of objects and variables to leave out.

    Returns:
        Path of attributes to variable (`top_optimizer/_iterations`), the shortest path first; each
        variable once.

    Example:
        >>> model = keras.Sequential()
        >>> model.counters = {"steps": [keras.Variable(0)]}
        >>> list(held_variables(model))
        ['counters/steps/0']
    """
    variables = (keras.Variable, tf.Variable)
    return {path: held for path, held in _walk(root, without) if isinstance(held, variables)}


def held_optimizers(root: Any) -> dict[str, keras.Optimizer]:
    """List the optimizers that can be reached from an object; see `held_variables`."""
    return {path: held for path, held in _walk(root) if isinstance(held, keras.Optimizer)}


def _walk(root: Any, without: Collection[int] = ()) -> Iterator[tuple[str, Any]]:
    """Yield path and object of all that is reached, breadth first, each object once."""
    seen = {id(root), *without}
    waiting: deque[tuple[str, Any]] = deque([("", root)])
    while waiting:
        path, holder = waiting.popleft()
        for name, value in _parts(holder):
            variable = isinstance(value, (keras.Variable, tf.Variable))
            if id(value) in seen or not (variable or _is_open(value)):
                continue
            place = f"{path}/{name}" if path else name
            seen.add(id(value))
            if variable:
                seen.add(id(backing_variable(value)))
            else:
                waiting.append((place, value))
            yield place, value


def _parts(holder: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(holder, Mapping):
        named = ((str(key), value) for key, value in list(holder.items()))
    elif isinstance(holder, (list, tuple, set, frozenset, deque)):
        named = ((str(place), value) for place, value in enumerate(list(holder)))
    else:
        public_first = sorted(vars(holder).items(), key=lambda part: part[0].startswith("_"))
        named = (part for part in public_first if part[0] not in LISTED_VARIABLES)
    yield from itertools.islice(named, _MOST_ITEMS)


def _is_open(value: Any) -> bool:
    """Tell whether an object is searched."""
    if isinstance(value, (Mapping, list, tuple, set, frozenset, deque)):
        return 0 < len(value) <= _MOST_ITEMS
    if isinstance(value, type) or not hasattr(value, "__dict__"):
        return False
    if isinstance(value, _LOOKED_INTO):
        return True
    return type(value).__module__.partition(".")[0] not in _CLOSED
