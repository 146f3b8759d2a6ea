"""How much of the wrong labels a network has learned by heart, by its own training data."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from tfticket.errors import DataError
from tfticket.noisy.labels import checked_labels
from tfticket.noisy.receipt import Corruption


@dataclass(frozen=True)
class Memorization:
    """What a network predicts for the examples that it is trained on, as shares in [0, 1].

    Source: the shares of Liu et al., "Early-Learning Regularization Prevents Memorization of Noisy
    Labels" (2020, arXiv:2007.00151), figure 1. A share of no examples is NaN.

    Attributes:
        memorized: Of wrongly labelled examples, those predicted as the wrong label they were given.
        recovered: Of wrongly labelled examples, those predicted as their true label all the same.
        right_accuracy: Of rightly labelled examples, those predicted as their label.
    """

    memorized: float
    recovered: float
    right_accuracy: float


def memorization(predicted: ArrayLike, corruption: Corruption) -> Memorization:
    """Holds predictions against given and true labels.

    By chance one of k classes is memorized in 1/k of the wrongly labelled examples, and a network
    that knows nothing but the truth memorizes none.

    Args:
        predicted: Predicted classes of the training examples, shape (n,), integers in
            [0, num_classes), without augmentation.
        corruption: The labels of the same examples, in the same order.

    Raises:
        DataError: when there isn't a prediction for each label, or one is out of range.
    """
    predicted = checked_labels(predicted, corruption.num_classes, name="predicted")
    if len(predicted) != len(corruption.given):
        raise DataError(
            "There must be a prediction for each label. Received: "
            f"{len(predicted)} predictions, {len(corruption.given)} labels."
        )
    wrong, given = corruption.changed, predicted == corruption.given
    return Memorization(
        memorized=_share(given[wrong]),
        recovered=_share((predicted == corruption.true)[wrong]),
        right_accuracy=_share(given[~wrong]),
    )


def _share(found: np.ndarray) -> float:
    return float(found.mean()) if found.size else math.nan
