import json

import numpy as np
import pytest

from tfticket.errors import DataError, TicketError
from tfticket.files import write_arrays
from tfticket.noisy.corruption import corrupt
from tfticket.noisy.receipt import Corruption, given_labels
from tfticket.noisy.transition import symmetric

TRUE = np.arange(40) % 4


def corruption():
    return corrupt(TRUE, symmetric(5, 0.5, inclusive=True), seed=7)


def test_the_receipt_says_what_was_asked_for_and_what_came_out():
    receipt = json.loads(json.dumps(corruption().to_dict()))
    wrong = int((corruption().given != TRUE).sum())
    assert receipt["kind"] == "symmetric_inclusive"
    assert receipt["nominal_rate"] == 0.5
    assert receipt["realized_rate"] == wrong / 40 == receipt["wrong"] / 40
    assert receipt["seed"] == 7
    assert receipt["exact"] is False
    assert "row = true label" in receipt["orientation"]
    assert receipt["realized"][4] is None  # nobody is of class 4
    assert sum(receipt["realized"][0]) == pytest.approx(1)
    assert receipt["sha256"] == corruption().sha256


def test_there_and_back(tmp_path):
    saved = corruption()
    loaded = Corruption.load(saved.save(tmp_path / "noise.npz"))
    np.testing.assert_array_equal(loaded.given, saved.given)
    np.testing.assert_array_equal(loaded.true, saved.true)
    assert loaded.to_dict() == saved.to_dict()


def test_labels_of_the_user():
    theirs = given_labels(TRUE, (TRUE + (np.arange(40) < 10)) % 4, num_classes=4)
    assert theirs.kind == "file"
    assert theirs.realized_rate == 0.25
    assert theirs.nominal_rate is None
    with pytest.raises(DataError, match="40 true"):
        given_labels(TRUE, TRUE[:-1], num_classes=4)
    with pytest.raises(DataError, match=r"`given` must lie in \[0, 3\)"):
        given_labels(TRUE % 3, TRUE, num_classes=3)


def test_a_receipt_does_not_change():
    with pytest.raises(ValueError, match="read-only"):
        corruption().given[0] = 1


def test_files_that_are_no_corruptions(tmp_path):
    path = write_arrays(tmp_path / "noise.npz", kind="corruption", header={}, arrays={})
    with pytest.raises(TicketError, match="must hold labels and their receipt"):
        Corruption.load(path)
    with pytest.raises(TicketError, match="no such file"):
        Corruption.load(tmp_path / "absent.npz")
