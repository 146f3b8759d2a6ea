"""Large arrays: read from mapped files in pieces, and aligned for TensorFlow, without copies."""

from __future__ import annotations

import math
import mmap
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

_PIECE_BYTES = 2**22
ALIGNMENT = 64  # bytes; what TensorFlow's kernels may assume on any processor


def pieces(array: np.ndarray, count: int | None = None) -> Iterator[slice]:
    """Yield slices of rows to read at a time, some megabytes each.

    The pages of a mapped file that were read for a piece are released when the next one is asked
    for, so that they don't count as memory of this process. They can be read again.

    Args:
        array: The array to read, shape (n, ...).
        count: Number of its rows; all if None.
    """
    row_bytes = array.nbytes // max(1, len(array))
    step = max(1, _PIECE_BYTES // max(1, row_bytes))
    for start in range(0, len(array) if count is None else count, step):
        yield slice(start, start + step)
        _forget_pages(array)


def _forget_pages(array: np.ndarray) -> None:
    # Nothing is lost: only files that are read are released, never memory that can be written to.
    base: object = array
    while isinstance(base, np.ndarray):
        if base.flags.writeable:
            return
        base = base.base
    if isinstance(base, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
        base.madvise(mmap.MADV_DONTNEED)


def aligned_empty(shape: Sequence[int], dtype: npt.DTypeLike) -> np.ndarray:
    """Return an uninitialized array whose memory begins at a multiple of 64 bytes."""
    dtype = np.dtype(dtype)
    size = math.prod(shape) * dtype.itemsize
    memory = np.empty(size + ALIGNMENT, np.uint8)
    start = -memory.ctypes.data % ALIGNMENT
    return memory[start : start + size].view(dtype).reshape(shape)


def aligned_rows(array: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return `array[rows]` in aligned memory; `rows` rise, so a mapped file is read in order."""
    out = aligned_empty((len(rows), *array.shape[1:]), array.dtype)
    for piece in pieces(array, len(rows)):
        # With the default mode NumPy would check first and buffer all of the output.
        np.take(array, rows[piece], axis=0, out=out[piece], mode="clip")
    return out


def aligned(array: np.ndarray) -> np.ndarray:
    """Return the array itself if TensorFlow can use its memory, else an aligned copy."""
    flags = array.flags
    if flags.c_contiguous and flags.writeable and array.ctypes.data % ALIGNMENT == 0:
        return array
    out = aligned_empty(array.shape, array.dtype)
    out[...] = array
    return out
