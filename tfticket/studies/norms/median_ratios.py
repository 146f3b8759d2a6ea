"""Ratios of typical band widths, with a bootstrap over seeds and moments.

Where widths differ by orders of magnitude along a training, a few moments rule the mean, and a t
interval of so few seeds says nothing. Medians don't hang on them, and the bootstrap needs no
distribution.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from tfticket.norms.landscape import SmoothnessRecord
from tfticket.seeds import generator

_DRAWS = 2_000
_BLOCK = 5  # moments that are drawn together: neighbors are alike
_BAND = (2.5, 97.5)  # percentiles

WIDTHS: Mapping[str, Callable[[SmoothnessRecord], np.ndarray]] = {
    "loss_width": lambda record: np.ptp(record.loss_band, axis=1),
    "predictiveness": lambda record: np.ptp(record.gradient_predictiveness, axis=1),
    "beta": lambda record: record.effective_beta,
}
"""Measure to its value at each moment, shape (T,)."""


@dataclass(frozen=True)
class MedianRatio:
    """Times that one network is smoother than another.

    Attributes:
        median: Median over seeds of the ratio of medians over moments, other / own.
        lower: 2.5th percentile of the bootstrap.
        upper: 97.5th percentile.
        seeds: Number of seeds.
    """

    median: float
    lower: float
    upper: float
    seeds: int

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


def median_ratios(
    own: Mapping[int, SmoothnessRecord], other: Mapping[int, SmoothnessRecord], *, until: float
) -> dict[str, MedianRatio]:
    """Compare two networks by medians, over the seeds and moments that they share.

    Args:
        own: Seed to record; above 1, this network is smoother.
        other: Seed to record of the other one.
        until: The last step to look at.

    Returns:
        Measure (`WIDTHS`) to ratio; none where no seed or fewer than 5 moments are shared.
    """
    seeds = sorted(own.keys() & other.keys())
    count = min(
        (int((r.step <= until).sum()) for s in seeds for r in (own[s], other[s])), default=0
    )
    if count < _BLOCK:
        return {}
    rng = generator(0, "norms", "median ratios")
    drawn = rng.integers(len(seeds), size=(_DRAWS, len(seeds), 1))
    starts = rng.integers(count - _BLOCK + 1, size=(_DRAWS, len(seeds), -(-count // _BLOCK), 1))
    moments = (starts + np.arange(_BLOCK)).reshape(_DRAWS, len(seeds), -1)[:, :, :count]
    found = {}
    for name, width in WIDTHS.items():
        both = [np.stack([width(of[s])[:count] for s in seeds]) for of in (other, own)]
        above, below = (np.where(np.isfinite(values), values, np.nan) for values in both)
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore", RuntimeWarning)  # draws without a finite moment
            median = np.median(np.nanmedian(above, axis=1) / np.nanmedian(below, axis=1))
            ratios = np.nanmedian(above[drawn, moments], axis=2)
            ratios /= np.nanmedian(below[drawn, moments], axis=2)
            lower, upper = np.nanpercentile(np.nanmedian(ratios, axis=1), _BAND)
        if np.isfinite([median, lower, upper]).all():
            found[name] = MedianRatio(float(median), float(lower), float(upper), len(seeds))
    return found
