"""Is an accuracy better than chance? The one check of a model that needs nothing to compare with.

A model that is fed in another way than it was trained answers alike in Keras and in every file that
is made of it: each relative check passes. Only its labels tell.
"""

from __future__ import annotations

import numpy as np
from scipy import special

_SIGNIFICANCE = 0.01
_LEAST_GAIN = 0.15  # of the way from chance to 1
_MOST_TIMES = 3.0  # with many classes that way is long: three times chance is enough


def at_chance(accuracy: float, shares: np.ndarray, count: int) -> bool:
    """Tell whether an accuracy is no better, or hardly better, than answering without looking.

    The best answer that doesn't depend on the inputs is the most common class; chance is its share.
    An accuracy is at chance when it isn't significantly higher (exact binomial test, one-sided, at
    0.01), or goes less than 0.15 of the way from chance to 1 and is below three times chance.

    Args:
        accuracy: Share of right answers, in [0, 1].
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
    """Say that a model is at chance level on the data that it was given; None when it isn't.

    Args:
        accuracy: Share of the labels that it gets right, in [0, 1].
        labels: The labels, integers, shape (n,).
        of: What has the accuracy, with the beginning of the sentence: `The dense network`.

    Example:
        >>> chance_warning(0.11, np.arange(1000) % 10, of="The model")
        'The model is right on 11.0 % of 1,000 examples, and 10.0 % have the most common label: ...'
    """
    _, counts = np.unique(labels, return_counts=True)
    shares = counts / counts.sum()
    if not at_chance(accuracy, shares, len(labels)):
        return None
    return (
        f"{of} is right on {100 * accuracy:.1f} % of {len(labels):,} examples, and "
        f"{100 * shares.max():.1f} % have the most common label: it isn't shown to be better than "
        "chance. It may be fed in another way than it was trained, or the labels mean something "
        "else, or it hasn't learned."
    )
