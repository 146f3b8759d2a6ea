"""Labels with the truth beside them, for study: `{"given": ..., "true": ...}`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tfticket.errors import ModelError

GIVEN, TRUE = "given", "true"


def split_truth(y: Any) -> tuple[Any, Any]:
    """The labels to learn from, and the true ones or None.

    Raises:
        ModelError: when the labels are anything but one array, or the two under their names.
    """
    if isinstance(y, Mapping) and set(y) == {GIVEN, TRUE}:
        return y[GIVEN], y[TRUE]
    if y is None or isinstance(y, (Mapping, list, tuple)):
        found = sorted(y) if isinstance(y, Mapping) else type(y).__name__
        raise ModelError(
            "Co-teaching needs the given label of each sample, as one array; or, to study the "
            f"selection, a dictionary of the arrays {GIVEN!r} and {TRUE!r}. Received: {found}."
        )
    return y, None
