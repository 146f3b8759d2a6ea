"""A channel, everywhere it exists in the kernels of a network, as plain data."""

from __future__ import annotations

from dataclasses import dataclass

from tfticket.errors import MaskError


@dataclass(frozen=True)
class Slot:
    """A slice of one kernel: all entries whose place on `axis` is among `indices`.

    Attributes:
        key: Of the kernel.
        axis: Counted from the front, at least 0.
        indices: Places on that axis, each once, at least one; several where a channel is flattened.

    Raises:
        MaskError: when axis or indices are none of this.
    """

    key: str
    axis: int
    indices: tuple[int, ...]

    def __post_init__(self) -> None:
        distinct = len(set(self.indices)) == len(self.indices) > 0
        if self.axis < 0 or not distinct or min(self.indices) < 0:
            raise MaskError(
                "A slot is an axis counted from the front and distinct places on it. Received: "
                f"axis={self.axis}, indices={self.indices} of `{self.key}`."
            )


@dataclass(frozen=True)
class ChannelGroup:
    """One channel: it lives everywhere or nowhere.

    Attributes:
        name: Of the channel, for messages.
        produced: The slices of the kernels that make it; several where branches are added up.
        consumed: The slices of the kernels that read it.

    Raises:
        MaskError: when no kernel makes it.
    """

    name: str
    produced: tuple[Slot, ...]
    consumed: tuple[Slot, ...]

    def __post_init__(self) -> None:
        if not self.produced:
            raise MaskError(f"A kernel must make each channel. Received: none for {self.name!r}.")

    @property
    def slots(self) -> tuple[Slot, ...]:
        """All slices that live and die with it."""
        return (*self.produced, *self.consumed)

    @property
    def home(self) -> str:
        """The key whose channels it is counted with: that of its first produced slice."""
        return self.produced[0].key
