"""Label noise that looks like people's: look-alike classes, and examples that are hard to tell."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy import optimize, special

from tfticket.errors import DataError
from tfticket.noise.labels.corruption import CHUNK, Corruption, as_rows, pick
from tfticket.noise.labels.given import checked_labels
from tfticket.noise.labels.transition import checked_rate
from tfticket.seeds import generator

_LOOKS = 32  # numbers that the weak learner sees of an example
_FOLDS = 5
_RIDGE = 0.1  # added to each variance, which is about 1
_CUT = 3.0  # deviations: no single value decides
# From people's labels of CIFAR-10 (Wei et al. 2022, arXiv:2110.12088). Each of three people is
# wrong about 17.7 % of the images, and about 40.2 % at least one is: among images, the log odds of
# a wrong label have a deviation of 0.97, those of the rates of classes one of 0.31. Of a class's
# wrong labels the most frequent one takes 35 %, and two people who are both wrong agree in 38 %,
# where by class alone they would in 22 %. These four numbers give 0.97, 0.31, 33 % and 39 %.
_BETWEEN, _WITHIN = 0.37, 0.90
_ALIKE, _OF_EXAMPLE = 1.8, 1.6


def human_like(
    x: ArrayLike, labels: ArrayLike, *, num_classes: int, rate: float, seed: int
) -> Corruption:
    """Draw given labels as people do: classes that look alike are confused, by hard examples first.

    A weak learner that wasn't trained on the example, linear discriminant analysis of a few random
    projections, says how much it looks like each class: s_j = log p(j | x). With y the true class,

        P(given != y | x)     = sigmoid(b - m),   m = s_y - max_j s_j    mean over examples: `rate`
        P(given = j | x, given != y)  = softmax_j(a_yj + e_j)            over j != y

    where m, the mean look-alike a_yj of two classes, and what the example adds to it, e_j, are
    scaled to the spread that people's labels of CIFAR-10 have. So rates differ by class and by
    example, and look-alikes are confused. A class without examples is never given.

        >>> import numpy as np
        >>> x, labels = np.random.default_rng(0).normal(size=(2_000, 8)), np.arange(2_000) % 4
        >>> x[:, :4] += np.array([[0, 0, 0, 0], [1, 0, 0, 0], [4, 0, 0, 0], [0, 4, 0, 0]])[labels]
        >>> made = human_like(x, labels, num_classes=4, rate=0.2, seed=0)
        >>> made.realized.argsort(axis=1)[:, -2]  # 0 and 1 look alike
        array([1, 0, 1, 0])

    With one seed, what is wrong at a low rate is wrong in the same way at any higher one.

    Source: Chen et al., "Beyond Class-Conditional Assumption" (2021, arXiv:2012.05458), which flips
    the examples of the largest mean softmax of another class, always to that class.

    Args:
        x: Inputs, shape (n, ...), finite numbers.
        labels: True labels, shape (n,), integers in [0, num_classes).
        num_classes: k, at least 2.
        rate: Mean probability of a wrong label, in [0, 1].
        seed: Seed of the run.

    Raises:
        DataError: when an argument is out of its range, x and labels differ in number, or all
            labels are of one class.
    """
    true = checked_labels(labels, num_classes)
    rate = checked_rate(rate)
    rows = as_rows(x, len(true))
    absent = np.bincount(true, minlength=num_classes) == 0
    if num_classes - absent.sum() < 2:
        raise DataError(
            f"All labels are {true[0]}, so there is no class to confuse them with. There must be "
            "examples of two classes or more."
        )
    margin, targets = _spread(_log_posterior(_looks(rows, seed), true, num_classes, seed), true)
    flip = generator(seed, "noise", "flips").random(len(true)) < _flip_rates(margin, rate)
    aim = generator(seed, "noise", "targets").random(len(true))
    given = true.copy()
    given[flip] = pick(special.softmax(targets[flip], axis=1), aim[flip])
    return Corruption(
        given=given,
        true=true,
        num_classes=num_classes,
        kind="human_like",
        nominal_rate=rate,
        seed=seed,
    )


def _spread(scores: np.ndarray, true: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Scale the parts of a class and of an example to the spread that they have in people's labels.

    Args:
        scores: log p(j | x) up to a number for each example, shape (n, k).
        true: True labels, shape (n,).

    Returns:
        The margin m of each example, shape (n,), and the log odds of wrong labels, shape (n, k):
        -inf for the true one and for classes without examples.
    """
    classes, of_class = np.unique(true, return_inverse=True)
    scores, everyone = scores[:, classes], np.arange(len(true))
    own = scores[everyone, of_class]
    scores[everyone, of_class] = np.nan
    margin = own - np.nanmax(scores, axis=1)
    scores -= np.nanmean(scores, axis=1, keepdims=True)
    margins, alike = np.empty(len(classes)), np.empty((len(classes), len(classes)))
    for place in range(len(classes)):
        members = of_class == place
        margins[place], alike[place] = margin[members].mean(), scores[members].mean(axis=0)
        margin[members] = _unit(margin[members])
        scores[members] = _unit(scores[members] - alike[place])
    margin = _BETWEEN * _unit(margins)[of_class] + _WITHIN * margin
    found = _ALIKE * _unit(alike, axis=1)[of_class] + _OF_EXAMPLE * scores
    targets = np.full((len(true), int(true.max()) + 1), -np.inf)
    targets[:, classes] = np.where(np.isnan(found), -np.inf, found)
    return margin, targets


def _unit(values: np.ndarray, axis: int | None = None) -> np.ndarray:
    """Bring values to mean 0 and deviation 1, NaN aside; what doesn't vary becomes 0."""
    deviation = np.nanstd(values, axis=axis, keepdims=True)
    centered = values - np.nanmean(values, axis=axis, keepdims=True)
    found: np.ndarray = centered / np.where(deviation > 0, deviation, 1.0)
    return found


def _flip_rates(margin: np.ndarray, rate: float) -> np.ndarray:
    """sigmoid(b - margin), shape (n,), with the b of a mean of `rate`."""
    if rate in (0, 1):
        return np.full(len(margin), rate)
    low, high = special.logit(rate) + margin.min() - 1, special.logit(rate) + margin.max() + 1
    b = optimize.brentq(lambda b: special.expit(b - margin).mean() - rate, low, high)
    rates: np.ndarray = special.expit(b - margin)
    return rates


def _looks(rows: np.ndarray, seed: int) -> np.ndarray:
    """Random projections of the columns, each brought to mean 0 and deviation 1 before.

    Args:
        rows: Inputs, shape (n, values).
        seed: Seed of the run.

    Returns:
        Shape (n, d), float32, with d at most 32.
    """
    some = generator(seed, "noise", "scale").permutation(len(rows))[:CHUNK]
    sample = rows[np.sort(some)].astype(np.float64)
    mean, deviation = sample.mean(axis=0), sample.std(axis=0)
    scale = np.divide(1.0, deviation, out=np.zeros_like(deviation), where=deviation > 0)
    columns = rows.shape[1]
    shape = (columns, min(_LOOKS, columns))
    w = generator(seed, "noise", "projection").normal(size=shape) / np.sqrt(columns)
    mean, scale, w = (array.astype(np.float32) for array in (mean, scale, w))
    found = [
        np.clip((rows[start : start + CHUNK] - mean) * scale, -_CUT, _CUT) @ w
        for start in range(0, len(rows), CHUNK)
    ]
    return np.concatenate(found)


def _log_posterior(
    looks: np.ndarray, labels: np.ndarray, num_classes: int, seed: int
) -> np.ndarray:
    """Return log p(j | x), up to a number for each example, by learners not trained on it.

    Classes count as equally frequent. One without examples in a part of the data looks like the
    average there.

    Args:
        looks: Shape (n, d).
        labels: Shape (n,).
        num_classes: k.
        seed: Seed of the run.

    Returns:
        Shape (n, k), float32.
    """
    scores = np.empty((len(labels), num_classes), np.float32)
    order = generator(seed, "noise", "folds").permutation(len(labels))
    for held_out in np.array_split(order, min(_FOLDS, len(labels))):
        rest = np.delete(np.arange(len(labels)), held_out)
        z, y = looks[rest].astype(np.float64), labels[rest]
        sums = np.zeros((num_classes, looks.shape[1]))
        np.add.at(sums, y, z)
        counts = np.bincount(y, minlength=num_classes)[:, None]
        means = (sums + z.mean(axis=0)) / (counts + 1)
        within = z - means[y]
        covariance = within.T @ within / len(z) + _RIDGE * np.eye(looks.shape[1])
        weights = np.linalg.solve(covariance, means.T)
        bias = -0.5 * np.sum(means.T * weights, axis=0)
        scores[held_out] = looks[held_out] @ weights + bias
    return scores
