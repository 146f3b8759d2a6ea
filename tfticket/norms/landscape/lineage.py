"""The weights that the input of a layer depends on."""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence
from dataclasses import dataclass

import keras

from tfticket.errors import ModelError
from tfticket.internals import Functional, graph_of, nodes_of
from tfticket.state import kernels_of, variable_owners


@dataclass(frozen=True, eq=False)
class TrackedLayer:
    """A layer whose covariate shift is measured.

    Attributes:
        name: Its key: the names of the layers on the way to it, joined by `/`.
        own: Places of its weights in `model.trainable_variables`.
        previous: Places of the weights that its input depends on.
    """

    name: str
    own: tuple[int, ...]
    previous: tuple[int, ...]


def tracked_layers(
    model: keras.Model, patterns: Sequence[str] | None = None
) -> tuple[TrackedLayer, ...]:
    """Return the layers with kernels that have others with weights before them, in their order.

    "Before" is a path in the graph, so that parallel branches aren't before each other. The scale
    and shift of a normalization count as a layer of their own.

    Args:
        model: Sequential or Functional; nested models are opened, wrappers are not.
        patterns: Glob patterns of names; all layers when None.

    Raises:
        ModelError: for a subclassed model, or a pattern that fits no layer.
    """
    before: dict[int, set[int]] = {}
    _walk(model, set(), before)
    place_of = {id(variable): place for place, variable in enumerate(model.trainable_variables)}
    found = []
    for name, layer in _named_layers(model).items():
        own = {id(variable) for variable in layer.trainable_variables}
        previous = before.get(id(layer), set()) - own
        if kernels_of(layer) and own and previous:
            found.append(
                TrackedLayer(
                    name,
                    tuple(sorted(place_of[one] for one in own)),
                    tuple(sorted(place_of[one] for one in previous if one in place_of)),
                )
            )
    if patterns is None:
        return tuple(found)
    meant = "a layer that has a kernel and other layers with weights before it"
    names = chosen([layer.name for layer in found], patterns, meant)
    return tuple(layer for layer in found if layer.name in names)


def chosen(names: Sequence[str], patterns: Sequence[str], meant: str) -> list[str]:
    """Return the names that fit a pattern, in their order.

    Args:
        names: Names of layers.
        patterns: Glob patterns.
        meant: What each pattern must fit, for the error.

    Raises:
        ModelError: when a pattern fits none.
    """
    for pattern in patterns:
        if not fnmatch.filter(names, pattern):
            raise ModelError(
                f"Each pattern of `layers` must fit {meant}. Received: {pattern!r}, which fits "
                f"none of {list(names)}."
            )
    return [name for name in names if any(fnmatch.fnmatch(name, one) for one in patterns)]


def _named_layers(model: keras.Model) -> dict[str, keras.Layer]:
    owners = variable_owners(model)
    return {key.rpartition("/")[0]: layer for key, (layer, _) in owners.items()}


def _walk(model: keras.Model, outside: set[int], before: dict[int, set[int]]) -> None:
    """Collect the ids of the trainable variables that the input of each layer depends on."""
    graph = graph_of(model)
    if not isinstance(graph, Functional):
        raise ModelError(
            "The layers before a layer are known for Sequential and Functional models only. "
            f"Received: {model.name!r} of the class {type(model).__name__}."
        )
    reached: dict[int, set[int]] = {}
    for node in nodes_of(graph):
        sources = set(outside)
        for parent in node.parent_nodes:
            sources |= reached.get(id(parent), set())
        operation = node.operation
        own: set[int] = set()
        if isinstance(operation, keras.Layer):
            own = {id(variable) for variable in operation.trainable_variables}
            if isinstance(operation, (keras.Sequential, Functional)):
                _walk(operation, sources, before)
            else:
                before.setdefault(id(operation), set()).update(sources)
        reached[id(node)] = sources | own
