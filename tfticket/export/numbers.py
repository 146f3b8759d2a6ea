"""Numbers at the door: what isn't a finite number is refused before any native code sees it."""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np

from tfticket.errors import ExportError

_SHOWN = 3


def check_numbers(values: Any, name: str, dtype: Any = None) -> np.ndarray:
    """The values as an array of finite numbers.

    Args:
        values: Anything that numpy makes an array of.
        name: What to call them in an error.
        dtype: The type to bring them to; their own when None.

    Raises:
        ExportError: when they aren't numbers, or aren't finite (in this type), with the places.
    """
    array = np.asarray(values)
    if array.dtype == object:
        with contextlib.suppress(TypeError, ValueError):  # Python's numbers, as of a table
            array = array.astype(np.float64)
    if array.dtype.kind not in "biuf" and array.dtype.name != "bfloat16":
        raise ExportError(
            f"`{name}` holds {_kind(array)}. It must hold numbers. Give an array of numbers, as "
            "the model takes them."
        )
    if dtype is not None:
        with np.errstate(over="ignore"):  # what gets infinite is found below
            array = array.astype(dtype)
    if array.dtype.kind in "biu":
        return array
    bad = ~np.isfinite(array.astype(np.float32) if array.dtype.kind == "V" else array)
    if not bad.any():
        return array
    places = [int(place) for place in np.unique(np.nonzero(bad)[0])] if array.ndim else [0]
    shown = ", ".join(map(str, places[:_SHOWN])) + (" ..." if len(places) > _SHOWN else "")
    raise ExportError(
        f"`{name}` holds {int(bad.sum()):,} numbers that are NaN or infinite (in {array.dtype}), "
        f"in {len(places):,} of {len(array) if array.ndim else 1:,} examples: {shown}. All must be "
        "finite. Leave these examples out, or put right what makes them."
    )


def _kind(array: np.ndarray) -> str:
    return {"U": "text", "S": "text", "O": "objects"}.get(array.dtype.kind, str(array.dtype))
