"""The graph of a model around its norms, and changed copies of the layers before them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Any

import keras

from tfticket.internals import Functional, flat_layers, graph_of, maker_of, nodes_of
from tfticket.introspection import computes_as
from tfticket.layer_kinds import CONVOLUTIONS, LINEAR
from tfticket.norms.layers.convolution import StandardizedConv, standardized
from tfticket.remaking import remade
from tfticket.sparsity.wrapper import Masked


class Graph:
    """The operations before and after each layer of a Sequential or Functional model.

    A nested model is a graph of its own: the sources of its inputs aren't known in it, and from
    outside it is one operation. A layer that is called several times has as many neighbors.

    Args:
        model: A built model. A subclassed one has no graph, but its parts may have.

    Attributes:
        layers: The layers of all graphs, without models; each once.
    """

    def __init__(self, model: keras.Model) -> None:
        self.layers: list[keras.Layer] = []
        self._calls: dict[int, list[Any]] = defaultdict(list)
        self._before: dict[int, list[Any]] = defaultdict(list)
        self._after: dict[int, list[Any]] = defaultdict(list)
        self._around: dict[int, list[keras.Model]] = defaultdict(list)
        for owner in flat_layers(model):
            if not isinstance(owner, (keras.Sequential, Functional)):
                continue
            graph = graph_of(owner)
            for node in () if graph is None else nodes_of(graph):
                if node.is_input:
                    continue
                self._add(node)
                self._around[id(node.operation)].append(owner)
                sources = [maker_of(tensor) for tensor in node.input_tensors]
                self._before[id(node.operation)] += sources[:1]
                for source in sources:
                    self._after[id(source)].append(node.operation)
            for output in () if graph is None else graph.outputs:
                self._after[id(maker_of(output))].append(None)

    def _add(self, node: Any) -> None:
        layer = node.operation
        is_layer = isinstance(layer, keras.Layer) and not isinstance(layer, keras.Model)
        if is_layer and id(layer) not in self._calls:
            self.layers.append(layer)
        self._calls[id(layer)].append(node)

    def inputs(self, layer: keras.Layer) -> list[Any]:
        """Return the first symbolic input of a layer, for each of its calls."""
        return [node.input_tensors[0] for node in self._calls[id(layer)]]

    def input_shape(self, layer: keras.Layer) -> tuple[int | None, ...]:
        """Return the shape of the first input of a layer's first call, with the batch axis."""
        return tuple(self.inputs(layer)[0].shape)

    def call_arguments(self, layer: keras.Layer, name: str) -> list[Any]:
        """Return a keyword argument of a layer, for each of its calls; None if it isn't given."""
        return [node.arguments.kwargs.get(name) for node in self._calls[id(layer)]]

    def arguments_around(self, layer: keras.Layer, name: str) -> list[Any]:
        """As `call_arguments`, and also of the calls of the models that the layer is in."""
        around = {id(owner): owner for owner in self._around[id(layer)]}.values()
        outer = [argument for owner in around for argument in self.arguments_around(owner, name)]
        return self.call_arguments(layer, name) + outer

    def before(self, layer: keras.Layer) -> list[Any]:
        """Return the operation that outputs the first input of a layer, for each of its calls."""
        return list(self._before[id(layer)])

    def after(self, layer: keras.Layer) -> list[Any]:
        """Return the operations that read a layer's outputs; None stands for a graph's output."""
        return list(self._after[id(layer)])


def unmasked(layer: Any) -> Any:
    """Return the layer inside a `Masked` wrapper, or the layer itself."""
    return layer.layer if isinstance(layer, Masked) else layer


def rebuilt(layer: keras.Layer, change: Callable[[keras.Layer], keras.Layer]) -> keras.Layer:
    """Apply `change` to a layer, or to the one inside if it is masked."""
    if not isinstance(layer, Masked):
        return change(layer)
    config = {**layer.get_config(), "layer": change(layer.layer)}
    return Masked(**config)


def can_standardize(operation: Any) -> bool:
    """Return whether an operation is a plain convolution, masked or not."""
    return type(unmasked(operation)) in CONVOLUTIONS


def is_standardized(operation: Any) -> bool:
    """Return whether an operation is a convolution with standardized weights, masked or not."""
    return computes_as(unmasked(operation), StandardizedConv)


def lacks_bias(operation: Any) -> bool:
    """Return whether an operation could have a bias by channel, but has none."""
    layer = unmasked(operation)
    return computes_as(layer, LINEAR) and not layer.use_bias


def with_standardized_weights(layer: keras.Layer) -> keras.Layer:
    """Return the same convolution, not built, with standardized weights."""
    return rebuilt(layer, standardized)


def with_plain_weights(layer: keras.Layer) -> keras.Layer:
    """Return the Keras parent of a standardized convolution, not built."""

    def change(conv: keras.Layer) -> keras.Layer:
        kind = next(kind for kind in CONVOLUTIONS if isinstance(conv, kind))
        return remade(conv, kind=kind, without=("epsilon",))

    return rebuilt(layer, change)


def with_bias(layer: keras.Layer) -> keras.Layer:
    """Return the same layer, not built, with a bias."""
    return rebuilt(layer, lambda old: remade(old, use_bias=True))


def copy_masks(old: keras.Layer, new: keras.Layer) -> None:
    """Copy the masks of a layer to its replacement, if it has any."""
    if isinstance(old, Masked):
        new.set_masks({key: mask.numpy() for key, mask in old.masks.items()})
