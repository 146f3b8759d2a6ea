"""`fold_batch_norm`: merge batch normalization into the layer before or behind it."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Any, NamedTuple

import keras
import numpy as np

from tfticket.cloning import Copy, clone, require_graph
from tfticket.layer_kinds import CONVOLUTIONS, DEPTHWISE, LINEAR, SEPARABLE, TRANSPOSED
from tfticket.norms.catalog import axis_of, is_norm, own_norms
from tfticket.norms.graph import Graph, copy_masks, unmasked, with_bias
from tfticket.norms.layers.batch import FrozenBatchNorm
from tfticket.state import named_layers
from tfticket.statistics import KeepsScale

_INSTEAD = "Convert it to TFLite, which folds what it can."


class Folded(NamedTuple):
    """A model for inference.

    Attributes:
        model: With fewer norms.
        folded: Key of each folded norm, and of the layer that it is folded into.
        left: Key of each norm that stayed, and the reason; see `own_norms` too.
    """

    model: keras.Model
    folded: dict[str, str]
    left: dict[str, str]


@dataclass(frozen=True)
class _Fold:
    """A norm that is folded into a layer: from behind it, or from before it."""

    norm: keras.Layer
    layer: keras.Layer
    from_before: bool


def fold_batch_norm(model: keras.Model) -> Folded:
    """Copy a model for inference, with batch normalization folded into its linear layers.

    At inference batch normalization is `a * x + b` by channel, with constants from its moving
    statistics; so are frozen, synchronized, renormalized, noisy and l-p batch norms. It is folded
    into the kernel and bias of the dense, convolutional, depthwise, separable or transposed layer
    right before it, if no other layer reads that layer's output; else into a dense layer or a
    convolution without padding right behind it. Outputs are the same up to rounding. Zeros of a
    pruned kernel stay zeros, and masks stay. Converters to TFLite fold most of this by themselves.

    Args:
        model: A built Sequential or Functional model; it isn't changed.

    Raises:
        ModelError: for a subclassed model.

    Example:
        >>> from tfticket.models import conv2
        >>> small, folded, left = fold_batch_norm(conv2((8, 8, 1), 10, width=0.1, norm="batch"))
        >>> folded["conv1_norm"], left
        ('conv1', {})
    """
    require_graph(model, instead=_INSTEAD)
    graph = Graph(model)
    keys = {id(layer): key for key, layer in named_layers(model).items()}
    folds: dict[int, list[_Fold]] = defaultdict(list)
    gone: dict[int, keras.Layer] = {}
    own, closed = own_norms(model), "it is inside a layer that can't be opened"
    left = {
        key: own.get(key, closed)
        for key, layer in named_layers(model).items()
        if is_norm(layer) or key in own
    }
    for norm in filter(is_norm, graph.layers):
        fold = _fold_of(norm, graph)
        if isinstance(fold, str):
            left[keys[id(norm)]] = fold
        else:
            del left[keys[id(norm)]]
            gone[id(norm)] = fold.layer
            folds[id(fold.layer)].append(fold)

    def convert(layer: keras.Layer, copy: Copy) -> keras.Layer | None:
        if id(layer) in gone:
            return None
        return with_bias(layer) if id(layer) in folds else copy(layer)

    def fill(old: keras.Layer, new: keras.Layer) -> None:
        _write(unmasked(old), unmasked(new), folds[id(old)])
        copy_masks(old, new)

    copy = clone(model, convert, instead=_INSTEAD, fill=fill)
    folded = {keys[norm]: keys[id(layer)] for norm, layer in gone.items()}
    return Folded(copy.model, folded, left)


def _fold_of(norm: keras.Layer, graph: Graph) -> _Fold | str:
    """Return where a norm can be folded, or the reason why it can't."""
    if not isinstance(norm, (keras.layers.BatchNormalization, FrozenBatchNorm, KeepsScale)):
        return "its statistics are those of each example"
    if len(graph.before(norm)) != 1:
        return "it is called in several places"
    before, readers = graph.before(norm)[0], graph.after(norm)
    if len(graph.after(before)) == 1 and _takes_from_behind(before, norm, graph):
        return _Fold(norm, before, from_before=False)
    if len(readers) == 1 and _takes_from_before(readers[0], norm, graph):
        return _Fold(norm, readers[0], from_before=True)
    return "no linear layer stands right before it, or without padding behind it, for it alone"


def _takes_from_behind(operation: Any, norm: keras.Layer, graph: Graph) -> bool:
    layer = unmasked(operation)
    if type(layer) not in LINEAR or len(graph.before(operation)) != 1:
        return False
    return _is_linear(layer) and _channel_axes_agree(layer, norm, graph)


def _takes_from_before(operation: Any, norm: keras.Layer, graph: Graph) -> bool:
    if operation is None or len(graph.before(operation)) != 1:
        return False
    layer = unmasked(operation)
    dense = type(layer) is keras.layers.Dense
    unpadded = type(layer) in CONVOLUTIONS and layer.padding == "valid" and layer.groups == 1
    return (dense or unpadded) and _channel_axes_agree(layer, norm, graph)


def _is_linear(layer: Any) -> bool:
    return layer.activation is None or layer.activation is keras.activations.linear


def _channel_axes_agree(layer: Any, norm: keras.Layer, graph: Graph) -> bool:
    rank = len(graph.input_shape(norm))
    dense = isinstance(layer, keras.layers.Dense)
    last = dense or layer.data_format == "channels_last"
    return axis_of(norm) % rank == (rank - 1 if last else 1)


def _write(theirs: Any, ours: Any, folds: list[_Fold]) -> None:
    """Set kernel and bias of a layer for the norm before it, then for the one behind it."""
    separable = isinstance(theirs, SEPARABLE)
    name = "pointwise_kernel" if separable else "kernel"
    kernel = _exact(getattr(theirs, name))
    bias = _exact(theirs.bias) if theirs.use_bias else np.zeros(ours.bias.shape)
    for fold in sorted(folds, key=lambda fold: not fold.from_before):
        factor, shift = _constants(fold.norm)
        if fold.from_before:
            bias = bias + (kernel * shift[:, None]).reshape(-1, len(bias)).sum(0)
            kernel = _times(kernel, factor[:, None])
        else:
            bias = bias * factor + shift
            kernel = _times(kernel, _by_output(theirs, factor))
    if separable:
        ours.depthwise_kernel.assign(theirs.depthwise_kernel.value)
    getattr(ours, name).assign(kernel)
    ours.bias.assign(bias)


def _constants(norm: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return a and b of a norm's `a * x + b`, float64, shape (channels,)."""
    if isinstance(norm, KeepsScale):
        factor = 1.0 / _exact(norm.moving_scale)
    else:
        factor = 1.0 / np.sqrt(_exact(norm.moving_variance) + norm.epsilon)
    factor = factor * _exact(norm.gamma) if norm.scale else factor
    shift = -factor * _exact(norm.moving_mean)
    return factor, shift + _exact(norm.beta) if norm.center else shift


def _by_output(layer: Any, factor: np.ndarray) -> np.ndarray:
    """Reshape factors of the outputs to broadcast against the layer's kernel."""
    if isinstance(layer, DEPTHWISE):
        return factor.reshape(layer.kernel.shape[-2:])
    return factor[:, None] if isinstance(layer, TRANSPOSED) else factor


def _times(kernel: np.ndarray, factor: np.ndarray) -> np.ndarray:
    return np.where(kernel == 0, 0.0, kernel * factor)  # a zero stays without a sign


def _exact(variable: keras.Variable) -> np.ndarray:
    return np.asarray(variable.numpy(), np.float64)
