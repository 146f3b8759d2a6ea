"""Calibration: whether a classifier is right as often as it is confident."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from tfticket.errors import DataError


def expected_calibration_error(
    probabilities: ArrayLike, labels: ArrayLike, *, bins: int = 15
) -> float:
    """Compute the expected calibration error.

        ECE = sum_m n_m / n |accuracy_m - confidence_m|

    over bins of equal width of the confidence, the largest probability of an example: bin m holds
    those in ((m - 1) / bins, m / bins].

        >>> expected_calibration_error([[0.9, 0.1], [0.9, 0.1]], [0, 1])
        0.4

    Source: Guo et al., "On Calibration of Modern Neural Networks" (2017, arXiv:1706.04599).

    Args:
        probabilities: Predictions, shape (n, k), in [0, 1].
        labels: True labels, shape (n,), integers.
        bins: Number of bins, at least 1.

    Returns:
        The error, in [0, 1].

    Raises:
        DataError: when the shapes don't fit, there is no example, or what should be a probability
            isn't in [0, 1].
    """
    p, y = np.asarray(probabilities, np.float64), np.asarray(labels)
    if p.ndim != 2 or y.shape != p.shape[:1] or not p.size:
        raise DataError(
            f"`probabilities` {p.shape} and `labels` {y.shape} don't fit together: they must have "
            "the shapes (n, classes) and (n,), with n at least 1."
        )
    if not ((p >= 0) & (p <= 1)).all():
        raise DataError(
            f"`probabilities` must be in [0, 1]. Received: {p.min():g} to {p.max():g}. Apply "
            "softmax to logits."
        )
    confidence, right = p.max(axis=1), p.argmax(axis=1) == y
    place = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    gaps = np.bincount(place, weights=right - confidence, minlength=bins)
    return round(float(np.abs(gaps).sum() / len(y)), 12)
