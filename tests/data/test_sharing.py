import dataclasses

import numpy as np
import pytest

from tfticket.data import Split, load
from tfticket.data.arrays import aligned
from tfticket.data.storage import share, shared


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
