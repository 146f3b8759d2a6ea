"""A small split of examples, and the estimate in it, for tests that need any."""

from __future__ import annotations

import numpy as np

from tfticket.noise.estimate.noise_estimate import NoiseEstimate
from tfticket.noise.incv.clean_split import CleanSplit, Round
from tfticket.noise.labels.transition import symmetric


def estimate(**changes):
    content = {
        "rate": 0.2,
        "low": 0.15,
        "high": 0.25,
        "kind": "symmetric",
        "identifiable": True,
        "reason": "",
        "matrix": symmetric(3, 0.2).matrix,
        "confidence": 0.95,
        "shares": (1.0, 0.5),
        "disagreement": (0.3, 0.2),
        "window": 1,
        "examples": 3,
    }
    return NoiseEstimate(**{**content, **changes})


def split(**changes):
    content = {
        "clean": np.array([0, 2, 3]),
        "candidate": np.array([5]),
        "removed": np.array([1, 4]),
        "labels": np.array([0, 1, 2, 0, 1, 2]),
        "probabilities": np.full((6, 3), 1 / 3, np.float32),
        "votes": np.array([[1, 1], [2, 0], [1, 1], [2, 1], [1, 0], [2, 0]]),
        "estimate": estimate(),
        "rounds": (Round(6, 0.5, 3, 1), Round(2, 0.0, 0, 1)),
    }
    return CleanSplit(**{**content, **changes})
