"""What examples must be like to be selected from by cross-validation."""

from __future__ import annotations

import keras
import numpy as np

from tfticket.errors import DataError

_CHECKED_AT_ONCE = 4096


def check_inputs(x: np.ndarray, labels: np.ndarray, *, folds: int, model: keras.Model) -> None:
    """Raises a `DataError` unless these can be dealt to folds and given to the model.

    Args:
        x: Inputs, shape (n, ...).
        labels: Given labels, shape (n,).
        folds: How many.
        model: Of the kind that will be trained on them.
    """
    if x.ndim == 0 or x.dtype.kind not in "uifb":
        raise DataError(
            "`x` must be numbers of shape (n, ...), as the model takes them. Received: shape "
            f"{x.shape}, {x.dtype}."
        )
    if len(x) != len(labels):
        raise DataError(
            f"There must be a label for each input. Received: {len(x)} inputs, {len(labels)} "
            "labels."
        )
    check_counts(labels, folds=folds)
    check_finite(x)
    _check_shape(x, model)


def check_counts(labels: np.ndarray, *, folds: int) -> None:
    """Raises a `DataError` unless there are two examples a fold, and two labels."""
    if len(labels) < 2 * folds or len(np.unique(labels)) < 2:
        raise DataError(
            f"There must be at least {2 * folds} examples for {folds} folds, of 2 labels or more. "
            f"Received: {len(labels)} examples, labels {np.unique(labels)[:5].tolist()}."
        )


def check_finite(x: np.ndarray) -> None:
    """Raises a `DataError` when an input isn't finite, and says which one."""
    for start in range(0, len(x), _CHECKED_AT_ONCE):
        part = x[start : start + _CHECKED_AT_ONCE].reshape(-1, max(x[0].size, 1))
        finite = np.isfinite(part).all(axis=1)
        if not finite.all():
            raise DataError(
                "`x` must be finite: one NaN makes NaN of all weights. Received: NaN or infinity "
                f"in example {start + int(np.argmin(finite))}. Remove or mend such examples."
            )


def _check_shape(x: np.ndarray, model: keras.Model) -> None:
    shapes = [tuple(tensor.shape)[1:] for tensor in model.inputs]
    fits = len(shapes) == 1 and len(shapes[0]) == x.ndim - 1
    if not fits or any(
        size not in (None, n) for size, n in zip(shapes[0], x.shape[1:], strict=True)
    ):
        raise DataError(
            f"`x` must be inputs of the model, which takes {shapes} for each example. Received: "
            f"shape {x.shape}."
        )
