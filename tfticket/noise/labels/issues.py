"""Label issues: the labels that are probably wrong, and what they should be.

Given out-of-sample probabilities q = P(true = j | x) and the transition matrix T, Bayes' rule says
how probable each class is once the given label y is known too:

    P(true = j | x, y) = q_j T_jy / sum_i q_i T_iy

A label is an issue when another one is more probable. Ranking by this instead of by the network's
probabilities alone weighs a network's doubt against how rare wrong labels are: of a 4 that looks
like a 9, a right label is the likelier explanation when 1 % are wrong, and a wrong one at 50 %.
The threshold needs no tuning, and the mean of the probabilities is the precision to expect.

Held-out probabilities aren't q yet. A network that was trained on given labels learns *their*
probabilities, of which q are those behind: p = q M, where M = (1 - l) I + l T says how far it did.
And networks are over- or underconfident, which a temperature t corrects, q^(1/t); an even share is
mixed in for mistakes that they are sure of. The three numbers are those under which the given
labels are most likely, the largest sum of log sum_j q_j T_jy on a grid, without an l whose M has no
inverse (half of the labels of two classes wrong, and all learned): no q follows from p there.

The idea to rank labels by out-of-sample probabilities is that of confident learning (Northcutt,
Jiang & Chuang 2021, arXiv:1911.00068).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from tfticket.display import Displayable
from tfticket.display.charts import Figure
from tfticket.display.plots import lines
from tfticket.display.words import number, percent, plural
from tfticket.errors import DataError
from tfticket.noise.labels.given import checked_labels, checked_probabilities
from tfticket.noise.labels.transition import as_transition

_LEARNED = (0.0, 0.25, 0.5, 0.75, 0.9, 1.0)
_TEMPERATURES = 2.0 ** np.arange(-3, 4.1, 0.5)
_EVEN = (0.0, 0.01, 0.1)  # of the noise rate: more would explain the noise away
_FLOOR = 1e-7
_ANY_CONFUSION = 0.05  # share of the noise that may be of a kind that T knows nothing of
_TINY = 1e-12
_LARGEST_CONDITION = 1e6  # of M; beyond it, rounding would be taken for probabilities
_TIE = 1e-9  # probabilities that differ by less are equal
_FITTED_ON = 4000


@dataclass(frozen=True, eq=False, repr=False)
class LabelIssues(Displayable):
    """Labels that are probably wrong, the most certain first.

    Attributes:
        ids: Their places in the data, shape (s,), int64.
        given: The given labels, shape (s,), int64.
        suggested: The suggested labels, which are most probable, shape (s,), int64.
        probability: Issue scores, P(given label is wrong), shape (s,), falling, in [0, 1].
        all_probabilities: The same for every example, shape (n,).
        learned: The l that was fitted, in [0, 1].
        temperature: The t that was fitted; above 1 for networks that are too sure of themselves.
    """

    ids: np.ndarray
    given: np.ndarray
    suggested: np.ndarray
    probability: np.ndarray
    all_probabilities: np.ndarray
    learned: float
    temperature: float

    def __len__(self) -> int:
        return len(self.ids)

    def __repr__(self) -> str:
        return f"LabelIssues({len(self)} of {len(self.all_probabilities)} labels)"

    def summary(self) -> str:
        """Return the number of issues, and how many are expected to be real, in a sentence."""
        found = (
            f"{plural(len(self), 'label issue')} in {number(len(self.all_probabilities))} labels"
        )
        if not len(self):
            return f"{found}."
        return f"{found}, {percent(self.expected_precision)} of them expected to be real."

    def to_rows(self) -> list[dict[str, Any]]:
        """Return a row for each issue, the most certain first: id, given, suggested, score."""
        columns = (self.ids, self.given, self.suggested, self.probability)
        return [
            {"id": each, "given": given, "suggested": suggested, "probability": probability}
            for each, given, suggested, probability in zip(
                *(column.tolist() for column in columns), strict=True
            )
        ]

    def _figure(self) -> Figure | None:
        if not len(self):
            return None
        found = (list(range(1, len(self) + 1)), (100 * self.probability).tolist())
        return lines({"issues": found}, "label issue, most certain first", "issue score (%)")

    @property
    def expected_precision(self) -> float:
        """Share of the issues that are expected to be real; NaN without issues."""
        return float(self.probability.mean()) if len(self) else float("nan")


def find_label_issues(
    labels: ArrayLike, probabilities: ArrayLike, *, transition: ArrayLike
) -> LabelIssues:
    """Find the labels that are probably wrong.

        >>> probabilities = np.array([[0.9, 0.1], [0.1, 0.9], [0.95, 0.05]] * 20)
        >>> labels = np.array([0, 1, 0] * 20)
        >>> labels[4] = 0
        >>> find_label_issues(labels, probabilities, transition=[[0.9, 0.1], [0.1, 0.9]]).ids
        array([4])

    Args:
        labels: Given labels, shape (n,), integers in [0, k).
        probabilities: Out-of-sample probabilities, shape (n, k). In-sample ones would agree with
            whatever the network was trained on.
        transition: T, shape (k, k): `NoiseEstimate.matrix`.

    Returns:
        The issues, most certain first; ties go by id.

    Raises:
        DataError: when shapes or values are wrong.
    """
    matrix = _softened(np.asarray(as_transition(transition)))
    labels = checked_labels(labels, len(matrix))
    probabilities = checked_probabilities(probabilities, len(labels))
    if probabilities.shape[1] != len(matrix):
        raise DataError(
            f"Probabilities must be about the {len(matrix)} classes of the transition matrix. "
            f"Received: shape {probabilities.shape}."
        )
    classes, learned, temperature = _calibrated(probabilities, matrix, labels)
    posterior = classes * matrix[:, labels].T
    posterior /= posterior.sum(axis=1, keepdims=True)
    everyone = np.arange(len(labels))
    own = posterior[everyone, labels]
    wrong = 1 - own
    order = np.lexsort((everyone, -wrong))
    is_issue = posterior.max(axis=1) > own + _TIE
    ids = order[is_issue[order]]
    suggested = posterior.argmax(axis=1)[ids]
    return LabelIssues(ids, labels[ids], suggested, wrong[ids], wrong, learned, temperature)


def _softened(matrix: np.ndarray) -> np.ndarray:
    """A matrix by which no confusion is quite impossible."""
    k = len(matrix)
    rate = 1 - np.diag(matrix).mean()
    even = rate / (k - 1) * (1 - np.eye(k)) + (1 - rate) * np.eye(k)
    softened: np.ndarray = (1 - _ANY_CONFUSION) * matrix + _ANY_CONFUSION * even
    return softened


def _calibrated(
    probabilities: np.ndarray, matrix: np.ndarray, labels: np.ndarray
) -> tuple[np.ndarray, float, float]:
    """The q under which the given labels are most likely, with its l and t."""
    # Every so-many-th example: three numbers don't need a million of them, and none is drawn.
    part = slice(None, None, -(-len(labels) // _FITTED_ON))
    likelihood = matrix[:, labels[part]].T
    best, rate = (-np.inf, 0.0, 1.0, 0.0), 1 - float(np.diag(matrix).mean())
    for learned in _LEARNED:
        mixing = _mixing(matrix, learned)
        if np.linalg.cond(mixing) > _LARGEST_CONDITION:
            continue
        logs = _unmixed(probabilities[part], mixing)
        for temperature in _TEMPERATURES.tolist():
            classes = _tempered(logs, temperature)
            for even in (rate * share for share in _EVEN):
                explained = (_leveled(classes, even) * likelihood).sum(axis=1)
                total = float(np.log(explained + _TINY).sum())
                best = max(best, (total, learned, temperature, even))
    _, learned, temperature, even = best
    logs = _unmixed(probabilities, _mixing(matrix, learned))
    return _leveled(_tempered(logs, temperature), even), learned, temperature


def _mixing(matrix: np.ndarray, learned: float) -> np.ndarray:
    """M = (1 - l) I + l T."""
    mixing: np.ndarray = (1 - learned) * np.eye(len(matrix)) + learned * matrix
    return mixing


def _unmixed(probabilities: np.ndarray, mixing: np.ndarray) -> np.ndarray:
    """Logarithms of the class probabilities behind those of labels, q = p inv(M)."""
    behind = np.maximum(np.linalg.solve(mixing.T, probabilities.T).T, _FLOOR)
    logs: np.ndarray = np.log(behind / behind.sum(axis=1, keepdims=True))
    return logs


def _tempered(logs: np.ndarray, temperature: float) -> np.ndarray:
    classes: np.ndarray = special.softmax(
        (logs - logs.max(axis=1, keepdims=True)) / temperature, axis=1
    )
    return classes


def _leveled(classes: np.ndarray, even: float) -> np.ndarray:
    leveled: np.ndarray = (1 - even) * classes + even / classes.shape[1]
    return leveled
