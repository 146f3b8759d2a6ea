"""`swap_norm`: another normalization in any Sequential or Functional model."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import keras

from tfticket.cloning import Copy, clone, require_graph, warn_of_plain_class
from tfticket.errors import ModelError
from tfticket.internals import flat_layers, to_snake_case
from tfticket.norms import neighbors
from tfticket.norms.catalog import Norm
from tfticket.norms.graph import Graph, unmasked
from tfticket.norms.kinds import axis_of, groups_of, is_norm, kind_of, why_unknown
from tfticket.norms.matching import Replacement, match_outputs
from tfticket.norms.swap_report import SwappedLayer, SwapReport
from tfticket.norms.transfer import carried_options, carry_weights
from tfticket.state import (
    known_class,
    named_layers,
    named_variables,
    stable_name,
    variable_owners,
)

Where = str | Iterable[str] | Callable[[str, keras.Layer], bool] | None
"""Glob patterns of keys, or a function of key and layer that says which norms to swap."""

_INSTEAD = (
    "A subclassed model has no graph to put other layers into: let its constructor take the norm, "
    "for instance as a `tfticket.norms.Norm`, and build it anew."
)


class Swapped(NamedTuple):
    """A model with other norms, and what became of the old ones."""

    model: keras.Model
    report: SwapReport


def swap_norm(
    model: keras.Model,
    to: str,
    *,
    where: Where = None,
    match: Any = None,
    add_bias: bool = True,
    **options: Any,
) -> Swapped:
    """A copy of a model with another kind of normalization.

    Works for Sequential and Functional models, nested ones and shared layers too, and for any norm
    of the catalog or of Keras. Weights that mean the same in both norms are carried over (scale and
    shift; moving statistics among kinds that have them in common), and so are settings such as
    epsilon, momentum and `scale=False`, unless an option says otherwise. All other weights, and
    masks, stay bit for bit. A compiled model gives a compiled copy with a fresh optimizer.

    The copy does *not* compute what the model did, except among `batch`, `batch_renorm`,
    `frozen_batch`, `sync_batch` and `noisy_batch` at inference: it has to be trained. With inputs
    to `match` a trained network stays close to what it was, and has less to learn again. Without,
    `tfticket.statistics.recalibrate` measures moving statistics where they are new.

    From Keras' BatchNormalization to `batch` it is the same norm, trained in less time.

    With `ws_group`, convolutions right before a norm get standardized weights; when it is swapped
    for another kind they lose them again. With `none`, an `Identity` of the same name takes the
    norm's place, so that a norm can be put back: choose it with `where`.

    Args:
        model: A built model; it isn't changed.
        to: A kind of the catalog, see `tfticket.norms.NORMS`.
        where: Which norms: glob patterns of their keys (`block1_*`, `*/bn`), or a function of key
            and layer; all when None.
        match: Some hundred inputs of the training data, as the model takes them: scale and shift of
            the new norms become those that give each channel the mean and the deviation that it
            has in the model; see `tfticket.norms.matching`. Weights are only copied when None.
        add_bias: With `to="none"`: give a bias, which begins as the norm's shift, to the layer
            before the norm when it has none and nobody else reads its output. The model could not
            shift anything otherwise.
        **options: Of the kind, such as `groups=16`; for all swapped norms.

    Returns:
        The model, and a report by layer.

    Raises:
        ModelError: for a subclassed model, an unknown kind or option, and when nothing is there to
            be swapped.

    Example:
        >>> model, report = swap_norm(resnet, "group", groups=16)
    """
    require_graph(model, instead=_INSTEAD)
    named_variables(model)  # says so when the model isn't built
    Norm(to, options)  # says so when there is no such kind or option
    graph = Graph(model)
    chosen, closed = _chosen(model, graph, where)
    keys = {id(layer): key for key, layer in chosen.items()}
    changes = _changes(chosen.values(), graph, to, add_bias=add_bias)
    taken = {layer.name for layer in flat_layers(model)}

    norms: list[Replacement] = []

    def convert(layer: keras.Layer, copy: Copy) -> keras.Layer:
        if id(layer) in keys:
            return _replacement(layer, to, graph, taken, options)
        if not changes.get(id(layer)):
            return copy(layer)
        for change in changes[id(layer)]:
            layer = change.make(layer)
        return layer

    def fill(old: keras.Layer, new: keras.Layer) -> None:
        if id(old) in keys:
            norms.append(Replacement(old, new, carry_weights(old, new)))
        else:
            _copy_weights(old, new, changes[id(old)])

    copy = clone(model, convert, instead=_INSTEAD, fill=fill, same=False)
    warn_of_plain_class(model, copy.model)
    if match is not None:
        match_outputs(model, copy.model, norms, match)
    rows = {
        keys[id(norm.old)]: _row(keys[id(norm.old)], norm, to, graph, changes) for norm in norms
    }
    report = SwapReport(tuple(rows[key] for key in chosen), tuple(closed), _unknown(model))
    return Swapped(copy.model, report)


def _chosen(
    model: keras.Model, graph: Graph, where: Where
) -> tuple[dict[str, keras.Layer], list[str]]:
    """The norms to swap by key, and the keys of those that no graph shows."""
    in_graph = {id(layer) for layer in graph.layers}
    found, closed = {}, []
    for key, layer in named_layers(model).items():
        if id(layer) in in_graph and (is_norm(layer) or _is_placeholder(layer, where)):
            found[key] = layer
        elif is_norm(layer):
            closed.append(key)
    chosen = found
    if callable(where):
        chosen = {key: layer for key, layer in found.items() if where(key, layer)}
    elif where is not None:
        patterns = [where] if isinstance(where, str) else list(where)
        fitting = {pattern: set(fnmatch.filter(found, pattern)) for pattern in patterns}
        for pattern, keys in fitting.items():
            if not keys:
                raise ModelError(
                    "Each pattern of `where` must fit a norm of the model. Received: "
                    f"{pattern!r}, which fits none of {sorted(found)}."
                )
        chosen = {
            key: layer for key, layer in found.items() if key in set().union(*fitting.values())
        }
    if not chosen:
        own = [f" `{key}` is left: {why}." for key, why in _unknown(model).items()]
        raise ModelError(
            f"There must be a norm to swap. Received: {model.name!r}, where none is chosen of "
            f"{sorted(found)}; {len(closed)} more are inside layers that can't be opened."
            + "".join(own)
        )
    return chosen, closed


def _unknown(model: keras.Model) -> dict[str, str]:
    """Key of each child of a norm that does more than its parent, and why it is left."""
    return {key: why for key, layer in named_layers(model).items() if (why := why_unknown(layer))}


def _is_placeholder(layer: keras.Layer, where: Where) -> bool:
    # An Identity may be anything; it stands for a norm only when it is asked for.
    return where is not None and type(layer) is keras.layers.Identity


@dataclass(frozen=True)
class _Change:
    """What becomes of a layer before a norm: how, in a word, and the shift that it takes over."""

    make: Callable[[keras.Layer], keras.Layer]
    label: str
    shift: keras.Variable | None = None


def _changes(
    norms: Iterable[keras.Layer], graph: Graph, to: str, *, add_bias: bool
) -> dict[int, list[_Change]]:
    """By the id of a layer, in the order in which they are made."""
    changes: dict[int, list[_Change]] = {}
    standardizes = Norm(to).standardizes_weights
    for norm in norms:
        for layer in {id(layer): layer for layer in graph.before(norm)}.values():
            found = changes.setdefault(id(layer), [])
            if found:
                continue  # it feeds several of them
            if standardizes and neighbors.can_standardize(layer):
                found.append(_Change(neighbors.with_standardized_weights, "standardized weights"))
            if not standardizes and neighbors.is_standardized(layer):
                found.append(_Change(neighbors.with_plain_weights, "plain weights"))
            alone = all(reader is norm for reader in graph.after(layer))
            if to == "none" and add_bias and alone and neighbors.lacks_bias(layer):
                found.append(_Change(neighbors.with_bias, "bias", _variables(norm).get("beta")))
    return changes


def _replacement(
    old: keras.Layer, to: str, graph: Graph, taken: set[str], options: dict[str, Any]
) -> keras.Layer:
    """A new norm in place of an old one; see `carried_options`."""
    if to == "none":
        name = _free_name(old, keras.layers.Identity, taken)
        return keras.layers.Identity(name=name, dtype=old.dtype_policy.name)
    norm = Norm(to, {**carried_options(old, to), **options})
    channels = _channels(old, graph)
    name = _free_name(old, known_class(norm.layer(channels)), taken)
    return norm.layer(channels, name=name)


def _free_name(old: keras.Layer, new_class: type, taken: set[str]) -> str:
    """The old name; with the class in it replaced when Keras made it up."""
    before, after = (to_snake_case(kind.__name__) for kind in (known_class(old), new_class))
    name = old.name
    if stable_name(old) == before != after:
        name = after + old.name.removeprefix(before)
        while name in taken:
            name += "_swapped"
    taken.add(name)
    return name


def _copy_weights(old: keras.Layer, new: keras.Layer, changes: Sequence[_Change]) -> None:
    theirs = _variables(old)
    for key, variable in _variables(new).items():
        if key in theirs:
            variable.assign(theirs[key].value)
    for change in changes:
        if change.shift is not None and unmasked(new).bias.shape == change.shift.shape:
            unmasked(new).bias.assign(change.shift.value)
    neighbors.copy_masks(old, new)


def _variables(layer: keras.Layer) -> dict[str, keras.Variable]:
    return {key: variable for key, (_, variable) in variable_owners(layer).items()}


def _row(
    key: str, norm: Replacement, to: str, graph: Graph, changes: dict[int, list[_Change]]
) -> SwappedLayer:
    old = norm.old
    before = {layer.name: layer for layer in graph.before(old)}
    standardized = any(neighbors.is_standardized(layer) for layer in before.values())
    return SwappedLayer(
        key=key,
        old="ws_group" if standardized and groups_of(old) is not None else kind_of(old),
        new=to,
        channels=_channels(old, graph),
        groups=groups_of(norm.new),
        weights=norm.weights,
        before=tuple(
            f"{name}: {change.label}"
            for name, layer in before.items()
            for change in changes.get(id(layer), ())
        ),
    )


def _channels(norm: keras.Layer, graph: Graph) -> int:
    channels = graph.input_shape(norm)[axis_of(norm)]
    assert channels is not None  # the norm was built for it
    return channels
