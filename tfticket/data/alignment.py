"""Arrays whose memory TensorFlow can use as it is, without a copy of its own."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from tfticket.data.mapped import pieces

_ALIGNMENT = 64  # bytes; what TensorFlow's kernels may assume on any processor


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
