"""What an iteration of INCV decides, from held-out probabilities: pure functions of arrays.

Chen et al. (ICML 2019, arXiv:1905.05040), algorithm 2. Of the candidates that were held out,

    selected    those whose prediction is their given label (their union over the folds joins S)
    removed     of the others, those with the largest cross-entropy: e / (1 - e) as many as were
                selected, which is how many wrong labels there are for each right one

The paper's code removes nothing under pair noise, and is told which noise it is; here the estimate
tells. It also counts what to remove by a negative slice, so that a count of 0 removes everything,
and may remove what it just selected. Here only examples that disagree are removed, and over all
iterations at most as many as there are wrong labels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tfticket.noisy.estimate import NoiseEstimate
from tfticket.noisy.kinds import CLEAN, PAIR
from tfticket.seeds import generator

_LARGEST_RATIO = 2.0  # of removed to selected, in one iteration (the paper's code)
_TINY = 1e-12


@dataclass(frozen=True, eq=False)
class Decision:
    """Ids that an iteration takes out of the candidates: selected and removed, rising, disjoint."""

    selected: np.ndarray
    removed: np.ndarray


def deal(
    ids: np.ndarray, labels: np.ndarray, *, folds: int, seed: int, iteration: int
) -> np.ndarray:
    """Deals examples to folds at random, each class as evenly as can be.

    Args:
        ids: Examples, shape (m,).
        labels: Their given labels, shape (m,).
        folds: How many folds, at least 2.
        seed: Seed of the run.
        iteration: Each one deals anew.

    Returns:
        The fold of each example, shape (m,), in [0, folds). Sizes differ by at most 1.
    """
    order = generator(seed, "incv", "folds", iteration).permutation(len(ids))
    order = order[np.argsort(labels[order], kind="stable")]
    dealt = np.empty(len(ids), np.int64)
    dealt[order] = np.arange(len(ids)) % folds
    return dealt


def decide(
    ids: np.ndarray,
    labels: np.ndarray,
    probabilities: np.ndarray,
    *,
    removable: int,
    ratio: float,
) -> Decision:
    """Selects what agrees, and removes what agrees least.

    Args:
        ids: The candidates, shape (m,).
        labels: Their given labels, shape (m,).
        probabilities: Their held-out probabilities, shape (m, k).
        removable: How many may be removed at most.
        ratio: How many to remove for each that is selected, at least 0.
    """
    agrees = probabilities.argmax(axis=1) == labels
    losses = -np.log(np.maximum(probabilities[np.arange(len(ids)), labels], _TINY))
    others = np.flatnonzero(~agrees)
    worst = others[np.lexsort((ids[others], -losses[others]))]
    count = min(round(ratio * int(agrees.sum())), removable, len(worst))
    return Decision(np.sort(ids[agrees]), np.sort(ids[worst[:count]]))


def removal(estimate: NoiseEstimate, count: int) -> tuple[float, int]:
    """How many to remove for each selected example, and how many in all.

    Args:
        estimate: From the first iteration.
        count: Examples in all.

    Returns:
        The ratio e / (1 - e), at most 2, and the count e n. Both are 0 where the labels of the
        largest losses aren't shown to be wrong: without noise, where the rate isn't identifiable,
        and under pair noise, where a network's mistakes are those of the labels.
    """
    if estimate.kind in (CLEAN, PAIR) or not estimate.identifiable:
        return 0.0, 0
    odds = estimate.rate / (1 - estimate.rate)
    return min(odds, _LARGEST_RATIO), int(estimate.rate * count)
