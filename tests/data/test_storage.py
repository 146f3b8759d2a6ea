import dataclasses

import numpy as np
import pytest

from tfticket.data import load, storage
from tfticket.data.arrays import aligned
from tfticket.data.dataset import Source, Split, Unreadable
from tfticket.data.storage import share, shared

SPLIT = Split(np.arange(12, dtype=np.uint8).reshape(6, 2), np.array([0, 1] * 3, np.int32))
BAD = (Unreadable("a/1.png", "it is damaged", "a"),)
SOURCE = Source(SPLIT, SPLIT, "made up", class_names=("a", "b"), max_value=16.0, unreadable=BAD)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "tfticket" / "data"


class Reader:
    def __init__(self, source=SOURCE):
        self.source = source
        self.calls = 0

    def __call__(self):
        self.calls += 1
        return self.source


def same(one, other):
    for part in ("train", "test"):
        a, b = getattr(one, part), getattr(other, part)
        assert (a is None) == (b is None)
        if a is not None:
            np.testing.assert_array_equal(a.x, b.x)
            np.testing.assert_array_equal(a.y, b.y)
            assert a.x.dtype == b.x.dtype
    rest = ("description", "class_names", "max_value", "unreadable")
    return all(getattr(one, name) == getattr(other, name) for name in rest)


@pytest.mark.parametrize("source", [SOURCE, dataclasses.replace(SOURCE, test=None, max_value=None)])
def test_read_once_then_memory_mapped(folder, source):
    read = Reader(source)
    assert same(storage.remember("set 1.0", [1], read), source)
    again = storage.remember("set 1.0", [1], read)
    assert same(again, source)
    assert isinstance(again.train.x, np.memmap)
    assert read.calls == 1
    assert [entry.name.startswith("set_1.0-") for entry in folder.iterdir()] == [True]


def test_another_origin_is_another_entry():
    read = Reader()
    storage.remember("set", [1], read)
    storage.remember("set", [2], read)
    assert read.calls == 2


@pytest.mark.parametrize("name", ["train_x.npy", "test_y.npy", "source.json"])
@pytest.mark.parametrize("damage", [b"", b"x" * 40, None])
def test_a_damaged_entry_is_made_again(folder, name, damage):
    read = Reader()
    storage.remember("set", [1], read)
    (file,) = folder.glob(f"*/{name}")
    if damage is None:
        file.unlink()
    else:
        file.write_bytes(damage)
    assert same(storage.remember("set", [1], read), SOURCE)
    assert same(storage.remember("set", [1], read), SOURCE)
    assert read.calls == 2


def test_without_a_place_to_write_it_goes_on(folder):
    folder.parent.mkdir()
    folder.write_text("a file where the folder should be")
    read = Reader()
    for _ in range(2):
        assert storage.remember("set", [1], read) is SOURCE
    assert read.calls == 2


def test_a_failed_read_leaves_nothing(folder):
    def read():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        storage.remember("set", [1], read)
    assert not folder.exists() or not list(folder.iterdir())


def test_stamp_sees_changes(tmp_path):
    file = tmp_path / "a"
    file.write_text("one")
    before = storage.stamp(tmp_path, [file])
    assert before == storage.stamp(tmp_path, [file])
    assert before[0][:2] == ("a", 3)
    file.write_text("four")
    assert before != storage.stamp(tmp_path, [file])


@pytest.fixture
def digits():
    return load("digits", limit=50)


def fields_of(data):
    return {field.name: getattr(data, field.name) for field in dataclasses.fields(data)}


def test_a_shared_data_set_is_the_same_and_needs_no_copy(digits, tmp_path):
    with (tmp_path / "data").open("wb") as file:
        layout = share(digits, file)
    found = shared(layout, tmp_path / "data")
    for name, value in fields_of(digits).items():
        other = getattr(found, name)
        if isinstance(value, Split):
            for ours, theirs in ((value.x, other.x), (value.y, other.y)):
                np.testing.assert_array_equal(ours, theirs)
                assert ours.dtype == theirs.dtype
                assert aligned(theirs) is theirs
        else:
            np.testing.assert_array_equal(value, other)


def test_what_one_process_changes_no_other_sees(digits, tmp_path):
    path = tmp_path / "data"
    with path.open("wb") as file:
        layout = share(digits, file)
    with path.open("rb") as file:  # a descriptor does as well as a path
        changed = shared(layout, file)
    changed.train.x[:] = 0
    np.testing.assert_array_equal(shared(layout, path).train.x, digits.train.x)


def test_a_split_can_be_empty(digits, tmp_path):
    nothing = Split(digits.train.x[:0], digits.train.y[:0])
    with (tmp_path / "data").open("wb") as file:
        layout = share(dataclasses.replace(digits, validation=nothing), file)
    found = shared(layout, tmp_path / "data")
    assert found.validation.x.shape == (0, 8, 8, 1)
    np.testing.assert_array_equal(found.test.y, digits.test.y)
