"""A budget of a device, and what a file takes of it."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from tfticket.errors import ExportError

_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([KMkm]?)(?:i?[Bb])?")
_UNITS = {"": 1, "k": 2**10, "m": 2**20}


@dataclass(frozen=True)
class Budget:
    """Limits that a file must keep.

    Attributes:
        accuracy: Smallest accuracy on the validation data, in (0, 1].
        flash_bytes: Largest size of the file; None for any.
        ram_bytes: Most memory for an inference, see `Taken.ram_bytes`; None for any.
        microseconds: Longest time of an inference on this machine; None for any.

    Raises:
        ExportError: when there is no limit but the accuracy, or one is out of its range.

    Example:
        >>> budget = Budget(accuracy=0.9, flash_bytes=parse_bytes("16K"))
        >>> budget.shortfalls(Taken(accuracy=0.95, flash_bytes=20_000, ram_bytes=4_000))
        {'flash': 1.220703125}
    """

    accuracy: float
    flash_bytes: int | None = None
    ram_bytes: int | None = None
    microseconds: float | None = None

    def __post_init__(self) -> None:
        limits = (self.flash_bytes, self.ram_bytes, self.microseconds)
        if (
            not 0 < self.accuracy <= 1
            or not any(limits)
            or any(x is not None and not x > 0 for x in limits)
        ):
            raise ExportError(
                f"A budget can't be {asdict(self)}. The accuracy must be in (0, 1], and at least "
                "one of the limits of flash, RAM and time must be given, each above 0."
            )

    def shortfalls(self, taken: Taken) -> dict[str, float]:
        """Return by how much each limit is exceeded, in this order: flash, ram, time, accuracy.

        Args:
            taken: What a file takes.

        Returns:
            Only limits that aren't kept: what is taken over the limit, above 1; for the accuracy
            the difference that is missing.
        """
        found = {}
        for name, limit, used in (
            ("flash", self.flash_bytes, taken.flash_bytes),
            ("ram", self.ram_bytes, taken.ram_bytes),
            ("time", self.microseconds, taken.microseconds),
        ):
            if limit is not None and (used is None or used > limit):
                found[name] = math.inf if used is None else used / limit
        if taken.accuracy < self.accuracy:
            found["accuracy"] = self.accuracy - taken.accuracy
        return found

    def describe(self) -> str:
        """Return the limits in words."""
        limits = [f"accuracy at least {self.accuracy:.2%}"]
        if self.flash_bytes is not None:
            limits.append(f"flash at most {self.flash_bytes:,} bytes")
        if self.ram_bytes is not None:
            limits.append(f"RAM at most {self.ram_bytes:,} bytes")
        if self.microseconds is not None:
            limits.append(f"at most {self.microseconds:,.0f} us an inference")
        return ", ".join(limits)


def missing(shortfalls: Mapping[str, float]) -> str:
    """Say which limits aren't kept, and by how much.

    Args:
        shortfalls: From `Budget.shortfalls`.

    Example:
        >>> missing({"flash": 1.25, "accuracy": 0.003})
        'flash 1.25 times too large, accuracy 0.30 points too low'
    """
    words = {
        name: f"{name} {ratio:.3g} times too {'long' if name == 'time' else 'large'}"
        for name, ratio in shortfalls.items()
    }
    if "accuracy" in words:
        words["accuracy"] = f"accuracy {100 * shortfalls['accuracy']:.2f} points too low"
    return ", ".join(words.values())


@dataclass(frozen=True)
class Taken:
    """Accuracy, flash, RAM and time of a file.

    Attributes:
        accuracy: Of the file, on validation data, in [0, 1].
        flash_bytes: Its size.
        ram_bytes: The arena that TensorFlow Lite Micro took on this machine, where it was run
            there, else the bytes that activations need at least.
        activation_bytes: The bytes that activations need at least.
        measured_ram: Whether it was run there.
        microseconds: Median time of an inference on this machine; None where it doesn't count.
    """

    accuracy: float
    flash_bytes: int
    ram_bytes: int
    activation_bytes: int = 0
    measured_ram: bool = False
    microseconds: float | None = None

    def describe(self) -> str:
        """Return it in words."""
        ram = "RAM" if self.measured_ram else "RAM, at least"
        text = f"accuracy {self.accuracy:.2%}, flash {self.flash_bytes:,}, {ram} {self.ram_bytes:,}"
        text += " bytes"
        return text if self.microseconds is None else f"{text}, {self.microseconds:,.0f} us"

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return asdict(self)


def parse_bytes(text: str) -> int:
    """Read a number of bytes: `20000`, `64K`, `1.5M`; K is 1,024 bytes.

    Raises:
        ExportError: when it is none.

    Example:
        >>> parse_bytes("64K"), parse_bytes("1.5 MB"), parse_bytes("20000")
        (65536, 1572864, 20000)
    """
    match = _SIZE.fullmatch(text.strip())
    if match is None or not float(match[1]):
        raise ExportError(
            f"{text!r} is no size. Give a number of bytes above 0, such as 20000, 64K or 1.5M."
        )
    return int(float(match[1]) * _UNITS[match[2].lower()])
