"""Who feeds whom in a model, as far as its graph shows it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any

import keras

from tfticket.classes import computes_as
from tfticket.internals import Functional, flat_layers, graph_of, maker_of, nodes_of
from tfticket.norms.layers.convolution import StandardizedConv, standardized
from tfticket.remaking import remade
from tfticket.sparsity.wrapper import Masked

LINEAR_LAYERS = (
    keras.layers.Dense,
    keras.layers.Conv1D,
    keras.layers.Conv2D,
    keras.layers.Conv3D,
    keras.layers.Conv1DTranspose,
    keras.layers.Conv2DTranspose,
    keras.layers.Conv3DTranspose,
    keras.layers.DepthwiseConv1D,
    keras.layers.DepthwiseConv2D,
    keras.layers.SeparableConv1D,
    keras.layers.SeparableConv2D,
)
"""Layers of a kernel and a bias by channel, and their children."""


class Graph:
    """The operations before and after each layer of a Sequential or Functional model.

    Each model inside the model is a graph of its own: what feeds its inputs isn't known in it, and
    to the outside it is one operation. A layer that is called several times has as many neighbors.

    Args:
        model: A built model. A subclassed one has no graph, but its parts may have.

    Attributes:
        layers: The layers that stand in a graph by themselves, models left out; each once.
    """

    def __init__(self, model: keras.Model) -> None:
        self.layers: list[keras.Layer] = []
        self._calls: dict[int, list[Any]] = defaultdict(list)
        self._before: dict[int, list[Any]] = defaultdict(list)
        self._after: dict[int, list[Any]] = defaultdict(list)
        self._around: dict[int, list[keras.Model]] = defaultdict(list)
        for owner, graph in _graphs(model):
            for node in _nodes(graph):
                self._add(node)
                self._around[id(node.operation)].append(owner)
                sources = [maker_of(tensor) for tensor in node.input_tensors]
                self._before[id(node.operation)] += sources[:1]
                for source in sources:
                    self._after[id(source)].append(node.operation)
            for output in graph.outputs:
                self._after[id(maker_of(output))].append(None)

    def _add(self, node: Any) -> None:
        layer = node.operation
        is_layer = isinstance(layer, keras.Layer) and not isinstance(layer, keras.Model)
        if is_layer and id(layer) not in self._calls:
            self.layers.append(layer)
        self._calls[id(layer)].append(node)

    def inputs(self, layer: keras.Layer) -> list[Any]:
        """The first symbolic input of a layer, for each of its calls."""
        return [node.input_tensors[0] for node in self._calls[id(layer)]]

    def input_shape(self, layer: keras.Layer) -> tuple[int | None, ...]:
        """The shape of the first input of a layer where it is met first, with the batch axis."""
        return tuple(self.inputs(layer)[0].shape)

    def call_arguments(self, layer: keras.Layer, name: str) -> list[Any]:
        """What a layer is called with under a name, for each of its calls; None for nothing."""
        return [node.arguments.kwargs.get(name) for node in self._calls[id(layer)]]

    def arguments_around(self, layer: keras.Layer, name: str) -> list[Any]:
        """As `call_arguments`, also of the calls of the models that the layer is in."""
        around = {id(owner): owner for owner in self._around[id(layer)]}.values()
        outer = [argument for owner in around for argument in self.arguments_around(owner, name)]
        return self.call_arguments(layer, name) + outer

    def before(self, layer: keras.Layer) -> list[Any]:
        """What makes the first input of a layer, for each of its calls."""
        return list(self._before[id(layer)])

    def after(self, layer: keras.Layer) -> list[Any]:
        """What reads the outputs of a layer, once a reading; None for the end of a graph."""
        return list(self._after[id(layer)])


def unmasked(layer: Any) -> Any:
    """The layer inside a `Masked` wrapper, or the layer itself."""
    return layer.layer if isinstance(layer, Masked) else layer


def _graphs(model: keras.Model) -> Iterator[tuple[keras.Model, Functional]]:
    """The models that have a graph, and their graphs."""
    for layer in flat_layers(model):
        if isinstance(layer, (keras.Sequential, Functional)) and graph_of(layer) is not None:
            yield layer, graph_of(layer)


def _nodes(graph: Functional) -> Iterator[Any]:
    return (node for node in nodes_of(graph) if not node.is_input)


_CONVOLUTIONS = (keras.layers.Conv1D, keras.layers.Conv2D, keras.layers.Conv3D)


def rebuilt(layer: keras.Layer, change: Callable[[keras.Layer], keras.Layer]) -> keras.Layer:
    """What `change` makes of a layer; of the one inside, when it has a mask."""
    if not isinstance(layer, Masked):
        return change(layer)
    config = {**layer.get_config(), "layer": change(layer.layer)}
    return Masked(**config)


def can_standardize(operation: Any) -> bool:
    """Whether it is a plain convolution, with a mask or without."""
    return type(unmasked(operation)) in _CONVOLUTIONS


def is_standardized(operation: Any) -> bool:
    """Whether it is a convolution with standardized weights, with a mask or without."""
    return computes_as(unmasked(operation), StandardizedConv)


def lacks_bias(operation: Any) -> bool:
    """Whether it could have a bias by channel, but has none."""
    layer = unmasked(operation)
    return computes_as(layer, LINEAR_LAYERS) and not layer.use_bias


def with_standardized_weights(layer: keras.Layer) -> keras.Layer:
    """The same convolution, not built, with standardized weights."""
    return rebuilt(layer, standardized)


def with_plain_weights(layer: keras.Layer) -> keras.Layer:
    """The convolution of Keras that a standardized one is a child of, not built."""

    def change(conv: keras.Layer) -> keras.Layer:
        kind = next(kind for kind in _CONVOLUTIONS if isinstance(conv, kind))
        return remade(conv, kind=kind, without=("epsilon",))

    return rebuilt(layer, change)


def with_bias(layer: keras.Layer) -> keras.Layer:
    """The same layer, not built, with a bias."""
    return rebuilt(layer, lambda old: remade(old, use_bias=True))


def copy_masks(old: keras.Layer, new: keras.Layer) -> None:
    """Gives a layer the masks of the one that it stands for, if that has any."""
    if isinstance(old, Masked):
        new.set_masks({key: mask.numpy() for key, mask in old.masks.items()})
