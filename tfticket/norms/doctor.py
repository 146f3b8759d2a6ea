"""`diagnose`: what is likely to go wrong with the normalization of a model, and what to do."""

from __future__ import annotations

import math
from collections.abc import Iterator

import keras

from tfticket.errors import ModelError
from tfticket.norms.checks import CHECKS, small_batches
from tfticket.norms.findings import SEVERITIES, Finding, PlacedNorm
from tfticket.norms.graph import Graph
from tfticket.norms.kinds import axis_of, is_norm, kind_of, why_unknown
from tfticket.state import named_layers, named_variables


def diagnose(model: keras.Model, *, batch_size: int | None = None) -> list[Finding]:
    """Looks for known mistakes in a model's normalization.

    Nothing is run and nothing changed. In a subclassed model the layers are seen, but not what
    stands before them.

    Args:
        model: A built model of any class.
        batch_size: Examples in a batch of training on one device; what depends on it isn't looked
            for when it is None.

    Returns:
        The findings, the worst first; empty when there is nothing to complain of.

    Raises:
        ModelError: when the model isn't built, or `batch_size` is below 1.

    Example:
        >>> [finding.code for finding in diagnose(model, batch_size=2)]
        ['small-batch']
    """
    if batch_size is not None and batch_size < 1:
        raise ModelError(f"`batch_size` must be at least 1. Received: batch_size={batch_size}.")
    named_variables(model)  # says so when there are none yet
    norms = list(_norms(model))
    found = list(_unknown(model))
    found += [] if batch_size is None else small_batches(norms, batch_size)
    for check in CHECKS:
        found += check(norms)
    return sorted(found, key=lambda finding: SEVERITIES.index(finding.severity))


def _unknown(model: keras.Model) -> Iterator[Finding]:
    """Children of norms that do more than their parents, which nothing else is said of."""
    for key, layer in named_layers(model).items():
        why = why_unknown(layer)
        if why is not None:
            yield Finding(
                "own-norm",
                "note",
                (key,),
                f"Nothing else is said of it: {why}.",
                "put what it does beside normalizing into a layer of its own",
            )


def _norms(model: keras.Model) -> Iterator[PlacedNorm]:
    graph = Graph(model)
    for key, layer in named_layers(model).items():
        if is_norm(layer) and layer.built:
            shape = tuple(layer.get_build_config()["input_shape"])
            axis = axis_of(layer) % len(shape)
            sizes = [size for place, size in enumerate(shape) if place not in (0, axis)]
            before = tuple(graph.before(layer))
            yield PlacedNorm(
                key=key,
                layer=layer,
                kind=kind_of(layer),
                channels=int(shape[axis]),
                positions=None if None in sizes else math.prod(sizes),
                before=before,
                read_alone=all(len(graph.after(source)) == 1 for source in before),
                inputs=tuple(graph.inputs(layer)),
                training=tuple(graph.arguments_around(layer, "training")),
            )
