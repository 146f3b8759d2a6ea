"""Match the channels of two networks of one architecture, and permute weights and masks by it.

The channels of a hidden layer can change places without a change of the outputs, if all weights
that make and read them follow. So two trained networks are compared up to such permutations.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, get_args

import keras
import numpy as np
from scipy.optimize import linear_sum_assignment

from tfticket.channels.flow import Flow
from tfticket.channels.roles import Role
from tfticket.errors import ModelError
from tfticket.seeds import generator
from tfticket.state import Snapshot, named_variables, unused
from tfticket.wording import brief_repr, check_name

MatchBy = Literal["weights", "activations"]
"""Criterion by which the channels of two networks are compared."""

_MOST_PASSES = 100


class _Place(NamedTuple):
    """Where channels stand on one axis of one variable.

    Attributes:
        key: Key of the variable.
        axis: The axis.
        indices: Shape (times, channels): each may stand there several times, as after `Flatten`.
    """

    key: str
    axis: int
    indices: np.ndarray


@dataclass(frozen=True, eq=False)
class ChannelSet:
    """Channels that can change places with one another: those of a layer, in most networks.

    Attributes:
        name: Key of the first weight that makes them.
        numbers: Their numbers in `Flow`, rising, shape (channels,).
        places: Everywhere in the variables of the network where they stand.
    """

    name: str
    numbers: np.ndarray
    places: tuple[_Place, ...]

    __repr__ = brief_repr


@dataclass(frozen=True, eq=False, repr=False)
class Permutation:
    """Permutation of the channels of a network, which leaves its outputs as they are.

    Attributes:
        sets: The channels that can change places.
        orders: Name of a set to the channel that moves to each place, int, shape (channels,).

    Example:
        >>> hidden, out = keras.layers.Dense(2, name="hidden"), keras.layers.Dense(1, name="out")
        >>> model = keras.Sequential([keras.Input((1,)), hidden, out])
        >>> swap = Permutation(interchangeable(model), {"hidden/kernel": np.array([1, 0])})
        >>> swap.apply({"hidden/kernel": np.array([[5.0, 7.0]])})["hidden/kernel"].tolist()
        [[7.0, 5.0]]
    """

    sets: tuple[ChannelSet, ...]
    orders: Mapping[str, np.ndarray]

    def __repr__(self) -> str:
        return f"Permutation({', '.join(f'{k}: {len(order)}' for k, order in self.orders.items())})"

    def apply(self, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Permute weights, or the arrays of a mask; the values themselves stay the same.

        Args:
            arrays: Key to array; keys of other variables are passed on unchanged.

        Raises:
            ModelError: when an array has another number of channels.
        """
        moved = dict(arrays)
        for channels in self.sets:
            for place in channels.places:
                if place.key in moved:
                    array = moved[place.key]
                    moved[place.key] = _permuted(array, place, self.orders[channels.name])
        return moved


def _permuted(array: np.ndarray, place: _Place, order: np.ndarray) -> np.ndarray:
    size = np.shape(array)[place.axis] if np.ndim(array) > place.axis else 0
    if size <= place.indices.max():
        raise ModelError(
            f"`{place.key}` has the shape {np.shape(array)}, without all of the "
            f"{len(order)} channels on axis {place.axis}. A permutation applies to arrays of the "
            "network that it was found for."
        )
    index = np.arange(size)
    index[place.indices] = place.indices[:, order]
    return np.take(array, index, axis=place.axis)


def interchangeable(model: keras.Model) -> tuple[ChannelSet, ...]:
    """List the sets of channels of a model that can change places.

    Channels of inputs and outputs can't, nor those next to an operation without weights that treats
    them differently: they stay where they are.

    Args:
        model: A built Sequential or Functional model.

    Raises:
        ModelError: for a subclassed model; for layers that are called several times, or of which it
            isn't known how their weights carry channels; when no channels can change places.

    Example:
        >>> model = keras.Sequential(
        ...     [keras.Input((8, 8, 1)), keras.layers.Conv2D(3, 3), keras.layers.Flatten(),
        ...      keras.layers.Dense(4)]
        ... )
        >>> [(place.key, place.axis) for place in interchangeable(model)[0].places]
        [('conv2d/kernel', 3), ('conv2d/bias', 0), ('dense/kernel', 0)]
    """
    flow = Flow(model)
    _refuse_unknown(flow)
    names = {id(variable): key for key, variable in named_variables(model).items()}
    axes: list[tuple[str, int, np.ndarray]] = []
    seen: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for step in flow.steps:
        units = flow.units(step) if step.rule else {}
        for variable, named in step.rule.variables(step.operation) if step.rule else ():
            for axis, each in enumerate(named):
                if each is not None:
                    numbers = each.spread(units[each.name])
                    for number, times in zip(*np.unique(numbers, return_counts=True), strict=True):
                        seen[int(number)].append((len(axes), int(times)))
                    axes.append((names[id(variable)], axis, numbers))
    fixed = set(flow.fixed.tolist())
    alike: dict[tuple[tuple[int, int], ...], list[int]] = defaultdict(list)
    for number, found in seen.items():
        if number not in fixed:
            alike[tuple(found)].append(number)
    sets: dict[str, ChannelSet] = {}
    for where, members in alike.items():
        if len(members) > 1:
            numbers = np.sort(members)
            places = tuple(_place(*axes[each], numbers) for each, _ in where)
            name = unused(places[0].key, sets)
            sets[name] = ChannelSet(name, numbers, places)
    if not sets:
        raise ModelError(
            f"The channels of {model.name!r} can't change places: all of them are inputs or "
            "outputs, or seen by an operation that treats them differently. Matching needs a "
            "hidden layer of two channels or more."
        )
    return tuple(sets.values())


def _place(key: str, axis: int, numbers: np.ndarray, members: np.ndarray) -> _Place:
    indices = np.flatnonzero(np.isin(numbers, members))
    by_member = indices[np.argsort(numbers[indices], kind="stable")]
    return _Place(key, axis, by_member.reshape(len(members), -1).T)


def _refuse_unknown(flow: Flow) -> None:
    """Refuse layers whose weights would have to follow in a way that isn't known."""
    unknown = [s.operation for s in flow.steps if s.role is Role.OPAQUE]
    weighty = [each for each in unknown if getattr(each, "weights", None)]
    if not weighty:
        return
    layer = weighty[0]
    shared = sum(each is layer for each in weighty) > 1
    why = "is called several times" if shared else "carries channels in a way that isn't known"
    raise ModelError(
        f"The channels of the model can't be matched: {layer.name!r} of the class "
        f"{type(layer).__name__} {why}. Each layer with weights must be called once and have a rule"
        " for its channels. "
        + (
            "Use a layer for each call."
            if shared
            else "Give a layer of your own one by `channels.register_rule`; rebuild a nested model "
            "as one graph."
        )
    )


def match_channels(
    first: keras.Model,
    second: keras.Model,
    *,
    by: MatchBy = "weights",
    inputs: Any = None,
    seed: int = 0,
) -> Permutation:
    """Find the permutation that brings the channels of the second model closest to the first.

    By weights, the inner product of all trainable weights of the first model and the permuted
    second one is maximized: set by set a linear assignment, given the order of all others, in
    random order, until nothing changes. By activations, the correlation of the outputs of the
    layers that make the channels is maximized, before an activation that is a layer of its own.

    Source: Ainsworth et al. (2023, "Git Re-Basin", arXiv:2209.04836), section 3.2 (algorithm 1) and
    section 3.1; with correlations as Li et al. (2016, arXiv:1511.07543).

    Args:
        first: A built Sequential or Functional model, usually trained.
        second: A model of the same architecture; it isn't changed.
        by: `weights` or `activations`.
        inputs: A batch of inputs to compare activations on, as the models take it.
        seed: Random seed of the order in which sets are visited.

    Returns:
        The permutation to apply to the weights or a mask of the second model.

    Raises:
        ModelError: when the architectures differ, see also `interchangeable`; when units inside a
            layer, such as heads, would have to be compared by activations.
        ValueError: when `by` isn't known, or activations lack `inputs`.

    Example:
        >>> def network(order):
        ...     model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3, "relu"),
        ...                               keras.layers.Dense(1, use_bias=False)])
        ...     kernels = [[1.0, 2, 3], [6, 5, 4]], [[7.0], [8], [9]]
        ...     made, read = np.array(kernels[0])[:, order], np.array(kernels[1])[order]
        ...     model.set_weights([made, np.zeros(3), read])
        ...     return model
        >>> match_channels(network([0, 1, 2]), network([1, 2, 0])).orders["dense/kernel"].tolist()
        [2, 0, 1]
    """
    check_name("by", by, get_args(MatchBy))
    if (by == "activations") != (inputs is not None):
        raise ValueError(
            "`inputs` are the examples that activations are compared on. Received: "
            f"by={by!r} {'without' if inputs is None else 'with'} `inputs`. "
            + ("Give a batch of them." if inputs is None else "Leave them out.")
        )
    models = (first, second)
    ours, theirs = (Snapshot.capture(m, step=0, optimizer=False).variables for m in models)
    _check_alike(ours, theirs)
    sets = interchangeable(second)
    if by == "weights":
        return match_weights(second, ours, theirs, seed)
    outputs = [_activations(model, inputs) for model in models]
    orders = {}
    for number, channels in enumerate(sets):
        pairs = zip(outputs[0][number], outputs[1][number], strict=True)
        similarity = sum(_standardized(one).T @ _standardized(other) for one, other in pairs)
        orders[channels.name] = linear_sum_assignment(similarity, maximize=True)[1]
    return Permutation(sets, orders)


def match_weights(
    model: keras.Model,
    first: Mapping[str, np.ndarray],
    second: Mapping[str, np.ndarray],
    seed: int = 0,
) -> Permutation:
    """Match by weights, as `match_channels` does, from the weights of two networks.

    Args:
        model: A model of their architecture, whose own weights don't matter.
        first: Key to array, for all variables of one network.
        second: The same of the other.
        seed: Random seed of the order in which sets are visited.
    """
    sets = interchangeable(model)
    learned = {key for key, v in named_variables(model).items() if v.trainable}
    orders = {channels.name: np.arange(len(channels.numbers)) for channels in sets}
    rng = generator(seed, "matching")
    for _ in range(_MOST_PASSES):
        changed = False
        for number in rng.permutation(len(sets)):
            channels = sets[number]
            similarity = _similarity(sets, channels, learned, first, second, orders)
            found = linear_sum_assignment(similarity, maximize=True)[1]
            gain = _chosen(similarity, found) - _chosen(similarity, orders[channels.name])
            if gain > 1e-9 * np.abs(similarity).sum():
                orders[channels.name], changed = found, True
        if not changed:
            break
    return Permutation(sets, orders)


def _chosen(similarity: np.ndarray, order: np.ndarray) -> float:
    return float(similarity[np.arange(len(order)), order].sum())


def _similarity(
    sets: Sequence[ChannelSet],
    own: ChannelSet,
    learned: set[str],
    first: Mapping[str, np.ndarray],
    second: Mapping[str, np.ndarray],
    orders: Mapping[str, np.ndarray],
) -> np.ndarray:
    """Inner products of the slices of each pair of channels, the others permuted as they are now.

    Returns:
        Shape (channels of the first network, channels of the second).
    """
    total = np.zeros((len(own.numbers),) * 2)
    for here in own.places:
        if here.key not in learned:
            continue
        theirs = second[here.key]
        for channels in sets:
            for place in channels.places:
                if place.key == here.key and place.axis != here.axis:
                    theirs = _permuted(theirs, place, orders[channels.name])
        total += _slices(first[here.key], here) @ _slices(theirs, here).T
    return total


def _slices(array: np.ndarray, place: _Place) -> np.ndarray:
    """The weights of each channel as a row."""
    picked: np.ndarray = np.moveaxis(np.asarray(array, np.float64), place.axis, 0)[place.indices]
    return np.moveaxis(picked, 1, 0).reshape(place.indices.shape[1], -1)


def _check_alike(ours: Mapping[str, np.ndarray], theirs: Mapping[str, np.ndarray]) -> None:
    for key in {**ours, **theirs}:
        shapes = [each[key].shape if key in each else None for each in (ours, theirs)]
        if shapes[0] != shapes[1]:
            one, other = (f"shape {shape}" if shape is not None else "absent" for shape in shapes)
            raise ModelError(
                f"`{key}` differs: {one} in the first model, {other} in the second. Models are "
                "matched channel by channel, so they must be of one architecture and of the same "
                "widths."
            )


def _activations(model: keras.Model, inputs: Any) -> list[list[np.ndarray]]:
    """Outputs of the layers that make each set, each of shape (examples, channels).

    Raises:
        ModelError: when units stay inside of a layer.
    """
    flow, sets = Flow(model), interchangeable(model)
    tensors: list[Any] = []
    picks: list[list[tuple[int, np.ndarray]]] = []
    for each in sets:
        picked = []
        for step in flow.steps:
            numbers = flow.channels(step.output)
            if step.role is Role.MIX and np.isin(each.numbers, numbers).all():
                order = np.argsort(numbers)
                places = order[np.searchsorted(numbers, each.numbers, sorter=order)]
                picked.append((len(tensors), places))
                tensors.append(step.output)
        if not picked:
            raise ModelError(
                f"The units that `{each.name}` makes stay inside of a layer, so they have no "
                "outputs to compare. Match by='weights'."
            )
        picks.append(picked)
    given = flow.inputs[0] if len(flow.inputs) == 1 else list(flow.inputs)
    # A single output in a list would come back without it.
    found = keras.Model(given, dict(enumerate(tensors)))(inputs, training=False)
    arrays = [keras.ops.convert_to_numpy(found[n]).astype(np.float64) for n in range(len(tensors))]
    rows = [array.reshape(-1, array.shape[-1]) for array in arrays]
    return [[rows[number][:, places] for number, places in picked] for picked in picks]


def _standardized(outputs: np.ndarray) -> np.ndarray:
    """Mean 0 and norm 1 for each channel; zeros for one that is constant."""
    centered = outputs - outputs.mean(axis=0)
    norms = np.linalg.norm(centered, axis=0)
    found: np.ndarray = np.divide(centered, norms, out=np.zeros_like(centered), where=norms > 0)
    return found
