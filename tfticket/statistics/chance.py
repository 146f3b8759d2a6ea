"""Chance level: whether an accuracy is better than that of the most common class.

It is the one check of a model that needs no other model: a network that gets its inputs in another
scale than in training has the same outputs in Keras and in every exported file, so that each
relative check passes. Only labels can tell.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from scipy import special

_SIGNIFICANCE = 0.01
_LEAST_GAIN = 0.15  # of the way from chance to 1
_MOST_TIMES = 3.0  # with many classes that way is long: three times chance is enough


ACCURACIES = ("accuracy_at_early_stop", "accuracy_at_end")
"""Names of the test accuracies of a finished trial."""


def best_accuracy(results: Mapping[str, float]) -> float | None:
    """Return the higher test accuracy of a finished trial; None without any.

    Args:
        results: Name to value, such as the summary of a level.

    Example:
        >>> best_accuracy({"accuracy_at_early_stop": 0.8, "accuracy_at_end": 0.7, "loss": 1.2})
        0.8
    """
    return max((results[name] for name in ACCURACIES if name in results), default=None)


def network_name(branch: str, level: int) -> str:
    """Name a network of a search in a sentence.

    Args:
        branch: `ticket`, or the name of the control.
        level: Number of prunings.

    Example:
        >>> network_name("ticket", 0), network_name("shuffle", 3)
        ('the dense network', '`shuffle` at level 3')
    """
    if (branch, level) == ("ticket", 0):
        return "the dense network"
    return f"`{branch}` at level {level}" if level else f"`{branch}`"


def at_chance(accuracy: float, shares: np.ndarray, count: int) -> bool:
    """Tell whether an accuracy is no better, or hardly better, than a constant prediction.

    The best constant prediction is the most common class; chance is its share. An accuracy is at
    chance when it isn't significantly higher (exact binomial test, one-sided, at 0.01), or is less
    than 0.15 of the way from chance to 1 and below three times chance.

    Args:
        accuracy: Share of correct predictions, in [0, 1].
        shares: Share of each class among the labels, shape (classes,), in [0, 1].
        count: Number of examples, at least 1.

    Example:
        >>> at_chance(0.18, np.full(10, 0.1), 1000), at_chance(0.30, np.full(10, 0.1), 1000)
        (True, False)
        >>> at_chance(0.854, np.array([0.146, 0.854]), 400)
        True
    """
    chance = float(np.max(shares))
    right = round(accuracy * count)
    # P(X >= right) of a binomial, as a regularized incomplete beta function.
    by_luck = special.betainc(right, count - right + 1, chance) if right else 1.0
    hardly = accuracy - chance < _LEAST_GAIN * (1 - chance) and accuracy < _MOST_TIMES * chance
    return bool(by_luck >= _SIGNIFICANCE or hardly)


def chance_warning(accuracy: float, labels: np.ndarray, *, of: str) -> str | None:
    """Return a warning that a model is at chance level; None if it isn't.

    Args:
        accuracy: Share of correct predictions, in [0, 1].
        labels: The labels, integers, shape (n,), or one a pixel.
        of: Name of the model at the beginning of the sentence: `The dense network`.

    Example:
        >>> chance_warning(0.11, np.arange(1000) % 10, of="The model")[:50]
        'The model is right on 11.0 % of 1,000 examples, ha'
    """
    _, counts = np.unique(labels, return_counts=True)
    shares = counts / counts.sum()
    each = "examples" if labels.ndim == 1 else "pixels"
    if not at_chance(accuracy, shares, labels.size):
        return None
    more = "hardly" if accuracy > shares.max() else "not"
    return (
        f"{of} is right on {100 * accuracy:.1f} % of {labels.size:,} {each}, {more} more than "
        f"the {100 * shares.max():.1f} % that have the most common label: chance level. It may be "
        "fed in another way than it was trained, or the labels mean something else, or it hasn't "
        "learned."
    )
