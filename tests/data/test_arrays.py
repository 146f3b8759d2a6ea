import mmap
import re
from pathlib import Path

import numpy as np
import pytest

from tfticket.data import arrays
from tfticket.data.arrays import aligned, aligned_empty, aligned_rows, pieces


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


SMAPS = Path("/proc/self/smaps")
ROWS, WIDTH = 80, 2**20


def resident(name):
    """Bytes of a mapped file that count as memory of this process."""
    blocks = re.split(r"\n(?=[0-9a-f]+-[0-9a-f]+ )", SMAPS.read_text())
    sizes = [re.search(r"Rss:\s*(\d+) kB", each)[1] for each in blocks if name in each]
    return 1024 * sum(map(int, sizes))


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "rows.npy"
    np.save(path, np.arange(ROWS, dtype=np.uint8)[:, None].repeat(WIDTH, axis=1))
    return path


@pytest.mark.parametrize("count", [None, 1, 33, ROWS])
def test_pieces_are_all_rows_once(file, count):
    array = np.load(file, mmap_mode="r")
    read = [row for piece in pieces(array, count) for row in range(ROWS)[piece]]
    assert read[: count or ROWS] == list(range(count or ROWS))


@pytest.mark.skipif(
    not (SMAPS.exists() and hasattr(mmap, "MADV_DONTNEED")), reason="the system tells no memory"
)
def test_a_mapped_file_is_never_in_memory_as_a_whole(file):
    array = np.load(file, mmap_mode="r")
    sums, sizes = [], []
    for piece in pieces(array):
        sums.append(int(array[piece].sum(dtype=np.int64)))
        sizes.append(resident(file.name))
    assert sum(sums) == WIDTH * sum(range(ROWS))
    assert 0 < max(sizes) <= array.nbytes / 8
    array.sum(dtype=np.int64)
    assert resident(file.name) >= array.nbytes * 0.9  # so that the test above can fail


def test_what_was_written_to_a_copy_of_a_file_stays(file):
    array = np.load(file, mmap_mode="c")
    for piece in pieces(array):
        array[piece] = 7
    assert (array == 7).all()
