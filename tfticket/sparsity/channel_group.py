"""A channel with all its slices in the kernels of a network, as plain data."""

from __future__ import annotations

from dataclasses import dataclass

from tfticket.errors import MaskError
from tfticket.wording import brief_repr


@dataclass(frozen=True)
class Slot:
    """Slice of one kernel: all entries whose index on `axis` is among `indices`.

    Attributes:
        key: Key of the kernel.
        axis: Axis counted from the front, at least 0.
        indices: Distinct indices on that axis, at least one; several for a flattened channel.

    Raises:
        MaskError: when axis or indices are out of range.

    Example:
        >>> Slot("conv/kernel", axis=3, indices=(0,)).axis
        3
    """

    key: str
    axis: int
    indices: tuple[int, ...]

    __repr__ = brief_repr

    def __post_init__(self) -> None:
        distinct = len(set(self.indices)) == len(self.indices) > 0
        if self.axis < 0 or not distinct or min(self.indices) < 0:
            raise MaskError(
                "A slot is an axis counted from the front and distinct places on it. Received: "
                f"axis={self.axis}, indices={self.indices} of `{self.key}`."
            )


@dataclass(frozen=True)
class ChannelGroup:
    """One channel: all of its slices are kept, or none.

    Attributes:
        name: Name of the channel, for messages.
        produced: Slices of the kernels that make it; several where branches are added.
        consumed: Slices of the kernels that read it.
        scaled: Entries of the scales of normalizations that it goes through.

    Raises:
        MaskError: when no kernel makes it.

    Example:
        >>> made, read = Slot("a/kernel", 1, (0,)), Slot("b/kernel", 0, (0,))
        >>> ChannelGroup("a, channel 0", produced=(made,), consumed=(read,)).home
        'a/kernel'
    """

    name: str
    produced: tuple[Slot, ...]
    consumed: tuple[Slot, ...]
    scaled: tuple[Slot, ...] = ()

    __repr__ = brief_repr

    def __post_init__(self) -> None:
        if not self.produced:
            raise MaskError(f"A kernel must make each channel. Received: none for {self.name!r}.")

    @property
    def slots(self) -> tuple[Slot, ...]:
        """All slices of kernels."""
        return (*self.produced, *self.consumed)

    @property
    def home(self) -> str:
        """Key of its first produced slice, with whose channels it is counted."""
        return self.produced[0].key
