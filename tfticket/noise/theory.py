"""Theory of held-out predictions by networks that have memorized wrong labels.

Chen, Liao, Chen & Zhang, "Understanding and Utilizing Deep Neural Networks Trained with Noisy
Labels" (ICML 2019, arXiv:1905.05040), section 3. Assumption: a network that fits its noisy training
set generalizes *in distribution*: on a held-out example of true class i it predicts j with
probability T_ij. Then, with p_i the share of class i,

    accuracy against the given labels     A  = sum_i p_i sum_j T_ij^2
    label precision                       LP = sum_i p_i T_ii^2 / A
    label recall                          LR = sum_i p_i T_ii^2 / sum_i p_i T_ii

of the examples whose prediction agrees with their given label, and the confusion of true class and
prediction is T itself. For rate e, with c = k - 1 (symmetric) or c = 1 (pair),

    A = (1 - e)^2 + e^2 / c        residual noise  1 - LP = e^2 / (e^2 + c (1 - e)^2)

A falls until e = c / (c + 1), and rises after it: near there e can't be read off A, and beyond it A
belongs to a smaller e just as well. Networks that were stopped early beat these numbers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from tfticket.errors import DataError
from tfticket.noise.labels.corruption import Corruption
from tfticket.noise.labels.given import NO_CLASS, checked_labels
from tfticket.noise.labels.transition import TransitionMatrix, as_transition, checked_prior

__all__ = [
    "HeldOut",
    "accuracy_slope",
    "expected",
    "expected_confusion",
    "label_quality",
    "measured",
    "rates_from_accuracy",
]

KINDS = ("symmetric", "pair")
_ROUNDING = 1e-12


@dataclass(frozen=True)
class HeldOut:
    """Accuracy, label precision and label recall of held-out predictions.

    Attributes:
        accuracy: A, share of the examples whose prediction is the given label, in [0, 1].
        precision: LP, share of those whose given label is the true one, in [0, 1]; NaN when the
            prediction never is the given label.
        recall: LR, share of the rightly labeled examples that are among them, in [0, 1]; NaN when
            no label is right.
    """

    accuracy: float
    precision: float
    recall: float

    @property
    def residual_noise(self) -> float:
        """Share of wrong labels among the examples that would be selected, 1 - LP."""
        return 1 - self.precision


def expected(transition: TransitionMatrix | ArrayLike, prior: ArrayLike | None = None) -> HeldOut:
    """Compute the closed forms above, for any T (propositions 1 and 2 of the paper).

        >>> found = expected([[0.8, 0.2], [0.2, 0.8]])
        >>> round(found.accuracy, 3), round(found.precision, 3), round(found.recall, 3)
        (0.68, 0.941, 0.8)

    Args:
        transition: T, shape (k, k), rows summing to 1.
        prior: p, share of each true class, shape (k,); None for equal shares.

    Raises:
        DataError: when T is no transition matrix or p no distribution.
    """
    matrix = np.asarray(as_transition(transition))
    shares = checked_prior(prior, len(matrix))
    accuracy = shares @ (matrix**2).sum(axis=1)
    both_right = shares @ np.diag(matrix) ** 2
    return HeldOut(
        accuracy=float(accuracy),
        precision=_share(both_right, accuracy),
        recall=_share(both_right, shares @ np.diag(matrix)),
    )


def expected_confusion(
    transition: TransitionMatrix | ArrayLike, prior: ArrayLike | None = None
) -> np.ndarray:
    """Compute P(given = a, predicted = b) = sum_i p_i T_ia T_ib, shape (k, k), summing to 1.

    Unlike the confusion with the true classes, which is T, it can be measured without them.
    """
    matrix = np.asarray(as_transition(transition))
    shares = checked_prior(prior, len(matrix))
    joint: np.ndarray = matrix.T @ (shares[:, None] * matrix)
    return joint


def measured(true: ArrayLike, given: ArrayLike, *, predicted: ArrayLike) -> HeldOut:
    """Count the same quantities.

    Args:
        true: True labels, shape (n,).
        given: Given labels, shape (n,).
        predicted: Held-out predictions, labels of shape (n,).

    Raises:
        DataError: when these are no labels, or differ in number.
    """
    given = checked_labels(given, name="given")
    predicted = checked_labels(predicted, name="predicted")
    _same_length(given, predicted)
    precision, recall = label_quality(true, given, selected=given == predicted)
    return HeldOut(float(np.mean(given == predicted)), precision, recall)


def label_quality(true: ArrayLike, given: ArrayLike, *, selected: ArrayLike) -> tuple[float, float]:
    """Compute label precision and label recall of a selection, both in [0, 1].

    Precision is the share of the selected whose given label is the true one; recall the share of
    the rightly labeled that are selected. NaN where there is nothing to take a share of.

    Args:
        true: True labels, shape (n,); -1 where an example is of no class.
        given: Given labels, shape (n,).
        selected: Which are selected: bool of shape (n,), or ids.

    Raises:
        DataError: when these are no labels or differ in number, or `selected` is about others.
    """
    true = checked_labels(true, name="true", least=NO_CLASS)
    given = checked_labels(given, name="given")
    _same_length(true, given)
    chosen = _chosen(selected, len(true))
    right = true == given
    both = np.count_nonzero(right & chosen)
    return _share(both, np.count_nonzero(chosen)), _share(both, np.count_nonzero(right))


def rates_from_accuracy(accuracy: float, num_classes: int, *, kind: str) -> tuple[float, ...]:
    """Find every rate e in [0, 1] with A(e) = `accuracy`, rising; the inverse of equation 4.

    Args:
        accuracy: A, held-out accuracy against the given labels, in [0, 1].
        num_classes: k, at least 2.
        kind: `symmetric` or `pair`.

    Returns:
        No rate where `accuracy` lies below the least that is possible (1 / k; pair: 1 / 2), else
        one or two. Where there are two, the data can't tell which.

    Raises:
        DataError: when an argument is out of its range.
    """
    curvature = 1 + 1 / _others(num_classes, kind)
    if not 0 <= accuracy <= 1:
        raise DataError(f"`accuracy` must be in [0, 1]. Received: {accuracy}.")
    root = 1 - curvature * (1 - accuracy)
    if root < -_ROUNDING:
        return ()
    width = np.sqrt(max(root, 0.0))
    rates = {(1 - width) / curvature, (1 + width) / curvature}
    return tuple(sorted(min(1.0, float(rate)) for rate in rates if rate <= 1 + _ROUNDING))


def accuracy_slope(rate: float, num_classes: int, *, kind: str) -> float:
    """Compute dA/de = -2 (1 - e) + 2 e / c, which is 0 where A tells nothing about e.

    Args:
        rate: e, in [0, 1].
        num_classes: k, at least 2.
        kind: `symmetric` or `pair`.
    """
    return -2 * (1 - rate) + 2 * rate / _others(num_classes, kind)


def _others(num_classes: int, kind: str) -> int:
    """c, how many wrong labels there are to choose from."""
    if kind not in KINDS or num_classes < 2:
        raise DataError(
            f"`kind` must be one of {', '.join(KINDS)}, and there must be at least 2 classes. "
            f"Received: kind={kind!r}, num_classes={num_classes}."
        )
    return num_classes - 1 if kind == "symmetric" else 1


def _share(part: Any, whole: Any) -> float:
    return float(part / whole) if whole > 0 else float("nan")


def _chosen(selected: ArrayLike, count: int) -> np.ndarray:
    chosen, array = np.zeros(count, bool), np.asarray(selected)
    if array.size == 0 and array.shape == (0,):
        return chosen
    is_mask = array.dtype == bool and array.shape == (count,)
    is_ids = array.dtype.kind in "iu" and array.ndim == 1
    if not is_mask and not (is_ids and array.min() >= 0 and array.max() < count):
        raise DataError(
            f"`selected` must be bool of shape ({count},), or ids from 0 to {count - 1}. Received: "
            f"shape {array.shape}, {array.dtype}"
            + (f", from {array.min()} to {array.max()}." if is_ids else ".")
        )
    chosen[array] = True
    return chosen


def _same_length(one: np.ndarray, other: np.ndarray) -> None:
    if len(one) != len(other):
        raise DataError(f"Labels must be as many. Received: {len(one)} and {len(other)}.")


@dataclass(frozen=True)
class Memorization:
    """Shares of a network's training examples that it predicts as given or as true, in [0, 1].

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
    """Compare predictions of the training examples with their given and true labels.

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
        memorized=_memorization_share(given[wrong]),
        recovered=_memorization_share((predicted == corruption.true)[wrong]),
        right_accuracy=_memorization_share(given[~wrong]),
    )


def _memorization_share(found: np.ndarray) -> float:
    return float(found.mean()) if found.size else math.nan
