"""Variables that an object holds, wherever it keeps them.

Keras' own tracker knows the weights of layers. It doesn't list what a model keeps beside them: a
second optimizer, counters, `tf.Variable`s of a custom step, in attributes, lists, dicts or objects
of the user's own.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import keras
import tensorflow as tf

# Of Keras, TensorFlow and Python only these are looked into; of anybody else's classes, all.
_LOOKED_INTO = (
    keras.Layer,
    keras.Loss,
    keras.Metric,
    keras.Optimizer,
    keras.optimizers.schedules.LearningRateSchedule,
    keras.random.SeedGenerator,
)
# Where Keras lists what its layers hold under other names, too.
_LISTED = ("_trainable_variables", "_non_trainable_variables")
_CLOSED = ("builtins", "collections", "keras", "numpy", "tensorflow", "threading", "weakref")
_MOST_ITEMS = 10_000


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
    """The optimizers that can be reached from an object, by path; see `held_variables`."""
    return {path: held for path, held in _walk(root) if isinstance(held, keras.Optimizer)}


def _walk(root: Any, without: Collection[int] = ()) -> Iterator[tuple[str, Any]]:
    """Everything that is reached, breadth first, each object once."""
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
                seen.add(id(getattr(value, "_value", value)))  # of Keras' variable, the same one
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
        named = (part for part in public_first if part[0] not in _LISTED)
    yield from itertools.islice(named, _MOST_ITEMS)


def _is_open(value: Any) -> bool:
    """Whether to look into it."""
    if isinstance(value, (Mapping, list, tuple, set, frozenset, deque)):
        return 0 < len(value) <= _MOST_ITEMS
    if isinstance(value, type) or not hasattr(value, "__dict__"):
        return False
    if isinstance(value, _LOOKED_INTO):
        return True
    return type(value).__module__.partition(".")[0] not in _CLOSED
