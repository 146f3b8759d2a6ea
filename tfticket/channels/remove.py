"""`remove_units`: take the least important units out of a network."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal

import keras
import numpy as np

from tfticket.channels.flow import Flow
from tfticket.channels.groups import numbered_groups
from tfticket.channels.scores import UNIT_SCORES, UnitScore, homes_of
from tfticket.channels.shrinking import Shrunk, shrink
from tfticket.channels.size import Meter
from tfticket.cloning import in_full_precision
from tfticket.errors import ModelError
from tfticket.sparsity.channel_group import ChannelGroup
from tfticket.sparsity.convert import strip
from tfticket.sparsity.pruner import prune_count
from tfticket.sparsity.saliency import loss_gradients
from tfticket.state import named_variables
from tfticket.wording import check_name, named

Of = Literal["units", "parameters", "multiply_adds"]
Scope = Literal["global", "layerwise"]
Batches = Iterable[tuple[Any, Any]]

_HALVINGS = 30


def remove_units(
    model: keras.Model,
    keep: float,
    *,
    of: Of = "units",
    score: UnitScore | str = "magnitude",
    batches: Batches | None = None,
    scope: Scope = "global",
    multiple_of: int = 1,
    skip: Iterable[str] = (),
) -> Shrunk:
    """Remove the units that score lowest, with all weights that make and read them.

    Units are those of dense layers, channels of convolutions (over residual connections too), the
    heads of attention, units of recurrent layers, and those of your own layers with a rule
    (`register_rule`). See `channel_groups`. At least one unit of each layer stays.

    The smaller model has the outputs of the model whose removed units have zero weights, up to
    rounding, which is checked before it is returned. Those differ from the outputs of the model, so
    train the smaller one further.

    Args:
        model: A built Sequential or Functional model; it isn't changed.
        keep: Share that stays, in (0, 1].
        of: What the share is of: `units`, `parameters` or `multiply_adds`, see `size_of`. Of the
            latter two, as many units go as are needed to keep no more than the share.
        score: `magnitude`, `l1_norm`, `l2_norm`, `taylor` or `scale` (see the functions of
            `tfticket.channels.scores`), or a function of the units, the weights and the gradients.
        batches: Batches of inputs and targets, for scores of gradients; the scores of all are
            averaged. The model must be compiled then.
        scope: `global` lets all units compete, `layerwise` takes the same share of each layer.
        multiple_of: Number that widths are rounded to a multiple of, at least 1: kernels compute
            some widths faster. Layers of fewer than twice as many units aren't rounded.
        skip: Glob patterns of kernels (`block1/*`) whose units stay.

    Returns:
        The smaller model, compiled like the model, and what was removed.

    Raises:
        ModelError: when no unit can be removed, for a subclassed model, or when an argument is out
            of its range.

    Example:
        >>> layers = [keras.layers.Dense(8, name="hidden"), keras.layers.Dense(2, name="out")]
        >>> model = keras.Sequential([keras.Input((4,)), *layers])
        >>> remove_units(model, keep=0.25, score="l2_norm").model.get_layer("hidden").units
        2
    """
    patterns = list(skip)

    def may_go(group: ChannelGroup) -> bool:
        keys = [slot.key for slot in group.produced]
        return not any(fnmatch.filter(keys, pattern) for pattern in patterns)

    check_name("of", of, ("units", "parameters", "multiply_adds"))
    return removed(
        model, keep, of=of, score=score, batches=batches, scope=scope, multiple_of=multiple_of,
        may_go=may_go,
    )  # fmt: skip


def removed(
    model: keras.Model,
    keep: float,
    *,
    of: Of = "units",
    score: UnitScore | str = "magnitude",
    batches: Batches | None = None,
    scope: Scope = "global",
    multiple_of: int = 1,
    may_go: Callable[[ChannelGroup], bool] = lambda group: True,
) -> Shrunk:
    """Do the same among the units that `may_go`, a function, says True of."""
    check_name("scope", scope, ("global", "layerwise"))
    if not 0.0 < keep <= 1.0 or multiple_of < 1:
        raise ModelError(
            f"`keep` must be in (0, 1], `multiple_of` at least 1. Received: {keep}, {multiple_of}"
        )
    function: UnitScore = named("score", score, UNIT_SCORES, Callable, also="a function")  # type: ignore[arg-type]
    copy = in_full_precision(strip(model))
    flow = Flow(copy)
    found = numbered_groups(flow, copy, also=lambda key, variable: True)
    found = {number: group for number, group in found.items() if may_go(group)}
    if not found:
        raise ModelError(
            f"{model.name!r} has no channel left that can be taken out: `skip` fits all kernels."
        )
    groups, numbers = tuple(found.values()), np.array(list(found), np.int64)
    scores = _scored(copy, groups, function, batches)
    choose = _Choice(groups, scores, scope, multiple_of)
    meter = Meter(flow, copy)
    stay = choose.of_units(keep) if of == "units" else choose.of_size(keep, of, meter, numbers)
    if stay.all() and keep < 1.0:
        raise ModelError(
            f"{model.name!r} has no channel left that can be taken out: one of each layer stays."
        )
    _zero(copy, [group for group, kept in zip(groups, stay, strict=True) if not kept])
    return shrink(copy)


def _scored(
    model: keras.Model, groups: Sequence[ChannelGroup], score: UnitScore, batches: Batches | None
) -> np.ndarray:
    weights = {key: variable.numpy() for key, variable in named_variables(model).items()}
    found = [
        score(groups, weights, loss_gradients(model, x, y, also=lambda key, variable: True))
        for x, y in batches or ()
    ] or [score(groups, weights, {})]
    scores: np.ndarray = np.mean(found, axis=0)
    if scores.shape != (len(groups),):
        raise ModelError(
            f"A score returns one number for each unit. Received: an array of shape "
            f"{scores.shape} for {len(groups)} units."
        )
    if np.isnan(scores).all():
        raise ModelError(
            "The score gives no unit a number. `scale` needs batch normalization behind the "
            "units; with others, NaN means that training has diverged. Choose another score, or "
            "train anew."
        )
    return scores


def _zero(model: keras.Model, groups: Iterable[ChannelGroup]) -> None:
    """Set all weights of units to zero."""
    variables = named_variables(model)
    gone: dict[tuple[str, int], list[int]] = {}
    for group in groups:
        for slot in group.slots:
            gone.setdefault((slot.key, slot.axis), []).extend(slot.indices)
    arrays = {key: variables[key].numpy() for key, _ in gone}
    for (key, axis), indices in gone.items():
        np.moveaxis(arrays[key], axis, 0)[indices] = 0.0
    for key, array in arrays.items():
        variables[key].assign(array)


class _Choice:
    """Chooses the units that stay.

    Args:
        groups: The units.
        scores: Their scores; a unit without a number stays.
        scope: See `remove_units`.
        multiple_of: See there.
    """

    def __init__(
        self, groups: Sequence[ChannelGroup], scores: np.ndarray, scope: Scope, multiple_of: int
    ) -> None:
        self._scores = scores
        self._layerwise = scope == "layerwise"
        self._multiple = multiple_of
        every = homes_of(groups)
        # Best first; of equal scores the first is kept.
        self._homes: list[np.ndarray] = []
        for places in every.values():
            ranked = places[np.argsort(-scores[places], kind="stable")]
            self._homes.append(ranked[~np.isnan(scores[ranked])])

    def of_units(self, keep: float) -> np.ndarray:
        """Keep this share of the units; boolean, shape (units,)."""
        if self._layerwise:
            counts = [max(1, _left(keep, len(home))) for home in self._homes]
        else:
            counts = self._competing(keep)
        stay: np.ndarray = np.isnan(self._scores)
        for home, count in zip(self._homes, counts, strict=True):
            stay[home[: self._rounded(count, len(home))]] = True
        return stay

    def of_size(self, keep: float, of: Of, meter: Meter, numbers: np.ndarray) -> np.ndarray:
        """Keep the largest share of the units with no more than a share of the size."""

        def share(stay: np.ndarray) -> float:
            left = getattr(meter.without(numbers[~stay]), of)
            return float(left / getattr(meter.without(numbers[:0]), of))

        low, high = 0.0, 1.0
        best = self.of_units(low)
        if share(best) > keep:
            raise ModelError(
                f"{keep:.1%} of the {of.replace('_', '-')} can't be reached: with one unit of each "
                f"layer, {share(best):.1%} are left. Raise `keep`."
            )
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            stay = self.of_units(middle)
            if share(stay) <= keep:
                low, best = middle, stay
            else:
                high = middle
        return best

    def _competing(self, keep: float) -> list[int]:
        """Count how many of each layer stay when all compete; the best of each does."""
        total = sum(map(len, self._homes))
        free = [(home[1:], place) for place, home in enumerate(self._homes)]
        owners = np.concatenate([np.full(len(rest), place) for rest, place in free])
        scores = np.concatenate([self._scores[rest] for rest, _ in free])
        first = sum(len(home) > 0 for home in self._homes)
        more = max(0, _left(keep, total) - first)
        best = owners[np.argsort(-scores, kind="stable")[:more]]
        return [
            int(np.count_nonzero(best == place)) + (len(home) > 0)
            for place, home in enumerate(self._homes)
        ]

    def _rounded(self, count: int, total: int) -> int:
        multiple = self._multiple
        if total < 2 * multiple:
            return count
        return min(total, max(multiple, round(count / multiple) * multiple))


def _left(keep: float, total: int) -> int:
    return total - prune_count(1.0 - keep, total)
