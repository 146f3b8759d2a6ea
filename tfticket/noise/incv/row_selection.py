"""Iterative cross-validation of rows of numbers, by simple learners."""

from __future__ import annotations

import numpy as np

from tfticket.noise.incv.clean_split import CleanSplit
from tfticket.noise.incv.learners import best_learner, parts_of, predict_rows, with_mean
from tfticket.noise.incv.rule import CrossValidation, Fold
from tfticket.noise.labels.given import NO_CLASS
from tfticket.seeds import generator

FOLDS = 5
"""Parts of the data, where there are 10 examples or more."""

_REPEATS = 3
_MOST_REPEATED = 3000  # examples; with more, chance in the folds matters less
_MOST_COMPARED = 20_000_000  # examples times classes; else one fold decides for all


def select_rows(
    x: np.ndarray,
    labels: np.ndarray,
    *,
    num_classes: int,
    folds: int | None = None,
    iterations: int = 1,
    image_shape: tuple[int, ...] = (),
    seed: int = 0,
) -> CleanSplit:
    """Predict rows of numbers by learners that were trained on others, and select.

    Args:
        x: Rows of numbers, shape (n, columns), finite.
        labels: Given labels, shape (n,), int64; -1 where there is none.
        num_classes: k.
        folds: Number of parts, at least 2; None is 5, and fewer below 10 examples.
        iterations: Largest number of rounds, at least 1.
        image_shape: Shape of an image where columns are pixels, see `predict_rows`.
        seed: Random seed.

    Raises:
        DataError: when there are too few examples, or only one label occurs.
        RunError: when no label was predicted.
    """
    known = int((labels != NO_CLASS).sum())
    rows = x if x.dtype == np.float64 else x.astype(np.float32)
    validation = CrossValidation(
        labels,
        num_classes,
        folds=min(FOLDS, max(2, known // 2)) if folds is None else folds,
        repeats=_REPEATS if known <= _MOST_REPEATED else 1,
        seed=seed,
    )
    large = len(x) * num_classes > _MOST_COMPARED
    asked = ""

    def predict(fold: Fold) -> dict[str, np.ndarray]:
        nonlocal asked
        chosen = asked or validation.learner
        found = predict_rows(
            rows,
            labels,
            num_classes=num_classes,
            train=fold.train,
            held_out=fold.held_out,
            rng=generator(seed, "rows", fold.iteration, fold.number, fold.repeat),
            image_shape=image_shape,
            learners=parts_of(chosen),
        )
        found = with_mean(found)
        if large and not chosen:  # all others are left out, with the memory that they take
            own = labels[fold.held_out]
            seen = own != NO_CLASS
            asked = chosen = best_learner(
                {name: rows[seen] for name, rows in found.items()}, own[seen]
            )
        return {chosen: found[chosen]} if chosen else found

    return validation.run(predict, iterations)
