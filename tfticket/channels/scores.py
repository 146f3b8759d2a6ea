"""Scores of units: pure functions to an array with one number for each; higher scores are kept.

A unit is a channel with all of its slices: `ChannelGroup`. Scores compare over all layers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from tfticket.errors import ModelError
from tfticket.sparsity.channel_group import ChannelGroup, Slot
from tfticket.sparsity.channels import Channels, rescaled
from tfticket.sparsity.mask import Mask

Arrays = Mapping[str, np.ndarray]
UnitScore = Callable[[Sequence[ChannelGroup], Arrays, Arrays], np.ndarray]


def magnitude(
    groups: Sequence[ChannelGroup], weights: Arrays, gradients: Arrays | None = None
) -> np.ndarray:
    """Score units by the mean magnitude of the weights that make them, relative to their layer.

    Source: Li et al. (2017, arXiv:1608.08710), section 3.1; see `sparsity.Channels`.

    Args:
        groups: The units.
        weights: Key to weights.
        gradients: Not used.

    Returns:
        Scores, shape (units,), of mean square 1 in each layer.

    Example:
        >>> groups = [ChannelGroup(f"a:{n}", (Slot("a", 1, (n,)),), ()) for n in (0, 1)]
        >>> magnitude(groups, {"a": np.array([[1.0, -7.0]])}).round(1).tolist()
        [0.2, 1.4]
    """
    needed = {slot.key for group in groups for slot in group.slots}
    magnitudes = {key: np.abs(weights[key]) for key in needed}
    structure = Channels(groups)
    by_home = structure.unit_scores(
        magnitudes, Mask.ones({key: array.shape for key, array in magnitudes.items()})
    )
    scores = np.zeros(len(groups))
    for home, numbers in homes_of(groups).items():
        scores[numbers] = by_home[home]
    return scores


def l1_norm(
    groups: Sequence[ChannelGroup], weights: Arrays, gradients: Arrays | None = None
) -> np.ndarray:
    """Score units by the sum of |w| over all of their slices, relative to their layer.

    The slices are those of the kernels that make the unit and of those that read it.

    Source: Fang et al. (2023, arXiv:2301.12900), section 3.3, for norms of whole groups.

    Args:
        groups: The units.
        weights: Key to weights.
        gradients: Not used.

    Returns:
        Scores, shape (units,), of mean square 1 in each layer.

    Example:
        >>> made, read = Slot("a", 1, (0,)), Slot("b", 0, (0,))
        >>> group = ChannelGroup("a:0", (made,), (read,))
        >>> l1_norm([group], {"a": np.array([[3.0]]), "b": np.array([[-4.0]])}).tolist()
        [1.0]
    """
    sums = _sums(groups, {key: np.abs(array) for key, array in weights.items()}, _all)
    return _by_layer(groups, sums)


def l2_norm(
    groups: Sequence[ChannelGroup], weights: Arrays, gradients: Arrays | None = None
) -> np.ndarray:
    """Score units by the root of the sum of w^2 over all of their slices, relative to their layer.

    Source: as for `l1_norm`.

    Args:
        groups: The units.
        weights: Key to weights.
        gradients: Not used.

    Returns:
        Scores, shape (units,), of mean square 1 in each layer.

    Example:
        >>> groups = [ChannelGroup(f"a:{n}", (Slot("a", 1, (n,)),), ()) for n in (0, 1)]
        >>> l2_norm(groups, {"a": np.array([[1.0, -7.0]])}).round(1).tolist()
        [0.2, 1.4]
    """
    sums = _sums(groups, {key: np.square(array) for key, array in weights.items()}, _all)
    return _by_layer(groups, np.sqrt(sums))


def taylor(
    groups: Sequence[ChannelGroup], weights: Arrays, gradients: Arrays | None = None
) -> np.ndarray:
    """Score units by the squared first-order change of the loss when they are set to zero.

    That is (sum of g w)^2 over the weights that read the unit, with g = dL/dw of a batch: the
    squared gradient of a gate that the unit's output is multiplied by.

    Source: Molchanov et al. (2019, arXiv:1906.10771), equation 8, with its gates of section 3.2.

    Args:
        groups: The units.
        weights: Key to weights.
        gradients: Key to the gradient of the loss.

    Returns:
        Scores, shape (units,), in squared units of the loss.

    Raises:
        ModelError: without gradients.

    Example:
        >>> made, read = Slot("a", 1, (0,)), Slot("b", 0, (0,))
        >>> group = ChannelGroup("a:0", (made,), (read,))
        >>> weights, gradients = {"b": np.array([[3.0, 1.0]])}, {"b": np.array([[1.0, -1.0]])}
        >>> taylor([group], weights, gradients).tolist()
        [4.0]
    """
    if not gradients:
        raise ModelError(
            "The score 'taylor' needs gradients, and no data were given. Pass "
            "batches=[(x, y), ...], a few batches of training data."
        )
    products = {key: weights[key].astype(np.float64) * g for key, g in gradients.items()}
    change = _sums(groups, products, lambda group: group.consumed)
    squared: np.ndarray = change * change
    return squared


def scale(
    groups: Sequence[ChannelGroup], weights: Arrays, gradients: Arrays | None = None
) -> np.ndarray:
    """Score units by |gamma| of the batch normalization behind them.

    Of several (branches that are added) the mean counts.

    Source: Liu et al. (2017, arXiv:1708.06519), section 3; they train with an L1 penalty on gamma
    (`gamma_regularizer="l1"`), without which the scales tell less.

    Args:
        groups: The units.
        weights: Key to weights.
        gradients: Not used.

    Returns:
        Scores, shape (units,); NaN for units without one, which stay.

    Example:
        >>> made, gamma = Slot("a", 1, (0,)), Slot("norm/gamma", 0, (0,))
        >>> group = ChannelGroup("a:0", (made,), (), scaled=(gamma,))
        >>> scale([group], {"norm/gamma": np.array([-2.0])}).tolist()
        [2.0]
    """
    sums = _sums(
        groups, {key: np.abs(array) for key, array in weights.items()}, lambda group: group.scaled
    )
    counts = np.array([sum(len(slot.indices) for slot in group.scaled) for group in groups])
    scores: np.ndarray = np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)
    return scores


UNIT_SCORES: dict[str, UnitScore] = {
    "magnitude": magnitude,
    "l1_norm": l1_norm,
    "l2_norm": l2_norm,
    "taylor": taylor,
    "scale": scale,
}


def homes_of(groups: Sequence[ChannelGroup]) -> dict[str, np.ndarray]:
    """Map the key of each layer to the places of its units among all."""
    homes: dict[str, list[int]] = {}
    for place, group in enumerate(groups):
        homes.setdefault(group.home, []).append(place)
    return {home: np.array(places) for home, places in homes.items()}


def _all(group: ChannelGroup) -> Iterable[Slot]:
    return group.slots


def _sums(
    groups: Sequence[ChannelGroup],
    arrays: Arrays,
    slots_of: Callable[[ChannelGroup], Iterable[Slot]],
) -> np.ndarray:
    """Sum the entries of arrays over some slots of each unit, float64."""
    along: dict[tuple[str, int], Any] = {}
    sums = np.zeros(len(groups))
    for place, group in enumerate(groups):
        for slot in slots_of(group):
            if (slot.key, slot.axis) not in along:
                array = arrays[slot.key]
                others = tuple(axis for axis in range(array.ndim) if axis != slot.axis)
                along[slot.key, slot.axis] = np.sum(array, axis=others, dtype=np.float64)
            sums[place] += along[slot.key, slot.axis][list(slot.indices)].sum()
    return sums


def _by_layer(groups: Sequence[ChannelGroup], scores: np.ndarray) -> np.ndarray:
    relative = scores.copy()
    for places in homes_of(groups).values():
        relative[places] = rescaled(scores[places], np.ones(len(places), bool))
    return relative
