"""Norms, ratios and quantities in words."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from tfticket.display import words
from tfticket.lottery.comparison import Interval

NORMS = {
    "none": "no normalization",
    "batch": "batch norm",
    "batch_renorm": "batch renormalization",
    "frozen_batch": "frozen batch norm",
    "sync_batch": "synchronized batch norm",
    "group": "group norm",
    "layer": "layer norm",
    "instance": "instance norm",
    "rms": "RMS norm",
    "filter_response": "filter response norm",
    "ws_group": "group norm with standardized weights",
    "l1_batch": "l1 batch norm",
    "l2_batch": "l2 batch norm",
    "linf_batch": "l-infinity batch norm",
    "noisy_batch": "noisy batch norm",
}
"""Kind of normalization to its name in a sentence."""

SUBNETWORKS = {"dense": "dense", "ticket": "ticket", "random": "random subnetwork"}
"""Subnetwork to its name in a sentence."""

SHARES = {1 / 4: "first quarter", 1 / 3: "first third", 1 / 2: "first half",
          2 / 3: "first two thirds", 3 / 4: "first three quarters"}  # fmt: skip


def norm(label: str) -> str:
    """A normalization with its options, as in a sentence: `group norm (groups 8)`."""
    kind, _, options = label.partition(" ")
    return f"{NORMS.get(kind, kind)} {options}".strip()


def label(kind: str, options: Mapping[str, Any]) -> str:
    """A short name for legends and tables: `group (groups 8)`."""
    if not options:
        return kind
    said = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in options.items())
    return f"{kind} ({said})"


def during(share: float) -> str:
    """`over the first two thirds of training`, `over all of training`."""
    if share >= 1:
        return "over all of training"
    for known, text in SHARES.items():
        if abs(share - known) < 0.01:
            return f"over the {text} of training"
    return f"over the first {words.percent(share, 0)} of training"


def times(ratio: float) -> str:
    """The size of a ratio, whichever way: `5.1 times`, `1.24 times`."""
    size = max(ratio, 1 / ratio)
    return f"{words.number(size, 2 if size < 2 else 1 if size < 100 else 0)} times"


def bounds(ratio: Interval, *, inverse: bool = False) -> str:
    """`3.9 to 6.6`; of the inverse ratio if asked."""
    low, high = (1 / ratio.upper, 1 / ratio.lower) if inverse else (ratio.lower, ratio.upper)
    return f"{_plain(low)} to {_plain(high)}"


def _plain(value: float) -> str:
    if 0 < value < 0.01 or value >= 1e6:
        return quantity(value, digits=1)
    return words.number(value, 2 if value < 2 else 1 if value < 100 else 0)


def quantity(value: float, *, digits: int = 3) -> str:
    """A number of any size, with so many digits at most: 0.041, 20, 1.3·10⁹."""
    if not math.isfinite(value):
        return words.NONE
    if value == 0:
        return "0"
    exponent = math.floor(math.log10(abs(value)))
    if -3 <= exponent < 5:
        return _short(value, max(0, digits - 1 - exponent))
    lead = _short(value / 10.0**exponent, digits - 1)
    power = f"10{words.superscript(exponent)}"
    return power if lead == "1" else f"{lead}\N{MIDDLE DOT}{power}"


def _short(value: float, places: int) -> str:
    text = words.number(value, places)
    return text.rstrip("0").rstrip(".") if "." in text else text
