"""Simple learners for rows of numbers: features, embeddings, tables, small images.

A network of some hundred steps is the wrong tool for them: columns of large numbers drown the
others, and hundred classes of thirty examples are more than it learns. Four learners of seconds:

    logistic regression           straight borders
    kernel logistic regression    smooth ones, by a Gaussian kernel on some hundred landmarks
    linear discriminant           a mean a class and one covariance: any number of classes
    nearest neighbors             any borders; needs no training

and the mean of nearest neighbors and a smooth one, which errs less than either when labels are
wrong. Images are remembered shifted by a pixel, too. The learner is taken that agrees with most
held-out labels.
"""

from __future__ import annotations

import contextlib
import functools
import warnings
from collections.abc import Callable, Collection, Mapping
from typing import Any

import numpy as np
from scipy import special

from tfticket.errors import ModelError
from tfticket.seeds import generator

LOGISTIC, NEIGHBORS = "logistic regression", "nearest neighbors"
KERNEL, DISCRIMINANT = "kernel logistic regression", "linear discriminant"
LEARNERS = (LOGISTIC, KERNEL, DISCRIMINANT, NEIGHBORS)
_AND = " and "

_STRENGTH, _KERNEL_STRENGTH = 0.1, 1.0  # inverse of the penalty of scikit-learn
_LANDMARKS = 300
_MOST_STEPS, _FEWEST_STEPS = 200, 20
_MOST_WORK = 2e9  # examples times columns times classes times steps
_MOST_NEIGHBORS, _FEWEST_NEIGHBORS = 10, 3
_MOST_REMEMBERED = 20_000  # rows among which neighbors are looked for
_MOST_COLUMNS = 2000  # of a covariance
_SMOOTHING = 1e-3  # of probabilities, which are 0 where no neighbor has the label
_SHIFTS = ((0, 0), (1, 0), (-1, 0), (0, 1), (0, -1))
_TEMPERATURES = 2.0 ** np.arange(-2, 3.1, 0.5)


def predict_rows(
    x: np.ndarray,
    labels: np.ndarray,
    *,
    num_classes: int,
    train: np.ndarray,
    held_out: np.ndarray,
    rng: np.random.Generator,
    image_shape: tuple[int, ...] = (),
    learners: Collection[str] = LEARNERS,
) -> dict[str, np.ndarray]:
    """Train simple learners on some rows, and predict others.

    Args:
        x: Rows of numbers, shape (n, columns), finite.
        labels: Given labels, shape (n,), int64.
        num_classes: k.
        train: Ids to learn from, shape (m,).
        held_out: Ids to predict, shape (h,).
        rng: Draws the rows that are remembered where there are many.
        image_shape: Shape of an image, (height, width, channels), where columns are pixels: they
            are then scaled by one number. Empty where each column is scaled for itself.
        learners: Names of the learners to train.

    Returns:
        Probabilities by the name of the learner, each of shape (h, k), float32. Logistic
        regressions are left out where they would take minutes.
    """
    x_train, x_test = _scaled(x[train], x[held_out], by_column=not image_shape)
    y = labels[train]
    classes, y = np.unique(y, return_inverse=True)
    if len(classes) == 1:  # no border to be drawn
        learners = [name for name in learners if name == NEIGHBORS] or [NEIGHBORS]
    seed = int(rng.integers(2**31))
    found = {}
    for name in learners:
        steps = _steps(name, x_train, len(classes))
        if steps is None:
            continue
        rows = np.zeros((len(held_out), num_classes), np.float32)
        # Held-out data judges steps that didn't suffice, and labels may be rare.
        with warnings.catch_warnings(), _one_thread():
            warnings.simplefilter("ignore")
            if name == NEIGHBORS:
                rows[:, classes] = _neighbors(x_train, y, x_test, seed, image_shape)
            else:
                rows[:, classes] = _TRAINED[name](x_train, y, x_test, seed, steps)
        found[name] = rows
    return found


def _one_thread() -> contextlib.AbstractContextManager[object]:
    """Let no threads share the work on small matrices: they'd wait for one another, 20 times."""
    threads: contextlib.AbstractContextManager[object] = _threads().limit(limits=1)
    return threads


@functools.cache
def _threads() -> Any:
    import sklearn.neighbors  # noqa: F401 - loads the libraries whose threads are meant
    from threadpoolctl import ThreadpoolController  # comes with scikit-learn

    return ThreadpoolController()


def with_mean(predicted: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Add the mean of nearest neighbors and a smooth learner, where there are both.

    Args:
        predicted: Probabilities by the name of the learner, each of shape (h, k).
    """
    rows = dict(predicted)
    smooth = [name for name in (KERNEL, DISCRIMINANT) if name in rows]
    if smooth and NEIGHBORS in rows:
        rows[f"{smooth[0]}{_AND}{NEIGHBORS}"] = (rows[smooth[0]] + rows[NEIGHBORS]) / 2
    return rows


def parts_of(learner: str) -> tuple[str, ...]:
    """Names of the learners whose mean a learner is; all of them for an empty name.

    >>> parts_of("linear discriminant and nearest neighbors")
    ('linear discriminant', 'nearest neighbors')
    """
    return tuple(learner.split(_AND)) if learner else LEARNERS


def best_learner(predicted: Mapping[str, np.ndarray], labels: np.ndarray) -> str:
    """Choose the learner that agrees with most held-out labels; the likelier one of equal ones.

    Args:
        predicted: Held-out probabilities by learner, each of shape (n, k).
        labels: Given labels, shape (n,), int64.
    """

    def merit(name: str) -> tuple[float, float]:
        rows = predicted[name]
        return float((rows.argmax(axis=1) == labels).mean()), held_out_score(rows, labels)

    return max(predicted, key=merit)


def held_out_score(rows: np.ndarray, labels: np.ndarray) -> float:
    """Compute the mean log likelihood of labels, at the temperature that suits predictions best.

    Args:
        rows: Held-out probabilities, shape (n, k).
        labels: Given labels, shape (n,), int64.
    """
    k = rows.shape[1]
    part = slice(None, None, -(-len(labels) // _ASKED))
    logs = np.log((rows[part] + _SMOOTHING / k) / (1 + _SMOOTHING))
    own = np.arange(len(logs)), labels[part]
    return max(
        float((logs[own] / t - special.logsumexp(logs / t, axis=1)).mean())
        for t in _TEMPERATURES.tolist()
    )


def _scaled(
    x_train: np.ndarray, x_test: np.ndarray, *, by_column: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Rows of mean 0 and deviation 1, measured on those to learn from."""
    mean = x_train.mean(axis=0)
    deviation = x_train.std(axis=0)
    if not by_column:
        deviation = np.sqrt(np.mean(deviation**2, keepdims=True))
    scale = 1 / np.where(deviation > np.finfo(x_train.dtype).eps * np.abs(mean), deviation, np.inf)
    return (x_train - mean) * scale, (x_test - mean) * scale


def _steps(name: str, x: np.ndarray, classes: int) -> int | None:
    """Steps that a learner can make in seconds; None when they are too few."""
    if name == DISCRIMINANT:
        return None if x.shape[1] > _MOST_COLUMNS else 1
    if name == NEIGHBORS:
        return 1
    columns = x.shape[1] if name == LOGISTIC else _LANDMARKS
    steps = int(_MOST_WORK / max(1, len(x) * columns * classes))
    return None if steps < _FEWEST_STEPS else min(steps, _MOST_STEPS)


def _logistic(x: np.ndarray, y: np.ndarray, asked: np.ndarray, seed: int, steps: int) -> np.ndarray:
    from sklearn.linear_model import LogisticRegression

    made = LogisticRegression(C=_STRENGTH, max_iter=steps).fit(x, y)
    return np.asarray(made.predict_proba(asked))


def _kernel(x: np.ndarray, y: np.ndarray, asked: np.ndarray, seed: int, steps: int) -> np.ndarray:
    from sklearn.kernel_approximation import Nystroem
    from sklearn.linear_model import LogisticRegression

    width = 1 / max(float(x.var(axis=0).sum()), np.finfo(float).tiny)
    seen = Nystroem(gamma=width, n_components=min(_LANDMARKS, len(x)), random_state=seed)
    made = LogisticRegression(C=_KERNEL_STRENGTH, max_iter=steps).fit(seen.fit_transform(x), y)
    return np.asarray(made.predict_proba(seen.transform(asked)))


def _discriminant(
    x: np.ndarray, y: np.ndarray, asked: np.ndarray, seed: int, steps: int
) -> np.ndarray:
    from sklearn.covariance import ledoit_wolf

    counts = np.bincount(y)
    means = np.zeros((len(counts), x.shape[1]))
    np.add.at(means, y, x)
    means /= counts[:, None]
    # One covariance, shrunk: classes are many and their examples few.
    covariance, _ = ledoit_wolf(x - means[y], assume_centered=True)
    covariance *= len(x) / max(len(x) - len(counts), 1)
    covariance[np.diag_indices_from(covariance)] += np.finfo(np.float32).eps
    weights = np.linalg.solve(covariance, means.T)
    scores = asked @ weights
    scores += np.log(counts / len(x)) - (means.T * weights).sum(axis=0) / 2
    rows: np.ndarray = special.softmax(scores, axis=1)
    return rows


def _neighbors(
    x: np.ndarray, y: np.ndarray, asked: np.ndarray, seed: int, image_shape: tuple[int, ...]
) -> np.ndarray:
    from sklearn.neighbors import KNeighborsClassifier

    part = np.sort(np.random.default_rng(seed).permutation(len(x))[:_MOST_REMEMBERED])
    x, y, classes = x[part], y[part], int(y.max()) + 1
    count = min(max(len(y) // classes // 2, _FEWEST_NEIGHBORS), _MOST_NEIGHBORS, len(y))
    if image_shape and len(x) * len(_SHIFTS) <= _MOST_REMEMBERED:
        images = x.reshape(-1, *image_shape)
        x = np.concatenate([_shifted(images, *shift) for shift in _SHIFTS]).reshape(-1, x.shape[1])
        y = np.tile(y, len(_SHIFTS))
    made = KNeighborsClassifier(count, weights="distance").fit(x, y)
    rows = np.zeros((len(asked), classes))
    rows[:, made.classes_] = made.predict_proba(asked)
    return rows


def _shifted(images: np.ndarray, down: int, right: int) -> np.ndarray:
    """Images shifted by a pixel; what comes in is what was at the border."""
    _, height, width = images.shape[:3]
    rows = np.clip(np.arange(height) - down, 0, height - 1)
    columns = np.clip(np.arange(width) - right, 0, width - 1)
    return images[:, rows][:, :, columns]


_TRAINED: dict[str, Callable[[np.ndarray, np.ndarray, np.ndarray, int, int], np.ndarray]] = {
    LOGISTIC: _logistic,
    KERNEL: _kernel,
    DISCRIMINANT: _discriminant,
}


_ASKED = 2000
_COLUMNS = 1000
_LEAST_SHARE = 2 / 3  # of the agreement of nearest neighbors
_DEVIATIONS = 3.0


class NotLearnedError(ModelError):
    """Networks that haven't learned data which nearest neighbors can tell apart."""


def check_learned(
    x: np.ndarray, labels: np.ndarray, *, predicted: np.ndarray, folds: np.ndarray, seed: int
) -> None:
    """Raise a `NotLearnedError` when held-out predictions are far worse than those of neighbors.

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
        NotLearnedError: as said.
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
            learners=[NEIGHBORS],
        )
        rival[held_out] = found[NEIGHBORS].argmax(axis=1) == given[held_out]
    own, theirs = float(agrees.mean()), float(rival.mean())
    chance = np.sqrt((own * (1 - own) + theirs * (1 - theirs)) / len(ids))
    if own < _LEAST_SHARE * theirs and theirs - own > _DEVIATIONS * chance:
        raise NotLearnedError(
            f"The networks haven't learned these data: they predict the given label of "
            f"{100 * own:.0f} % of the held-out examples, nearest neighbors of the inputs as they "
            f"are {100 * theirs:.0f} %. Selecting by such predictions would remove right labels. "
            "Train for more epochs, scale the inputs, or take another learning rate or network."
        )
