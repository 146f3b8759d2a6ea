"""Which labels are wrong, and what they should be.

Given out-of-sample probabilities q = P(true = j | x) and the transition matrix T, Bayes' rule says
how probable each class is once the given label y is known too:

    P(true = j | x, y) = q_j T_jy / sum_i q_i T_iy

A label is suspect when it isn't the most probable one. Ranking by this instead of by the network's
probabilities alone weighs a network's doubt against how rare wrong labels are: of a 4 that looks
like a 9, a right label is the likelier explanation when 1 % are wrong, and a wrong one at 50 %.
The threshold needs no tuning, and the mean of the probabilities is the precision to expect.

Networks are over- or underconfident, most of all when trained on wrong labels. A temperature t
brings them in line: it maximizes the likelihood of the given labels, sum log sum_j q_j(t) T_jy with
q(t) proportional to q^(1/t). The confidently wrong tail gets a share of its own, an even mixture
that is fitted along with t.

The idea to rank labels by out-of-sample probabilities is that of confident learning (Northcutt,
Jiang & Chuang 2021, arXiv:1911.00068).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from tfticket.errors import DataError
from tfticket.noisy.labels import checked_labels, checked_probabilities
from tfticket.noisy.transition import as_transition

_TEMPERATURES = 2.0 ** np.arange(-4, 4.1, 0.5)
_EVEN = (0.0, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1)
_ANY_CONFUSION = 0.05  # share of the noise that may be of a kind that T knows nothing of
_TINY = 1e-12
_FITTED_ON = 20_000


@dataclass(frozen=True, eq=False)
class Suspects:
    """Labels that are probably wrong, the most certain first.

    Attributes:
        ids: Their places in the data, shape (s,), int64.
        given: Their labels, shape (s,), int64.
        suggested: The most probable classes, shape (s,), int64.
        probability: P(given label is wrong), shape (s,), falling, in [0, 1].
        all_probabilities: The same for every example, shape (n,).
        temperature: The t that was fitted; above 1 for networks that are too sure of themselves.
    """

    ids: np.ndarray
    given: np.ndarray
    suggested: np.ndarray
    probability: np.ndarray
    all_probabilities: np.ndarray
    temperature: float

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def expected_precision(self) -> float:
        """Share of the suspects whose label is expected to be wrong; NaN without suspects."""
        return float(self.probability.mean()) if len(self) else float("nan")


def find_suspects(
    labels: ArrayLike, probabilities: ArrayLike, *, transition: ArrayLike
) -> Suspects:
    """Finds labels that are probably wrong.

    Args:
        labels: Given labels, shape (n,), integers in [0, k).
        probabilities: Out-of-sample probabilities, shape (n, k). In-sample ones would agree with
            whatever the network was taught.
        transition: T, shape (k, k): `NoiseEstimate.matrix`.

    Returns:
        The suspects, most certain first; ties go by id.

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
    logs = np.log(np.maximum(probabilities, _TINY))
    likelihood = matrix[:, labels].T
    temperature, even = _calibration(logs, likelihood)
    posterior = _tempered(logs, temperature, even) * likelihood
    posterior /= posterior.sum(axis=1, keepdims=True)
    everyone = np.arange(len(labels))
    wrong = 1 - posterior[everyone, labels]
    best = posterior.argmax(axis=1)
    order = np.lexsort((everyone, -wrong))
    ids = order[best[order] != labels[order]]
    return Suspects(ids, labels[ids], best[ids], wrong[ids], wrong, temperature)


def _softened(matrix: np.ndarray) -> np.ndarray:
    """A matrix by which no confusion is quite impossible."""
    k = len(matrix)
    rate = 1 - np.diag(matrix).mean()
    even = rate / (k - 1) * (1 - np.eye(k)) + (1 - rate) * np.eye(k)
    return (1 - _ANY_CONFUSION) * matrix + _ANY_CONFUSION * even


def _calibration(logs: np.ndarray, likelihood: np.ndarray) -> tuple[float, float]:
    """Temperature and even share under which the given labels are most likely."""
    # Every so-many-th example: two numbers don't need a million of them, and none is drawn.
    step = -(-len(logs) // _FITTED_ON)
    logs, likelihood = logs[::step], likelihood[::step]
    best = (-np.inf, 1.0, 0.0)
    for temperature in _TEMPERATURES.tolist():
        for even in _EVEN:
            explained = (_tempered(logs, temperature, even) * likelihood).sum(axis=1)
            best = max(best, (float(np.log(explained + _TINY).sum()), temperature, even))
    return best[1], best[2]


def _tempered(logs: np.ndarray, temperature: float, even: float) -> np.ndarray:
    powers = np.exp((logs - logs.max(axis=1, keepdims=True)) / temperature)
    powers /= powers.sum(axis=1, keepdims=True)
    return (1 - even) * powers + even / logs.shape[1]
