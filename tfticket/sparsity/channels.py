"""The structure of whole channels, each over all kernels that it is in."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from tfticket.errors import MaskError
from tfticket.sparsity.channel_group import ChannelGroup, Slot
from tfticket.sparsity.mask import Mask
from tfticket.sparsity.ranking import keep_highest
from tfticket.sparsity.structure import Scores, Structure
from tfticket.wording import brief_repr


class Channels(Structure):
    """Structure of whole channels: the slices that make a channel and those that read it.

    A weight between two channels survives while both do. Channels are counted with the key of their
    first produced slice, their *home*; a rate is a share of the surviving channels, and at least
    one of each home stays.

    A channel scores the mean of the scores of the surviving weights that make it, divided by the
    root mean square of that over the surviving channels of its home, so that layers compare fairly
    when all channels compete.

    Source: Li et al. (2017, arXiv:1608.08710), section 3.1, for the mean magnitude of a filter;
    Molchanov et al. (2017, arXiv:1611.06440), section 2.2, for scores rescaled by layer. They
    divide by the norm over a layer, under which each channel of a wide layer counts for less.

    Args:
        groups: The channels, as found by `tfticket.channels.channel_groups(model)`.

    Attributes:
        groups: The channels, in the order given.

    Raises:
        MaskError: when there is none, or two claim the same slice.

    Example:
        >>> groups = [ChannelGroup(f"a, {n}", (Slot("a/kernel", 1, (n,)),), ()) for n in (0, 1)]
        >>> pruned = Mask({"a/kernel": [[1, 0], [1, 0]]})
        >>> Channels(groups).units(pruned)["a/kernel"].tolist()
        [True, False]
    """

    name = "channel"

    __repr__ = brief_repr

    def __init__(self, groups: Iterable[ChannelGroup]) -> None:
        self.groups = tuple(groups)
        if not self.groups:
            raise MaskError("Pruning by channel needs channels. Received: no group.")
        places: dict[str, list[int]] = defaultdict(list)
        for number, group in enumerate(self.groups):
            places[group.home].append(number)
        self._homes = {home: np.array(numbers) for home, numbers in places.items()}
        self._produced = self._gathered(lambda group: group.produced)
        self._slices = self._gathered(lambda group: group.slots)

    @property
    def rule(self) -> str:
        """See `Structure`."""
        return "At least one channel of each layer must stay."

    def units(self, mask: Mask) -> Mask:
        """See `Structure`; by home, one entry a channel, in the order of the groups."""
        self._check_fit(mask)
        alive = np.zeros(len(self.groups), bool)
        for part in self._produced:
            np.logical_or.at(alive, part.owners, part.reduced(mask[part.key], np.any))
        return Mask(self._by_home(alive))

    def unit_scores(self, scores: Scores, mask: Mask) -> dict[str, np.ndarray]:
        """See `Structure`."""
        self._check_fit(mask)
        sums, counts = np.zeros(len(self.groups)), np.zeros(len(self.groups))
        for part in self._produced:
            alive = np.where(mask[part.key], np.asarray(scores[part.key], np.float64), 0.0)
            np.add.at(sums, part.owners, part.reduced(alive, np.sum))
            np.add.at(counts, part.owners, part.reduced(mask[part.key], np.sum))
        means = self._by_home(sums / np.maximum(counts, 1.0))
        alive_units = self._by_home(counts > 0)
        return {home: rescaled(means[home], alive_units[home]) for home in means}

    def expand(self, units: Mask, mask: Mask) -> Mask:
        """See `Structure`."""
        self._check_fit(mask)
        alive = np.ones(len(self.groups), bool)
        for home, numbers in self._homes.items():
            alive[numbers] = units[home]
        arrays = dict(mask)
        for part in self._slices:
            array = arrays[part.key]
            kept = np.ones(array.shape[part.axis], bool)
            kept[part.indices] = alive[part.owners]
            sides = [1] * array.ndim
            sides[part.axis] = -1
            arrays[part.key] = array & kept.reshape(sides)
        return Mask(arrays)

    def protected(self, scores: Scores, units: Mask) -> Mask:
        """See `Structure`; the best channel of each home."""
        least = self.least(units)
        return Mask({home: keep_highest(scores[home], units[home], least[home]) for home in units})

    def least(self, units: Mask) -> dict[str, int]:
        """See `Structure`."""
        return {home: min(1, count) for home, count in units.counts().items()}

    def _by_home(self, values: np.ndarray) -> dict[str, np.ndarray]:
        return {home: values[numbers] for home, numbers in self._homes.items()}

    def _gathered(self, slots_of: Callable[[ChannelGroup], tuple[Slot, ...]]) -> list[_Slices]:
        """Gather the slots of all groups by key and axis."""
        found: dict[tuple[str, int], dict[int, int]] = defaultdict(dict)
        for number, group in enumerate(self.groups):
            for slot in slots_of(group):
                owners = found[slot.key, slot.axis]
                for index in slot.indices:
                    if owners.setdefault(index, number) != number:
                        raise MaskError(
                            "A slice of a kernel must belong to one channel. Received: "
                            f"{self.groups[owners[index]].name!r} and {group.name!r} for index "
                            f"{index} of axis {slot.axis} of `{slot.key}`."
                        )
        return [_Slices(*place, *_columns(owners)) for place, owners in found.items()]

    def _check_fit(self, mask: Mask) -> None:
        wrong = [part for part in self._slices if not part.fits(mask)]
        if wrong:
            raise MaskError(
                "Channels must be slices of the kernels that are pruned. Received: "
                f"{', '.join(f'axis {p.axis} of `{p.key}`' for p in wrong)}, not or not as long in "
                "a mask. Find the channels of this model, with the same `skip`."
            )


@dataclass(frozen=True, eq=False)
class _Slices:
    """Indices on one axis of one kernel, and the group that owns each."""

    key: str
    axis: int
    indices: np.ndarray
    owners: np.ndarray

    def fits(self, mask: Mask) -> bool:
        shape = mask[self.key].shape if self.key in mask else ()
        return self.axis < len(shape) and int(self.indices.max()) < shape[self.axis]

    def reduced(self, array: np.ndarray, reduce: Callable[..., np.ndarray]) -> np.ndarray:
        """Reduce an array to one number for each of `indices`."""
        others = tuple(axis for axis in range(array.ndim) if axis != self.axis)
        reduced: np.ndarray = reduce(array, axis=others)[self.indices]
        return reduced


def _columns(owners: dict[int, int]) -> Iterator[np.ndarray]:
    yield np.array(list(owners), np.int64)
    yield np.array(list(owners.values()), np.int64)


def rescaled(scores: np.ndarray, alive: np.ndarray) -> np.ndarray:
    """Divide scores by their root mean square over the living, so that layers compare fairly."""
    with np.errstate(over="ignore"):
        scale = np.sqrt(np.mean(np.square(scores[alive]))) if alive.any() else 0.0
    return scores / scale if 0.0 < scale < np.inf else scores
