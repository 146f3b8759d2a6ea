"""What was measured along training, brought together over seeds, and how norms are drawn."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np

from tfticket.norms.landscape import ShiftRecord, SmoothnessRecord
from tfticket.report.canvas import LIGHT
from tfticket.report.norms.cells import Branch

R = TypeVar("R", SmoothnessRecord, ShiftRecord)

_STYLES: Mapping[str, tuple[str, str, Any]] = {
    "none": ("orange", "s", "-"),
    "batch": ("blue", "o", "-"),
    "group": ("green", "^", "-"),
    "layer": ("purple", "v", "-"),
}
_OTHERS: tuple[tuple[str, str, Any], ...] = (
    ("amber", "D", "-"),
    ("sky", "P", "-"),
    ("level1", "X", "-"),
    ("muted", "*", "--"),
    ("level5", "p", "-"),
    ("ink", "h", ":"),
    ("level3", "<", "--"),
    ("level2", ">", "--"),
)
SUBNETWORKS: Mapping[str, tuple[str, str, float]] = {
    "dense": ("ink", "o", -0.2),
    "ticket": ("blue", "s", 0.0),
    "random": ("purple", "v", 0.2),
}
"""Subnetwork to its color, its marker, and its place beside a tick."""
_WIDE = 300.0  # a range that a linear axis can't show


def norm_style(label: str, labels: Sequence[str]) -> dict[str, Any]:
    """Color, marker and line of a normalization: fixed for the usual, the same within a run."""
    if label in _STYLES:
        color, marker, line = _STYLES[label]
    else:
        unusual = [name for name in labels if name not in _STYLES]
        color, marker, line = _OTHERS[unusual.index(label) % len(_OTHERS)]
    return {"color": LIGHT[color], "marker": marker, "linestyle": line}


def line_style(label: str, labels: Sequence[str]) -> dict[str, Any]:
    """The same without a marker, for long curves."""
    return norm_style(label, labels) | {"marker": ""}


def labels(branches: Sequence[Branch]) -> list[str]:
    """The normalizations of branches, each once."""
    return list(dict.fromkeys(branch.label for branch in branches))


def over_seeds(
    records: Mapping[int, R], value: Callable[[R], np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """The median over seeds along training.

    Args:
        records: Seed to record, at least one.
        value: What to take of each, shape (T,) or (T, n).

    Returns:
        The steps of the longest record, shape (T,), and the medians there over the seeds that have
        a finite value there: shape (T,) or (T, n), NaN where none has.
    """
    longest = max(records.values(), key=lambda record: len(record.step))
    steps = longest.step
    stack = np.stack([_at(steps, record.step, value(record)) for record in records.values()])
    return steps, np.ma.median(np.ma.masked_invalid(stack), axis=0).filled(np.nan)


def _at(steps: np.ndarray, own: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Values at other steps; NaN after the last of one's own."""
    columns = values.reshape(len(own), -1).T
    found = np.stack([np.interp(steps, own, column, right=np.nan) for column in columns], axis=1)
    return found.reshape(len(steps), *values.shape[1:])


def is_wide(values: Sequence[np.ndarray]) -> bool:
    """Whether positive values span so many orders that only a logarithmic axis shows them."""
    found = np.concatenate([array.ravel() for array in values]) if values else np.empty(0)
    found = found[np.isfinite(found) & (found > 0)]
    return bool(found.size) and float(np.quantile(found, 0.98) / np.quantile(found, 0.02)) > _WIDE
