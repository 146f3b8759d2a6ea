"""Arrays that are mapped from files: read piece by piece, so that no second copy is in memory."""

from __future__ import annotations

import math
import mmap
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

_PIECE_BYTES = 2**22
_ALIGNMENT = 64  # bytes; what TensorFlow's kernels may assume on any processor


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


def aligned_empty(shape: Sequence[int], dtype: npt.DTypeLike) -> np.ndarray:
    """An array that begins at a multiple of 64 bytes; its values are whatever was there."""
    dtype = np.dtype(dtype)
    size = math.prod(shape) * dtype.itemsize
    memory = np.empty(size + _ALIGNMENT, np.uint8)
    start = -memory.ctypes.data % _ALIGNMENT
    return memory[start : start + size].view(dtype).reshape(shape)


def aligned_rows(array: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """`array[rows]` in aligned memory, for rising `rows`; a mapped file is read front to back."""
    out = aligned_empty((len(rows), *array.shape[1:]), array.dtype)
    for piece in pieces(array, len(rows)):
        # With the default mode NumPy would check first and buffer all of the output.
        np.take(array, rows[piece], axis=0, out=out[piece], mode="clip")
    return out


def aligned(array: np.ndarray) -> np.ndarray:
    """The array itself if its memory will do, else a copy that does."""
    flags = array.flags
    if flags.c_contiguous and flags.writeable and array.ctypes.data % _ALIGNMENT == 0:
        return array
    out = aligned_empty(array.shape, array.dtype)
    out[...] = array
    return out
