import numpy as np
import pytest

from tfticket.data import arrays
from tfticket.data.arrays import aligned, aligned_empty, aligned_rows


def address(array):
    return array.ctypes.data % 64


@pytest.mark.parametrize("shape", [(1,), (7, 3), (5, 4, 4, 3)])
@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.float32])
def test_aligned_empty_begins_at_64_bytes(shape, dtype):
    array = aligned_empty(shape, dtype)
    assert array.shape == shape
    assert array.dtype == dtype
    assert array.flags.writeable
    assert address(array) == 0


@pytest.mark.parametrize("chosen", [[5], [0, 7, 19], range(20)])
@pytest.mark.parametrize("piece_bytes", [1, 50, 2**24])
def test_aligned_rows_is_indexing(chosen, piece_bytes, monkeypatch):
    monkeypatch.setattr(arrays, "_PIECE_BYTES", piece_bytes)
    array = np.arange(60, dtype=np.int32).reshape(20, 3)
    chosen = np.array(chosen, int)
    taken = aligned_rows(array, chosen)
    np.testing.assert_array_equal(taken, array[chosen])
    assert address(taken) == 0


def test_aligned_copies_only_what_will_not_do():
    good = aligned_empty((8, 8), np.uint8)
    good[...] = 3
    assert aligned(good) is good

    crooked = aligned_empty((65,), np.uint8)[1:]
    frozen = good.copy()
    frozen.flags.writeable = False
    for array in (crooked, frozen, good.T):
        copy = aligned(array)
        assert not np.shares_memory(copy, array)
        assert address(copy) == 0
        np.testing.assert_array_equal(copy, array)
