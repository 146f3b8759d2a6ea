"""`find_label_issues`: from labels and what tells of their examples to the label issues."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from tfticket.errors import DataError, ModelError
from tfticket.labels import numbered
from tfticket.noise.estimate.noise_estimate import estimate_noise
from tfticket.noise.incv.clean_split import CleanSplit
from tfticket.noise.incv.row_selection import select_rows
from tfticket.noise.incv.rule import usual_batch_size, usual_epochs
from tfticket.noise.labels.given import (
    NO_CLASS,
    checked_features,
    checked_labels,
    checked_probabilities,
)
from tfticket.noise.labels.issues import LabelIssues, issues_of
from tfticket.noise.labels.transition import as_transition

if TYPE_CHECKING:
    import keras

_BATCH = 128
_MOST_ABSENT = 10  # classes for each that occurs


def find_label_issues(
    labels: ArrayLike,
    *,
    pred_probs: ArrayLike | None = None,
    features: ArrayLike | None = None,
    model: keras.Model | Callable[[int], keras.Model] | None = None,
    x: ArrayLike | None = None,
    transition: ArrayLike | None = None,
    seed: int = 0,
) -> LabelIssues:
    """Rank labels by how suspicious they are, and name those that are probably wrong.

        >>> pred_probs = np.array([[0.9, 0.1], [0.1, 0.9], [0.95, 0.05]] * 20)
        >>> labels = np.array(["cat", "dog", "cat"] * 20)
        >>> labels[4] = "cat"
        >>> issues = find_label_issues(labels, pred_probs=pred_probs)
        >>> issues.ids, issues.class_names[issues.suggested[4]]
        (array([4]), 'dog')

    Give one of three things that tell of the examples: predictions that you have, features, from
    which simple learners predict in seconds, or a network, of which two are trained, each to
    predict the half that it hasn't seen.

    Args:
        labels: Given labels, shape (n,): integers that count the classes from 0, or names. Missing
            ones are -1, None, NaN or empty text; they get a suggested label.
        pred_probs: Out-of-sample probabilities, shape (n, k), the classes in order: names by
            alphabet. In-sample ones would agree with whatever was trained on.
        features: Rows of numbers, shape (n, columns), such as embeddings of any network.
        model: A compiled Keras classifier with a loss of integer labels; its weights aren't used,
            and it isn't changed. Or a function of a seed that builds one.
        x: Inputs of the model, shape (n, ...).
        transition: The transition matrix T, shape (k, k), where it is known.
        seed: Random seed.

    Returns:
        All labels with their scores, and which are issues.

    Raises:
        DataError: when not one of the three is given, or shapes or values are wrong.
        ModelError: when the model isn't as it must be, or hasn't learned the data.

    Source: the idea to rank labels by out-of-sample probabilities is that of confident learning
    (Northcutt, Jiang & Chuang 2021, arXiv:1911.00068).
    """
    told = {"pred_probs": pred_probs, "features": features, "model": model}
    given = [name for name, value in told.items() if value is not None]
    if len(given) != 1 or (x is None) != (model is None):
        raise DataError(
            f"Received: {', '.join(given) or 'none of them'}{'' if x is None else ' and x'}. Give "
            "one of `pred_probs`, `features`, or `model` with its inputs `x`."
        )
    codes, names = numbered(labels)
    codes = checked_labels(codes, least=NO_CLASS)
    if (codes == NO_CLASS).all():
        raise DataError(
            f"Received: {len(codes):,} examples, none of which has a label. Some must have one."
        )
    if pred_probs is None and not names:
        _check_no_gaps(codes)
    matrix = None if transition is None else np.asarray(as_transition(transition))
    if pred_probs is not None:
        rows = _checked(pred_probs, codes, names)
        _check_classes(matrix, rows.shape[1])
        known = codes != NO_CLASS
        labeled = rows if known.all() else rows[known]
        estimate = estimate_noise(codes[known], labeled, seed=seed)
        del labeled
        return issues_of(
            codes,
            rows.astype(np.float32),
            estimate=estimate,
            transition=matrix,
            class_names=names or None,
        )
    if features is not None:
        split = select_rows(
            checked_features(features, len(codes)),
            codes,
            num_classes=max(2, len(names) or int(codes.max()) + 1),
            seed=seed,
        )
    else:
        assert model is not None
        split = _held_out(model, np.asarray(x), codes, seed=seed)
        if names and split.probabilities.shape[1] != len(names):
            raise _other_classes(split.probabilities.shape[1], names)
    _check_classes(matrix, split.probabilities.shape[1])
    return issues_of(
        split.labels,
        split.probabilities,
        estimate=split.estimate,
        transition=matrix,
        folds=split.folds,
        learner=split.learner,
        class_names=names or None,
    )


def _check_no_gaps(codes: np.ndarray) -> None:
    count, occur = int(codes.max()) + 1, len(np.unique(codes[codes != NO_CLASS]))
    if count > _MOST_ABSENT * occur:
        raise DataError(
            f"Received: {occur} different labels, the largest of which is {count - 1:,}. Labels "
            "that are integers count the classes from 0: give other ones as text."
        )


def _checked(pred_probs: ArrayLike, codes: np.ndarray, names: Sequence[str]) -> np.ndarray:
    rows = checked_probabilities(pred_probs, len(codes))
    if names and rows.shape[1] != len(names):
        raise _other_classes(rows.shape[1], names)
    checked_labels(codes, rows.shape[1], least=NO_CLASS)
    return rows


def _other_classes(count: int, names: Sequence[str]) -> DataError:
    return DataError(
        f"Predictions must be about the {len(names)} classes of the labels, {names[0]!r} to "
        f"{names[-1]!r} by alphabet. Received: {count} columns. Where some classes have no "
        "example, give the labels as integers."
    )


def _check_classes(matrix: np.ndarray | None, count: int) -> None:
    if matrix is not None and len(matrix) != count:
        raise DataError(
            f"Predictions must be about the {len(matrix)} classes of the transition matrix. "
            f"Received: {count} columns."
        )


def _held_out(
    model: keras.Model | Callable[[int], keras.Model],
    x: np.ndarray,
    codes: np.ndarray,
    *,
    seed: int,
) -> CleanSplit:
    """Held-out predictions of new networks, and the estimate from them."""
    import keras

    from tfticket.noise.incv.selection import INCV

    build = _copies_of(model) if isinstance(model, keras.Model) else model
    if not callable(build):
        raise ModelError(
            "`model` must be a compiled Keras model, or a function that builds one by a seed. "
            f"Received: {model!r}."
        )
    batch = usual_batch_size(len(codes), _BATCH)
    epochs = usual_epochs(len(codes), int(codes.max()) + 1, batch_size=batch)
    return INCV(build, epochs=epochs, iterations=1, batch_size=batch, seed=seed).select(x, codes)


def _copies_of(model: keras.Model) -> Callable[[int], keras.Model]:
    """A function that makes models of the same architecture and compilation, with new weights."""
    import keras

    if not model.compiled:
        raise ModelError(
            f"`model` must be compiled, with a loss of integer labels. Received: {model.name!r}, "
            "which isn't. Call `model.compile(...)`."
        )
    settings = model.get_compile_config()

    def build(seed: int) -> keras.Model:
        try:
            copy = keras.models.clone_model(model)
            copy.compile_from_config(settings)
        except Exception as error:  # whatever a model that isn't made for copies raises
            raise ModelError(
                f"`model` can't be built anew: {error!s:.200}. Give a function of a seed that "
                "builds and compiles it."
            ) from error
        return copy

    return build
