import numpy as np
import pytest

from tfticket.data import load
from tfticket.data.arrangement import arranged, arrangement
from tfticket.errors import DataError


@pytest.mark.parametrize("kind", ["as_is", "flipped", "shuffled", "chunks"])
def test_every_point_has_one_place_and_the_order_is_fixed(kind):
    chunk = 4 if kind == "chunks" else None
    order = arrangement(kind, 12, chunk=chunk)
    np.testing.assert_array_equal(np.sort(order), np.arange(12))
    np.testing.assert_array_equal(order, arrangement(kind, 12, chunk=chunk))
    assert (order.tolist() == list(range(12))) == (kind == "as_is")


def test_points_of_a_chunk_stay_together():
    steps = np.diff(arrangement("chunks", 12, chunk=4).reshape(3, 4), axis=1)
    assert (steps == 1).all()
    assert arrangement("shuffled", 40, seed=1).tolist() != arrangement("shuffled", 40).tolist()


@pytest.mark.parametrize("chunk", [None, 0, 5, 40])
def test_chunks_must_divide_the_signals(chunk):
    with pytest.raises(DataError, match=r"one of 2, 4, 5, 8, 10, 20.*chunk=|one of 2, 4, 8, 16"):
        arrangement("chunks", 40 if chunk != 5 else 32, chunk=chunk)


def test_all_splits_are_arranged_and_told_by_the_fingerprint():
    data = load("mnist1d", validation=500)
    order = arrangement("shuffled", 40)
    made = arranged(data, order)
    for name in ("train", "validation", "test"):
        before, after = getattr(data, name), getattr(made, name)
        np.testing.assert_array_equal(after.x[:, 7], before.x[:, order[7]])
        np.testing.assert_array_equal(after.y, before.y)
    assert made.fingerprint != data.fingerprint
    assert arranged(data, arrangement("as_is", 40)) is data
    with pytest.raises(DataError, match="Only signals"):
        arranged(load("digits"), arrangement("flipped", 8))
