"""What is found wrong with a norm, and the norms that are looked at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from tfticket.statistics import normalizes_by_batch

Severity = Literal["error", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong, or may be.

    Attributes:
        code: What it is, for programs: `small-batch`.
        severity: `error` for what can't work, `warning` for what is likely to do harm, `note` for
            what is worth knowing.
        layers: Keys of the layers that it is about.
        what: What is the matter, in a sentence.
        remedy: What to do, in a line.
        reference: Where it is known from; empty for the behavior of Keras.
    """

    code: str
    severity: Severity
    layers: tuple[str, ...]
    what: str
    remedy: str
    reference: str = ""


@dataclass(frozen=True)
class PlacedNorm:
    """A built norm and where it stands.

    Attributes:
        key: Its key in the model.
        layer: The layer.
        kind: See `kind_of`.
        channels: How many it sees.
        positions: How many numbers of a channel an example has; None when that isn't fixed.
        before: What makes its input, as far as a graph shows it.
        read_alone: Whether nothing else reads that.
        inputs: Its symbolic inputs, by call.
        training: The `training` argument of its calls, and of the calls of models that it is in,
            where a graph holds one.
    """

    key: str
    layer: Any
    kind: str
    channels: int
    positions: int | None
    before: tuple[Any, ...]
    read_alone: bool
    inputs: tuple[Any, ...]
    training: tuple[Any, ...]

    @property
    def by_batch(self) -> bool:
        """Whether it uses statistics of the batch in training."""
        return normalizes_by_batch(self.layer)
