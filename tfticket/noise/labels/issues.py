"""Label issues: every label ranked by how suspicious it is, and those that are probably wrong.

Given out-of-sample probabilities q = P(true = j | x) and the transition matrix T, Bayes' rule gives
the odds that a given label y is wrong:

    log odds = log sum_{j != y} q_j (T_jy + r q_y / (1 - q_j)) - log q_y T_yy (1 - r)

They rank, and never saturate, where probabilities round to 1. They weigh a network's doubt against
how rare wrong labels are, and where these come from: of a 4 that looks like a 9, a right label is
the likelier explanation when 1 % are wrong, and a wrong one at 50 %. A temperature, under which the
given labels are most likely, first corrects networks that are too sure of themselves. What they
predict holds a part of the noise that they were trained on, which one step of expectation
maximization takes back (`_unfolded`): as many as it takes would amplify what isn't known of T.

T must not hold a network's own mistakes, or these lead the list. Mistakes become rarer as
predictions become more confident, and wrong labels don't, so the most confident predictions tell
how often labels are confused. Few of them are wrong: what is counted of each confusion is shrunk
towards the mean of all, as far as they aren't shown to differ (`confusions`).

What the network disagrees with beyond T is its mistakes, or noise that follows looks: a wrong label
then is a class that the example resembles, drawn by q. Nothing in the data tells which, so half of
it counts as such noise, r. Without it, confusions that T calls rare would be thought mistakes.

What probabilities these odds stand for is settled by the noise rate: the estimated one, or the mean
of the probabilities where that is higher and the estimate's interval allows it. All log odds are
shifted until their probabilities sum to that share of the labels. The mean over the first m is then
the precision to expect of a list of m.

In-sample margins of networks, averaged over epochs, tell apart what held-out predictions confuse,
and come for free where a network is trained on the other folds. Where they are known, their order,
brought to the distribution of the odds, counts for as much as these.

The list ends where the F1 score that is expected is largest. Where no wrong label is shown, it
holds what is more probably wrong than right. It is never longer than the estimate lets it be.

The idea to rank labels by out-of-sample probabilities is that of confident learning (Northcutt,
Jiang & Chuang 2021, arXiv:1911.00068).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from tfticket.display import Displayable
from tfticket.display.charts import Figure
from tfticket.display.plots import lines
from tfticket.display.words import number, percent, plural
from tfticket.noise.estimate.kinds import CLEAN, PAIR
from tfticket.noise.estimate.noise_estimate import NoiseEstimate
from tfticket.noise.estimate.windows import count_windows, pieces
from tfticket.noise.labels.given import NO_CLASS
from tfticket.noise.labels.transition import noise_rate

_TEMPERATURES = 2.0 ** np.arange(-2, 3.1, 0.25)
_FLOOR = 1e-9
_TIE = 1e-9  # of probabilities
_EVEN = 0.2  # of the disagreement: mistakes that networks are sure of
_EVEN_SHARES = (1e-4, 0.1)
_TAIL = 0.001
_FITTED_ON = 2000
_STRENGTHS = 2.0 ** np.arange(-2, 14)  # of the mean of all confusions, in examples
_FOLLOWS = 0.5  # of the disagreement that T doesn't explain: noise that follows looks
_MOST_CONFUSED = 0.45  # share of a class that goes to a single other one
_MOST_WRONG = 0.8  # share of a class
_LEAST_RATE = 0.01
_MOST_CLASSES = 500  # whose confusions are counted
_DOUBT = 0.1  # of what can't be ruled out above a rate that can't be relied on


@dataclass(frozen=True, eq=False, repr=False)
class LabelIssues(Displayable):
    """All labels, ranked by how suspicious they are, and those that are probably wrong.

    Attributes:
        given: The given labels, shape (n,), int64; -1 where there is none.
        suggested: The labels that are most probable, shape (n,), int64.
        score: Issue scores, shape (n,), in [0, 1], higher for labels that are more suspicious:
            probabilities that the label is wrong, as far as the noise rate is known. NaN without a
            label.
        is_issue: Whether the label is probably wrong, shape (n,), bool.
        margin: Out-of-sample probability of the given label less the largest other one, shape
            (n,), in [-1, 1]; NaN without a label.
        expected_precision: Share of the labels that are at least as suspicious which are expected
            to be wrong, shape (n,); NaN without a label, and where the noise rate isn't
            identifiable.
        ranking: Ids of all examples with a label, the most suspicious first, shape (m,), int64.
        pred_probs: The out-of-sample probabilities, shape (n, k), float32.
        estimate: The noise, as it is estimated.
        class_names: A name for each class.
        fold: The fold in which each example was held out, shape (n,), int64; -1 where unknown.
        learner: What predicted; empty where the predictions were given.
    """

    given: np.ndarray
    suggested: np.ndarray
    score: np.ndarray
    is_issue: np.ndarray
    margin: np.ndarray
    expected_precision: np.ndarray
    ranking: np.ndarray
    pred_probs: np.ndarray
    estimate: NoiseEstimate
    class_names: tuple[str, ...]
    fold: np.ndarray
    learner: str = ""

    def __len__(self) -> int:
        return int(self.is_issue.sum())

    def __repr__(self) -> str:
        return f"LabelIssues({len(self)} of {len(self.given)} labels)"

    @property
    def ids(self) -> np.ndarray:
        """The label issues: ids of labels that are probably wrong, most suspicious first."""
        ids: np.ndarray = self.ranking[self.is_issue[self.ranking]]
        return ids

    @property
    def precision(self) -> float:
        """Share of the issues that are expected to be real; NaN where nothing can be expected."""
        if not len(self) or not self.estimate.identifiable:
            return float("nan")
        return float(self.score[self.is_issue].mean())

    def summary(self) -> str:
        """Return the number of issues, and how many are expected to be real, in a sentence."""
        count = len(self.ranking)
        found = f"{plural(len(self), 'label issue')} in {number(count)} labels"
        missing = len(self.given) - count
        if missing:
            found += f", {number(missing)} more without a label"
        if np.isnan(self.precision):
            return f"{found}."
        return f"{found}, {percent(self.precision)} of them expected to be real."

    def to_rows(self) -> list[dict[str, Any]]:
        """Return a row for each example, by id."""
        names = {NO_CLASS: ""} | dict(enumerate(self.class_names))
        columns = {
            "id": range(len(self.given)),
            "given": self.given.tolist(),
            "given_name": [names[label] for label in self.given.tolist()],
            "suggested": self.suggested.tolist(),
            "suggested_name": [names[label] for label in self.suggested.tolist()],
            "score": self.score.tolist(),
            "is_issue": self.is_issue.tolist(),
            "fold": self.fold.tolist(),
            "margin": self.margin.tolist(),
            "expected_precision": self.expected_precision.tolist(),
        }
        return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]

    def _figure(self) -> Figure | None:
        if not len(self):
            return None
        found = (list(range(1, len(self) + 1)), (100 * self.score[self.ids]).tolist())
        return lines({"issues": found}, "label issue, most suspicious first", "issue score (%)")


def issues_of(
    labels: np.ndarray,
    probabilities: np.ndarray,
    *,
    estimate: NoiseEstimate,
    transition: ArrayLike | None = None,
    folds: np.ndarray | None = None,
    in_sample: np.ndarray | None = None,
    learner: str = "",
    class_names: Sequence[str] | None = None,
) -> LabelIssues:
    """Rank labels, and name those that are probably wrong.

    Args:
        labels: Given labels, shape (n,), int64; -1 where there is none.
        probabilities: Out-of-sample probabilities, shape (n, k), rows summing to 1.
        estimate: What is estimated from the same predictions.
        transition: T, shape (k, k), where it is known: it then counts, and not the estimate.
        folds: The fold of each example, shape (n,).
        in_sample: Mean in-sample logit margin of each example, shape (n,), NaN where unknown: then
            both rank.
        learner: What predicted.
        class_names: A name for each class; None names them by number.
    """
    k = probabilities.shape[1]
    known = np.flatnonzero(labels != NO_CLASS)
    given = labels[known]
    if transition is not None:
        matrix = np.asarray(transition, np.float64)
        rate = noise_rate(matrix, np.bincount(given, minlength=k) / len(given))
        matrix, follows = softened(matrix), 0.0
        most = len(given)
    else:
        matrix = ranking_matrix(
            given,
            probabilities if len(known) == len(labels) else probabilities[known],
            estimate=estimate,
            folds=None if folds is None else folds[known],
        )
        explained = noise_rate(matrix, np.bincount(given, minlength=k) / len(given))
        follows = _FOLLOWS * max(0.0, estimate.disagreement[0] - explained)
        most = _most_accused(estimate, len(given))
    even = float(np.clip(_EVEN * estimate.disagreement[0], *_EVEN_SHARES))
    odds, other, margin = log_odds(given, probabilities, matrix, known, even=even, follows=follows)
    if in_sample is not None and np.isfinite(in_sample[known]).all():
        odds = (odds + _matched(-in_sample[known], odds)) / 2
    order = np.lexsort((known, -odds))
    if transition is None:
        rate = _expected_rate(estimate, odds, follows=follows)
    wrong = special.expit(odds + _shift(odds, rate))
    # Where another class is just as probable, nothing speaks against a label.
    best = np.where((np.abs(margin) > _TIE) & (wrong > 0.5), other, given)
    clean = transition is None and estimate.kind == CLEAN
    count = min(most, _list_length(wrong[order], clean=clean))
    doubted = (best != given) | (margin < 0)
    # The only example of a class was held out from all that could have known the class.
    doubted &= np.bincount(given, minlength=k)[given] > 1
    accused = order[:count][doubted[order[:count]]]
    best[accused] = other[accused]

    score, margins, precision = (np.full(len(labels), np.nan) for _ in range(3))
    score[known], margins[known] = wrong, margin
    is_issue = np.zeros(len(labels), bool)
    is_issue[known[accused]] = True
    if estimate.identifiable or transition is not None:
        precision[known[order]] = np.cumsum(wrong[order]) / np.arange(1, len(order) + 1)
    suggested = probabilities.argmax(axis=1)
    suggested[known] = best
    return LabelIssues(
        given=labels.copy(),
        suggested=suggested,
        score=score,
        is_issue=is_issue,
        margin=margins,
        expected_precision=precision,
        ranking=known[order],
        pred_probs=probabilities.astype(np.float32, copy=False),
        estimate=estimate,
        class_names=tuple(class_names or map(str, range(k))),
        fold=np.full(len(labels), -1) if folds is None else np.asarray(folds, np.int64),
        learner=learner,
    )


def log_odds(
    given: np.ndarray,
    probabilities: np.ndarray,
    matrix: np.ndarray,
    ids: np.ndarray,
    *,
    even: float,
    follows: float = 0.0,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Compute the log odds that labels are wrong.

    Args:
        given: Labels of some examples, shape (m,).
        probabilities: Out-of-sample probabilities of all, shape (n, k).
        matrix: T, shape (k, k).
        ids: These examples, shape (m,).
        even: Even share that is mixed into probabilities, for what a network is mistaken on and
            sure of.
        follows: Rate of the noise that follows looks, in [0, 1): a wrong label is drawn by q.

    Returns:
        Log odds, the most probable other classes and the margins, each of shape (m,).
    """
    temperature = _temperature(given, probabilities, matrix, ids, even=even)
    odds, margin = np.empty(len(ids)), np.empty(len(ids))
    others = np.empty(len(ids), np.int64)
    for part in pieces(len(ids), probabilities.shape[1]):
        rows, y = probabilities[ids[part]].astype(np.float64), given[part]
        own = np.arange(len(rows)), y
        alone = rows[own].copy()
        rows[own] = -1
        margin[part] = alone - rows.max(axis=1)
        rows[own] = alone
        logs = _logs(rows, matrix, even) / temperature
        classes = special.softmax(logs, axis=1)
        resembled = classes[own][:, None]
        told = matrix.T[y] + follows * resembled / np.maximum(1 - classes, resembled)
        told[own] = (1 - follows) * np.diag(matrix)[y]
        with np.errstate(divide="ignore"):
            joint = logs + np.log(told)
        alone = joint[own].copy()
        joint[own] = -np.inf
        others[part] = joint.argmax(axis=1)
        with np.errstate(invalid="ignore"):
            rivals = special.logsumexp(joint, axis=1)
            odds[part] = np.where(rivals == -np.inf, -np.inf, rivals - alone)
    return odds, others, margin


def _matched(values: np.ndarray, odds: np.ndarray) -> np.ndarray:
    """Values of the same order, distributed as the odds are, shape (m,)."""
    matched = np.empty_like(odds)
    matched[np.argsort(values, kind="stable")] = np.sort(odds)
    return matched


def _logs(rows: np.ndarray, matrix: np.ndarray, even: float) -> np.ndarray:
    """Logarithms of class probabilities that a network may be mistaken on.

    Below the even share, they fall by a thousandth of what they would, so that order is kept.
    """
    classes = _unfolded(rows.astype(np.float64), matrix)
    logs: np.ndarray = np.log(classes + even / classes.shape[1])
    logs += _TAIL * np.log(np.maximum(classes, np.finfo(np.float32).tiny))
    return logs


def _unfolded(rows: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """One step from probabilities of given labels, q T, towards those of the classes, q.

    Source: Richardson (1972) and Lucy (1974), where images are what is blurred.
    """
    given = rows @ matrix
    ratio = np.divide(rows, given, out=np.zeros_like(rows), where=given > 0)
    classes: np.ndarray = rows * (ratio @ matrix.T)
    classes /= classes.sum(axis=1, keepdims=True)
    return classes


def softened(matrix: np.ndarray, share: float = 0.05) -> np.ndarray:
    """Return a matrix by which no confusion is quite impossible, shape (k, k)."""
    even: np.ndarray = (1 - share) * matrix + share * _even(
        len(matrix), 1 - float(np.diag(matrix).mean())
    )
    return even


def _even(k: int, rate: float) -> np.ndarray:
    matrix = np.full((k, k), rate / (k - 1))
    np.fill_diagonal(matrix, 1 - rate)
    return matrix


def ranking_matrix(
    given: np.ndarray,
    probabilities: np.ndarray,
    *,
    estimate: NoiseEstimate,
    folds: np.ndarray | None = None,
) -> np.ndarray:
    """The transition matrix to rank by, shape (k, k).

    Args:
        given: Given labels, shape (m,).
        probabilities: Their out-of-sample probabilities, shape (m, k).
        estimate: What is estimated from them.
        folds: The fold of each, shape (m,).
    """
    k = probabilities.shape[1]
    if estimate.learned and k <= _MOST_CLASSES:
        return confusions(given, probabilities, folds=folds)
    return _even(k, float(np.clip(estimate.rate, _LEAST_RATE, 1 - 1 / k - _LEAST_RATE)))


def confusions(
    given: np.ndarray, probabilities: np.ndarray, *, folds: np.ndarray | None = None
) -> np.ndarray:
    """Estimate how often each class is given as each other, beside a network's own mistakes.

    In windows of rising confidence, wrong predictions become rare and wrong labels don't. The
    confusions in the narrowest window are binomial, with rates from a beta distribution around
    their mean. It is fitted to the counts (empirical Bayes): where all confusions are alike, each
    gets the mean, and where they differ, its own share.

    Args:
        given: Given labels, shape (m,).
        probabilities: Their out-of-sample probabilities, shape (m, k).
        folds: The fold of each, shape (m,).

    Returns:
        A transition matrix, shape (k, k).
    """
    counts = count_windows(given, probabilities, folds=folds).counts[-1].astype(np.float64)
    sizes = np.repeat(counts.sum(axis=1, keepdims=True), len(counts), axis=1)
    others = ~np.eye(len(counts), dtype=bool)
    wrong, of = counts[others], sizes[others]
    mean = (wrong.sum() + 0.5) / (of.sum() + 1)

    def evidence(strength: float) -> float:
        a, b = strength * mean, strength * (1 - mean)
        logs = special.betaln(wrong + a, of - wrong + b) - special.betaln(a, b)
        return float(logs.sum())

    strength = max(_STRENGTHS.tolist(), key=evidence)
    matrix: np.ndarray = np.minimum((counts + strength * mean) / (sizes + strength), _MOST_CONFUSED)
    np.fill_diagonal(matrix, 0)
    total = matrix.sum(axis=1, keepdims=True)
    matrix *= np.minimum(1, _MOST_WRONG / np.maximum(total, _FLOOR))
    np.fill_diagonal(matrix, 1 - matrix.sum(axis=1))
    return matrix


def _temperature(
    given: np.ndarray,
    probabilities: np.ndarray,
    matrix: np.ndarray,
    ids: np.ndarray,
    *,
    even: float,
) -> float:
    """The temperature of class probabilities q under which given labels, of q T, are likeliest."""
    part = slice(None, None, -(-len(ids) // _FITTED_ON))
    logs = _logs(probabilities[ids[part]], matrix, even)
    told = matrix.T[given[part]]

    def likelihood(temperature: float) -> float:
        classes = special.softmax(logs / temperature, axis=1)
        return float(np.log((classes * told).sum(axis=1) + _FLOOR).mean())

    return float(max(_TEMPERATURES.tolist(), key=likelihood))


def _shift(odds: np.ndarray, rate: float) -> float:
    """Return the shift of log odds under which their probabilities have the mean `rate`."""
    finite = odds[np.isfinite(odds)]
    if not len(finite) or rate <= 0:
        return -np.inf if rate <= 0 else 0.0
    goal = min(rate * len(odds), len(finite) * (1 - _FLOOR))
    low, high = -float(finite.max()) - 40.0, -float(finite.min()) + 40.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (low, middle) if special.expit(finite + middle).sum() > goal else (middle, high)
    return (low + high) / 2


def _list_length(wrong: np.ndarray, *, clean: bool) -> int:
    """Return the number of labels to list, the most suspicious first.

    Args:
        wrong: Probabilities that labels are wrong, falling, shape (m,).
        clean: Whether no wrong label is shown.
    """
    if clean:
        return int((wrong > 0.5).sum())
    hits = np.cumsum(wrong)
    if not len(hits) or hits[-1] <= 0:
        return 0
    f1 = 2 * hits / (np.arange(1, len(hits) + 1) + hits[-1])
    return int(f1.argmax()) + 1


def _expected_rate(estimate: NoiseEstimate, odds: np.ndarray, *, follows: float) -> float:
    """The rate that is estimated, or that the odds speak for, where that is higher.

    Nothing shows noise that follows looks: of the rate that the odds reckon with, half counts.
    Where the rate can't be relied on, it is a tenth of the way up to what can't be ruled out.
    """
    if estimate.kind == CLEAN:
        return estimate.rate
    high = min(estimate.high, estimate.disagreement[0])
    if estimate.kind == PAIR:  # is memorized, and then agreed with
        high = max(high, estimate.rate)
    mean = float(special.expit(odds).mean()) - follows / 2
    rate = float(np.clip(mean, min(estimate.rate, high), high))
    return rate if estimate.identifiable else rate + _DOUBT * (high - rate)


def _most_accused(estimate: NoiseEstimate, count: int) -> int:
    """Return the largest number of wrong labels by an estimate; 0 if nothing was learned."""
    if not estimate.learned:
        return 0
    return int(np.floor(estimate.high * count))
