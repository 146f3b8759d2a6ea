import math

import numpy as np
import pytest

from tfticket.errors import DataError
from tfticket.noise import Corruption, corrupt, given_labels, symmetric
from tfticket.noise.theory import memorization

TRUE = np.array([0, 0, 1, 1, 2, 2])
GIVEN = np.array([0, 1, 1, 2, 2, 0])  # three of six are wrong
LABELS = given_labels(TRUE, GIVEN, num_classes=3)


@pytest.mark.parametrize(
    ("predicted", "memorized", "recovered", "right"),
    [
        (GIVEN, 1, 0, 1),
        (TRUE, 0, 1, 1),
        ([1, 2, 0, 0, 0, 1], 0, 0, 0),  # neither the one nor the other
        ([0, 1, 1, 1, 2, 1], 1 / 3, 1 / 3, 1),
    ],
)
def test_shares_are_of_the_wrongly_and_of_the_rightly_labelled(
    predicted, memorized, recovered, right
):
    found = memorization(predicted, LABELS)
    assert (found.memorized, found.recovered, found.right_accuracy) == (
        pytest.approx(memorized),
        pytest.approx(recovered),
        pytest.approx(right),
    )


def test_chance_memorizes_one_in_k():
    rng = np.random.default_rng(0)
    labels = corrupt(rng.integers(0, 10, 50_000), symmetric(10, 0.4), seed=0)
    found = memorization(rng.integers(0, 10, 50_000), labels)
    for share in (found.memorized, found.recovered, found.right_accuracy):
        assert share == pytest.approx(0.1, abs=0.01)


def test_a_share_of_nothing_is_no_number():
    found = memorization(TRUE, given_labels(TRUE, TRUE, num_classes=3))
    assert math.isnan(found.memorized)
    assert math.isnan(found.recovered)
    assert found.right_accuracy == 1


def test_an_example_of_no_class_is_never_recovered():
    labels = Corruption(np.array([0, 1, 1]), np.array([0, -1, 1]), 2, "open_set")
    found = memorization([0, 1, 0], labels)
    assert (found.memorized, found.recovered, found.right_accuracy) == (1, 0, 0.5)


def test_a_prediction_is_asked_for_each_label():
    with pytest.raises(DataError, match="5 predictions, 6 labels"):
        memorization(TRUE[:5], LABELS)
    with pytest.raises(DataError, match="predicted"):
        memorization([0, 0, 0, 0, 0, 3], LABELS)
