"""Transition matrices that the user has in a file."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np

from tfticket.errors import DataError
from tfticket.noisy.transition import TransitionMatrix
from tfticket.reading import names_in, open_archive, read_array, read_npy

_NAMES = ("matrix", "transition", "T", "nominal", "estimated")


def read_transition_file(path: str | os.PathLike[str]) -> TransitionMatrix:
    """Reads any transition matrix, a row for each true label.

    Formats: `.npy`; `.npz` with an array called matrix, transition, T, nominal or estimated, or
    with one array only; `.csv` without a header.

    Args:
        path: The file.

    Returns:
        The matrix, checked.

    Raises:
        DataError: when the file can't be read, or doesn't hold a transition matrix.
    """
    path = Path(path)
    read = _READERS.get(path.suffix.lower())
    if read is None:
        raise DataError(
            f"The file of a transition matrix must be one of {', '.join(_READERS)}. Received: "
            f"{path}. Save other formats as an array with numpy.save."
        )
    try:
        rows = np.asarray(read(path), np.float64)
    except DataError:
        raise
    except Exception as error:  # whatever a damaged file makes its readers raise
        raise DataError(
            f"`{path}` must hold a table of numbers, a .csv without a header. Received: {error}."
        ) from error
    try:
        return TransitionMatrix(rows)
    except DataError as error:
        raise DataError(f"`{path}`: {error}") from error


def _read_npz(path: Path) -> np.ndarray:
    with open_archive(path) as archive:
        names = names_in(archive)
        known = [name for name in _NAMES if name in names]
        if not known and len(names) != 1:
            raise DataError(
                f"`{path}` must call its matrix one of {', '.join(_NAMES)}. Received: {names}."
            )
        return read_array(archive, known[0] if known else names[0])


_READERS: dict[str, Callable[[Path], np.ndarray]] = {
    ".npy": read_npy,
    ".npz": _read_npz,
    ".csv": lambda path: np.loadtxt(path, delimiter=",", ndmin=2),
}
