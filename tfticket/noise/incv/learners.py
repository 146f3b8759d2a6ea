"""Simple learners for rows of numbers: features, embeddings, tables.

A network of some hundred steps is the wrong tool for them: columns of large numbers drown the
others, and hundred classes of thirty examples are more than it learns. Scaled by column, they suit
logistic regression, which draws straight borders, and nearest neighbors, which draw any; the mean
of both errs less than either when labels are wrong. Which one is taken is decided by the held-out
likelihood of the given labels.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping

import numpy as np

from tfticket.errors import ModelError
from tfticket.seeds import generator

LOGISTIC, NEIGHBORS, BOTH = "logistic regression", "nearest neighbors", "the mean of both"

_STRENGTH = 0.1  # inverse of the penalty of scikit-learn
_STEPS = 200
_MOST_NEIGHBORS, _FEWEST_NEIGHBORS = 10, 3
_LARGEST_LOGISTIC = 2e7  # examples times columns times classes; more takes minutes
_MOST_REMEMBERED = 20_000  # rows among which neighbors are looked for
_SMOOTHING = 1e-3  # of probabilities, which are 0 where no neighbor has the label


def predict_rows(
    x: np.ndarray,
    labels: np.ndarray,
    *,
    num_classes: int,
    train: np.ndarray,
    held_out: np.ndarray,
    rng: np.random.Generator,
    logistic: bool = True,
) -> dict[str, np.ndarray]:
    """Train simple learners on some rows, and predict others.

    Args:
        x: Rows of numbers, shape (n, columns), finite.
        labels: Given labels, shape (n,), int64.
        num_classes: k.
        train: Ids to learn from, shape (m,).
        held_out: Ids to predict, shape (h,).
        rng: Draws the rows that are remembered where there are many.
        logistic: Use logistic regression too.

    Returns:
        Probabilities by the name of the learner, each of shape (h, k). Logistic regression, and
        with it the mean of both, is left out where it would take minutes.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.preprocessing import StandardScaler

    scaler = StandardScaler().fit(x[train])
    x_train, x_test = scaler.transform(x[train]), scaler.transform(x[held_out])
    y_train = labels[train]
    part = np.sort(rng.permutation(len(train))[:_MOST_REMEMBERED])
    count = len(y_train[part]) // num_classes // 2
    neighbors = KNeighborsClassifier(
        min(max(count, _FEWEST_NEIGHBORS), _MOST_NEIGHBORS, len(y_train[part])), weights="distance"
    )
    # Held-out data judges steps that didn't suffice, and labels may be rare.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        neighbors.fit(x_train[part], y_train[part])
        found = {NEIGHBORS: _probabilities(neighbors, x_test, num_classes)}
        if logistic and x_train.size * num_classes <= _LARGEST_LOGISTIC:
            regression = LogisticRegression(C=_STRENGTH, max_iter=_STEPS)
            if len(np.unique(y_train)) == 1:  # no border to be drawn
                regression = neighbors
            regression.fit(x_train, y_train)
            found[LOGISTIC] = _probabilities(regression, x_test, num_classes)
            found[BOTH] = (found[LOGISTIC] + found[NEIGHBORS]) / 2
    return found


def best_learner(predicted: Mapping[str, np.ndarray], labels: np.ndarray) -> str:
    """Choose the learner by whose held-out probabilities the given labels are most likely.

    Args:
        predicted: Held-out probabilities by learner, each of shape (n, k).
        labels: Given labels, shape (n,), int64.
    """

    def likelihood(name: str) -> float:
        rows = predicted[name]
        own = rows[np.arange(len(labels)), labels]
        smoothed = (own + _SMOOTHING / rows.shape[1]) / (1 + _SMOOTHING)
        return float(np.log(smoothed).mean())

    return max(predicted, key=likelihood)


def _probabilities(learner: object, x: np.ndarray, num_classes: int) -> np.ndarray:
    """Of all classes, also of those without training examples."""
    rows = np.zeros((len(x), num_classes))
    rows[:, learner.classes_] = learner.predict_proba(x)  # type: ignore[attr-defined]
    return rows


_ASKED = 2000
_COLUMNS = 1000
_LEAST_SHARE = 2 / 3  # of the agreement of nearest neighbors
_DEVIATIONS = 3.0


def check_learned(
    x: np.ndarray, labels: np.ndarray, *, predicted: np.ndarray, folds: np.ndarray, seed: int
) -> None:
    """Raise a `ModelError` when held-out predictions are far worse than those of neighbors.

    A network that hasn't learned disagrees with most labels, as one does whose labels are mostly
    wrong; and what disagrees is removed. Nearest neighbors of the inputs as they are need no
    training, so where they agree with held-out labels half as often again as the network, it is
    the network that is wrong. On data that they can't tell apart, they say nothing.

    Args:
        x: Inputs, shape (n, ...).
        labels: Given labels, shape (n,), int64.
        predicted: Held-out predictions of the networks, classes of shape (n,).
        folds: The fold of each example, shape (n,).
        seed: Random seed of the sample that is compared.

    Raises:
        ModelError: as said.
    """
    rng = generator(seed, "incv", "learned")
    ids = np.sort(rng.permutation(len(labels))[:_ASKED])
    rows = x.reshape(len(x), -1)
    rows = rows[ids][:, :: -(-rows.shape[1] // _COLUMNS)].astype(np.float64)
    given, dealt, agrees = labels[ids], folds[ids], predicted[ids] == labels[ids]
    rival = np.zeros(len(ids), bool)
    for fold in np.unique(dealt):
        train, held_out = np.flatnonzero(dealt != fold), np.flatnonzero(dealt == fold)
        found = predict_rows(
            rows,
            given,
            num_classes=int(labels.max()) + 1,
            train=train,
            held_out=held_out,
            rng=rng,
            logistic=False,
        )
        rival[held_out] = found[NEIGHBORS].argmax(axis=1) == given[held_out]
    own, theirs = float(agrees.mean()), float(rival.mean())
    chance = np.sqrt((own * (1 - own) + theirs * (1 - theirs)) / len(ids))
    if own < _LEAST_SHARE * theirs and theirs - own > _DEVIATIONS * chance:
        raise ModelError(
            f"The networks haven't learned these data: they predict the given label of "
            f"{100 * own:.0f} % of the held-out examples, nearest neighbors of the inputs as they "
            f"are {100 * theirs:.0f} %. Selecting by such predictions would remove right labels. "
            "Train for more epochs, scale the inputs, or take another learning rate or network."
        )
