import json

import numpy as np
import pytest
from noisy_splits import split

from tfticket.errors import DataError, TicketError
from tfticket.files import write_arrays
from tfticket.noise.incv.clean_split import CleanSplit


def test_there_and_back(tmp_path):
    saved = split()
    loaded = CleanSplit.load(saved.save(tmp_path / "split.npz"))
    for name in ("clean", "candidate", "removed", "labels", "probabilities", "votes"):
        np.testing.assert_array_equal(getattr(loaded, name), getattr(saved, name))
    assert loaded.to_dict() == saved.to_dict()
    assert loaded.rounds == saved.rounds
    assert loaded.sha256 == saved.sha256
    assert len(loaded) == 6


def test_the_receipt_counts():
    values = json.loads(json.dumps(split().to_dict()))
    assert [values[name] for name in ("examples", "clean", "candidate", "removed")] == [6, 3, 1, 2]
    assert values["estimate"]["rate"] == 0.2
    assert values["rounds"][0] == {"held_out": 6, "agreement": 0.5, "selected": 3, "removed": 1}


@pytest.mark.parametrize(
    "changes",
    [
        {"candidate": np.array([], int)},
        {"removed": np.array([1, 3])},
        {"removed": np.array([1, 6])},
        {"clean": np.array([], int), "removed": np.array([0, 1, 2, 3, 4])},
        {"probabilities": np.full((5, 3), 1 / 3)},
        {"votes": np.zeros((6,), int)},
    ],
)
def test_every_example_is_in_one_set_and_the_clean_one_is_not_empty(changes):
    with pytest.raises(DataError, match="Received"):
        split(**changes)


def test_a_split_does_not_change():
    with pytest.raises(ValueError, match="read-only"):
        split().clean[0] = 1


def test_files_that_are_no_splits(tmp_path):
    path = write_arrays(tmp_path / "split.npz", kind="clean_split", header={}, arrays={})
    with pytest.raises(TicketError, match="must hold a split"):
        CleanSplit.load(path)
    with pytest.raises(TicketError, match="no such file"):
        CleanSplit.load(tmp_path / "absent.npz")
