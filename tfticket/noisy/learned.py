"""Whether networks have learned what nearest neighbors see at once."""

from __future__ import annotations

import numpy as np

from tfticket.errors import ModelError
from tfticket.noisy.rows import NEIGHBORS, predict_rows
from tfticket.seeds import generator

_ASKED = 2000
_COLUMNS = 1000
_LEAST_SHARE = 2 / 3  # of the agreement of nearest neighbors
_DEVIATIONS = 3.0


def check_learned(
    x: np.ndarray, labels: np.ndarray, *, predicted: np.ndarray, folds: np.ndarray, seed: int
) -> None:
    """Raises a `ModelError` when held-out predictions are far worse than those of neighbors.

    A network that hasn't learned disagrees with most labels, as one does whose labels are mostly
    wrong; and what disagrees is removed. Nearest neighbors of the inputs as they are need no
    training, so where they agree with held-out labels half as often again as the network, it is
    the network that is wrong. On data that they can't tell apart, they say nothing.

    Args:
        x: Inputs, shape (n, ...).
        labels: Given labels, shape (n,), int64.
        predicted: Held-out predictions of the networks, classes of shape (n,).
        folds: The fold of each example, shape (n,).
        seed: Chooses the examples that are looked at.

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
