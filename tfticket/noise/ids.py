"""Ids of examples that travel beside their labels: `{"given": labels, "id": ids}`.

Keras gives a training step no ids, and shuffles. In the labels they go where the examples go, with
arrays as with `tf.data`, and whoever needs them takes them out before the loss sees the labels.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tfticket.errors import DataError

GIVEN, ID = "given", "id"


def split_ids(y: Any, *, needed_by: str) -> tuple[Any, Any]:
    """Split given labels and ids.

    Args:
        y: What a batch has as labels.
        needed_by: Who needs the ids, for the error.

    Raises:
        DataError: when it is anything but the two under their names.
    """
    if isinstance(y, Mapping) and set(y) == {GIVEN, ID}:
        return y[GIVEN], y[ID]
    found = (
        sorted(y) if isinstance(y, Mapping) else "labels alone" if y is not None else "no labels"
    )
    raise DataError(
        f"The data carry no ids. {needed_by} needs the id of each example, its place in the data, "
        f"beside its given label. Received: {found}. Train with "
        '`fit(x, {"given": y, "id": np.arange(len(x))}, ...)`, or let each batch of a data set '
        'have such labels: `data.map(lambda x, y, id: (x, {"given": y, "id": id}))`. Validation '
        "data have plain labels."
    )


def weight_of(sample_weight: Any) -> Any:
    """Sample weights, which Keras doubles where labels in arrays have two parts."""
    return sample_weight[GIVEN] if isinstance(sample_weight, Mapping) else sample_weight


def check_ids(ids: Any, examples: int) -> None:
    """Raise a `DataError` unless ids in memory are whole numbers in [0, examples), each once.

    Args:
        ids: What `fit` was given: an array, or what can be made one.
        examples: Number of examples.
    """
    array = np.asarray(ids).reshape(-1)
    whole = array.dtype.kind in "iu" or (array.dtype.kind == "f" and not np.any(array % 1))
    if not whole or (len(array) and (array.min() < 0 or array.max() >= examples)):
        span = f"{array.dtype} from {array.min()} to {array.max()}" if whole else f"{array.dtype}"
        raise DataError(
            f"The ids are {span}; the id of an example is its place in the data, a whole number in "
            f"[0, {examples:,})."
        )
    if len(np.unique(array)) < len(array):
        raise DataError(
            f"{len(array) - len(np.unique(array)):,} of {len(array):,} ids repeat an earlier one. "
            "Each example has an id of its own, its place in the data."
        )
