"""What was swapped, as plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tfticket.norms.transfer import Carried


@dataclass(frozen=True)
class SwappedLayer:
    """One norm that was swapped.

    Attributes:
        key: Where it stood in the model.
        old: Its kind; the class's name for one that the catalog doesn't have.
        new: The kind in its place.
        channels: How many channels it sees.
        groups: Into how many groups the new norm divides them; None when it has no groups.
        weights: Its variables that were kept, dropped, and added.
        before: What changed in the layers before it: `conv1: bias`; empty for nothing.
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
    """What `swap_norm` did.

    Attributes:
        layers: The norms that were swapped, in the order of the model.
        closed: Keys of norms inside layers that can't be opened, such as `TimeDistributed` or a
            layer of the user's own; they are as they were.
        left: Key of each layer whose class is a child of a norm and does more than its parent, and
            what that is; they are as they were.
    """

    layers: tuple[SwappedLayer, ...]
    closed: tuple[str, ...]
    left: Mapping[str, str] = field(default_factory=dict)

    @property
    def needs_statistics(self) -> bool:
        """Whether moving statistics are new: take them with `tfticket.statistics.recalibrate`."""
        return any(
            name.startswith("moving_") for layer in self.layers for name in layer.weights.new
        )

    def rows(self) -> list[tuple[str, ...]]:
        """A line a norm, as texts: key, kinds, channels, groups, weights, what changed before."""
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
