"""Arrays that are mapped from files: read piece by piece, so that no second copy is in memory."""

from __future__ import annotations

import mmap
from collections.abc import Iterator

import numpy as np

_PIECE_BYTES = 2**22


def pieces(array: np.ndarray, count: int | None = None) -> Iterator[slice]:
    """Which rows to read at a time: some megabytes.

    Of a file that is mapped, the pages that were read for a piece don't count as this process's
    memory any more when the next one is asked for. They can be read again.

    Args:
        array: What is read, shape (n, ...).
        count: How many of its rows; all if None.
    """
    row_bytes = array.nbytes // max(1, len(array))
    step = max(1, _PIECE_BYTES // max(1, row_bytes))
    for start in range(0, len(array) if count is None else count, step):
        yield slice(start, start + step)
        _forget_pages(array)


def _forget_pages(array: np.ndarray) -> None:
    """Nothing is lost: only of files that are read, never of memory that can be written to."""
    base: object = array
    while isinstance(base, np.ndarray):
        if base.flags.writeable:
            return
        base = base.base
    if isinstance(base, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
        base.madvise(mmap.MADV_DONTNEED)
