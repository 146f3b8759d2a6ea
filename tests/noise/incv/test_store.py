import numpy as np
import pytest

from tfticket.errors import RunError, TicketError
from tfticket.noise.incv.selection import FoldStore

ROWS = np.array([[0.25, 0.75], [1.0, 0.0]], np.float32)


def test_a_finished_fold_is_found_again(tmp_path):
    folder = tmp_path / "folds"
    FoldStore.open(folder, "abc").save(1, 0, ROWS)
    again = FoldStore.open(folder, "abc")
    np.testing.assert_array_equal(again.load(1, 0), ROWS)
    assert again.load(1, 0).dtype == np.float32
    assert again.load(0, 1) is None
    assert again.load(1, 1) is None


def test_without_a_folder_nothing_is_kept():
    store = FoldStore.open(None, "abc")
    store.save(0, 0, ROWS)
    assert store.load(0, 0) is None


def test_another_selection_is_refused(tmp_path):
    FoldStore.open(tmp_path, "abc").save(0, 0, ROWS)
    with pytest.raises(RunError, match="choose another folder"):
        FoldStore.open(tmp_path, "xyz").load(0, 0)


def test_what_a_killed_writer_left_is_cleared(tmp_path):
    leftover = tmp_path / "iteration_00_fold_00.npz.123.partial"
    leftover.write_bytes(b"half")
    assert FoldStore.open(tmp_path, "abc").load(0, 0) is None
    assert not leftover.exists()


def test_a_damaged_fold_is_not_taken_for_finished(tmp_path):
    store = FoldStore.open(tmp_path, "abc")
    store.save(0, 0, ROWS)
    path = tmp_path / "iteration_00_fold_00.npz"
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(TicketError, match="damaged"):
        store.load(0, 0)
