"""`swap_norm`: replace the normalization of any Sequential or Functional model."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import keras

from tfticket.cloning import Copy, clone, require_graph, warn_of_plain_class
from tfticket.errors import ModelError
from tfticket.internals import flat_layers, to_snake_case
from tfticket.norms.catalog import Norm, axis_of, groups_of, is_norm, kind_of, own_norms
from tfticket.norms.graph import (
    Graph,
    can_standardize,
    copy_masks,
    is_standardized,
    lacks_bias,
    unmasked,
    with_bias,
    with_plain_weights,
    with_standardized_weights,
)
from tfticket.norms.transfer import (
    Carried,
    Replacement,
    carried_options,
    carry_weights,
    match_outputs,
    variables_of,
)
from tfticket.state import known_class, named_layers, named_variables, stable_name
from tfticket.wording import brief_repr

Where = str | Iterable[str] | Callable[[str, keras.Layer], bool] | None
"""The norms to swap: glob patterns of keys, or a function of key and layer; all if None."""

_INSTEAD = (
    "A subclassed model has no graph to put other layers into: let its constructor take the norm, "
    "for instance as a `tfticket.norms.Norm`, and build it anew."
)


class Swapped(NamedTuple):
    """A model with other norms, and a report of the swap."""

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
    """Copy a model with another kind of normalization.

    Works for Sequential and Functional models, with nested models and shared layers, and for any
    norm of the catalog or of Keras. Weights that mean the same in both norms are carried over
    (scale and shift; moving statistics among kinds that share them), and so are settings such as
    epsilon, momentum and `scale=False`, unless an option overrides them. All other weights, and
    masks, stay bit-identical. A compiled model gives a compiled copy with a fresh optimizer.

    Outputs change, and the copy has to be trained, except among `batch`, `batch_renorm`,
    `frozen_batch`, `sync_batch` and `noisy_batch` at inference. With inputs to `match`, outputs of
    a trained network change less, and there is less to learn again. Without, measure new moving
    statistics by `tfticket.statistics.recalibrate`. From Keras' BatchNormalization to `batch` it is
    the same norm, with faster training.

    With `ws_group`, convolutions right before a norm get standardized weights; swapped for another
    kind, they lose them again. With `none`, an `Identity` of the same name takes the norm's place,
    so that a norm can be put back: choose it with `where`.

    Args:
        model: A built model; it isn't changed.
        to: A kind of the catalog, see `tfticket.norms.NORMS`.
        where: The norms to swap: glob patterns of their keys (`block1_*`, `*/bn`), or a function of
            key and layer; all if None.
        match: Some hundred inputs of the training data, as the model takes them: scale and shift of
            the new norms are chosen to give each channel its mean and deviation in the model, see
            `tfticket.norms.transfer`. If None, weights are only copied.
        add_bias: With `to="none"`: give a bias, which begins as the norm's shift, to the layer
            before the norm if it has none and no other layer reads its output. The model could not
            shift anything otherwise.
        **options: Options of the kind, such as `groups=16`, for all swapped norms.

    Returns:
        The model, and a report by layer.

    Raises:
        ModelError: for a subclassed model, an unknown kind or option, and when there is no norm to
            swap.

    Example:
        >>> from tfticket.models import resnet20
        >>> model, report = swap_norm(resnet20((16, 16, 3), 10), "group", groups=4)
        >>> report.layers[0].old, report.layers[0].new, report.layers[0].groups
        ('batch', 'group', 4)
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
    report = SwapReport(tuple(rows[key] for key in chosen), tuple(closed), own_norms(model))
    return Swapped(copy.model, report)


def _chosen(
    model: keras.Model, graph: Graph, where: Where
) -> tuple[dict[str, keras.Layer], list[str]]:
    """Return the norms to swap by key, and the keys of those that aren't in a graph."""
    in_graph = {id(layer) for layer in graph.layers}
    found, closed = {}, []
    for key, layer in named_layers(model).items():
        # An Identity may be anything; it stands for a norm only when it is asked for.
        placeholder = where is not None and type(layer) is keras.layers.Identity
        if id(layer) in in_graph and (is_norm(layer) or placeholder):
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
        own = [f" `{key}` is left: {why}." for key, why in own_norms(model).items()]
        raise ModelError(
            f"There must be a norm to swap. Received: {model.name!r}, where none is chosen of "
            f"{sorted(found)}; {len(closed)} more are inside layers that can't be opened."
            + "".join(own)
        )
    return chosen, closed


@dataclass(frozen=True)
class _Change:
    """Change of a layer before a norm, a label of it, and the shift that becomes its bias."""

    make: Callable[[keras.Layer], keras.Layer]
    label: str
    shift: keras.Variable | None = None


def _changes(
    norms: Iterable[keras.Layer], graph: Graph, to: str, *, add_bias: bool
) -> dict[int, list[_Change]]:
    """Return the changes by the id of a layer, in their order."""
    changes: dict[int, list[_Change]] = {}
    standardizes = Norm(to).standardizes_weights
    for norm in norms:
        for layer in {id(layer): layer for layer in graph.before(norm)}.values():
            found = changes.setdefault(id(layer), [])
            if found:
                continue  # it feeds several of them
            if standardizes and can_standardize(layer):
                found.append(_Change(with_standardized_weights, "standardized weights"))
            if not standardizes and is_standardized(layer):
                found.append(_Change(with_plain_weights, "plain weights"))
            alone = all(reader is norm for reader in graph.after(layer))
            if to == "none" and add_bias and alone and lacks_bias(layer):
                found.append(_Change(with_bias, "bias", variables_of(norm).get("beta")))
    return changes


def _replacement(
    old: keras.Layer, to: str, graph: Graph, taken: set[str], options: dict[str, Any]
) -> keras.Layer:
    """Build the new norm for an old one; see `carried_options`."""
    if to == "none":
        name = _free_name(old, keras.layers.Identity, taken)
        return keras.layers.Identity(name=name, dtype=old.dtype_policy.name)
    norm = Norm(to, {**carried_options(old, to), **options})
    channels = _channels(old, graph)
    name = _free_name(old, known_class(norm.layer(channels)), taken)
    return norm.layer(channels, name=name)


def _free_name(old: keras.Layer, new_class: type, taken: set[str]) -> str:
    """Return the old name; an automatic one gets the name of the new class."""
    before, after = (to_snake_case(kind.__name__) for kind in (known_class(old), new_class))
    name: str = old.name
    if stable_name(old) == before != after:
        name = after + old.name.removeprefix(before)
        while name in taken:
            name += "_swapped"
    taken.add(name)
    return name


def _copy_weights(old: keras.Layer, new: keras.Layer, changes: Sequence[_Change]) -> None:
    theirs = variables_of(old)
    for key, variable in variables_of(new).items():
        if key in theirs:
            variable.assign(theirs[key].value)
    for change in changes:
        if change.shift is not None and unmasked(new).bias.shape == change.shift.shape:
            unmasked(new).bias.assign(change.shift.value)
    copy_masks(old, new)


def _row(
    key: str, norm: Replacement, to: str, graph: Graph, changes: dict[int, list[_Change]]
) -> SwappedLayer:
    old = norm.old
    before = {layer.name: layer for layer in graph.before(old)}
    standardized = any(is_standardized(layer) for layer in before.values())
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


@dataclass(frozen=True)
class SwappedLayer:
    """One norm that was swapped.

    Attributes:
        key: Its key in the model.
        old: Its kind; the name of its class if the catalog doesn't have it.
        new: The kind of the new norm.
        channels: Number of channels.
        groups: Number of groups of the new norm; None if it has no groups.
        weights: Variables that were kept, dropped, and added.
        before: Changes of the layers before it: `conv1: bias`.
    """

    key: str
    old: str
    new: str
    channels: int
    groups: int | None
    weights: Carried
    before: tuple[str, ...]


@dataclass(frozen=True)
class SwapReport:
    """Report of `swap_norm`.

    Attributes:
        layers: The norms that were swapped, in the order of the model.
        closed: Keys of norms inside layers that can't be opened, such as `TimeDistributed` or a
            custom layer; they are unchanged.
        left: See `own_norms`; they are unchanged.
    """

    layers: tuple[SwappedLayer, ...]
    closed: tuple[str, ...]
    left: Mapping[str, str] = field(default_factory=dict)

    @property
    def needs_statistics(self) -> bool:
        """True if moving statistics are new: measure them by `tfticket.statistics.recalibrate`."""
        return any(
            name.startswith("moving_") for layer in self.layers for name in layer.weights.new
        )

    def rows(self) -> list[tuple[str, ...]]:
        """Return a row of texts a norm: key, kinds, channels, groups, weights, changes before."""
        return [
            (
                layer.key,
                f"{layer.old} -> {layer.new}",
                f"{layer.channels} channels",
                "" if layer.groups is None else f"{layer.groups} groups",
                *(
                    f"{word} {', '.join(names)}" if names else ""
                    for word, names in layer.weights._asdict().items()
                ),
                "; ".join(layer.before),
            )
            for layer in self.layers
        ]

    def __str__(self) -> str:
        return "\n".join("  ".join(filter(None, row)) for row in self.rows())

    __repr__ = brief_repr
