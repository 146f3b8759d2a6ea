"""Plain `.keras` files: what anyone can load without tfticket."""

from __future__ import annotations

import os
from pathlib import Path

import keras

from tfticket.cloning import clone
from tfticket.internals import get_keras_mask
from tfticket.models import save_file
from tfticket.norms.graph import Graph
from tfticket.norms.layers import GroupNorm, plain_layer
from tfticket.sparsity.convert import strip


def save_keras(model: keras.Model, path: str | os.PathLike[str]) -> Path:
    """Write a model as a `.keras` file to predict with, whole or not at all.

    It holds no wrappers, but their zeros, and no optimizer or loss; normalization layers of
    tfticket become those of Keras that predict the same (`plain_layer`). So nothing of tfticket is
    needed to load it, but for a `FilterResponseNorm`, which Keras doesn't have.

    Args:
        model: A built Sequential or Functional model, sparsified or plain. It isn't changed.
        path: Where to write; must end in `.keras`.

    Raises:
        ModelError: when the name ends in something else, or for a subclassed model.
        RunError: when the file can't be written.

    Example:
        >>> from tfticket import sparsify
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
        >>> save_keras(sparsify(model), "net.keras").name
        'net.keras'
    """
    stripped = strip(model)
    plain = clone(
        stripped,
        lambda layer, copy: plain_layer(layer) or copy(layer),
        instead="Rebuild it.",
        same=not _groups_heed_masks(stripped),
    ).model
    plain.compiled, plain.optimizer = False, None  # Keras has no option to leave them out
    return save_file(plain, path)


def _groups_heed_masks(model: keras.Model) -> bool:
    """Tell whether a mask changes a group norm's outputs: that of Keras counts masked positions."""
    graph = Graph(model)
    groups = [layer for layer in graph.layers if isinstance(layer, GroupNorm)]
    return any(get_keras_mask(x) is not None for layer in groups for x in graph.inputs(layer))
