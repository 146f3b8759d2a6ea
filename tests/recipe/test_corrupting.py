import numpy as np
import pytest

from tfticket import data
from tfticket.errors import DataError
from tfticket.recipe.corrupting import relabeled, training_labels, transition, validation_labels
from tfticket.recipe.noise import Noise

SYMMETRIC = Noise(kind="symmetric", rate=0.3, exact=True)


@pytest.fixture(scope="module")
def digits():
    return data.load("digits", validation=0.15)


def test_wrong_labels_belong_to_the_seed_and_leave_the_data_as_it_was(digits):
    before = digits.train.y.copy()
    one, same, other = (training_labels(digits, SYMMETRIC, seed) for seed in (0, 0, 1))
    assert (one.given == same.given).all()
    assert (one.given != other.given).any()
    assert one.realized_rate == pytest.approx(0.3, abs=1e-3)
    np.testing.assert_array_equal(one.true, before)
    np.testing.assert_array_equal(digits.train.y, before)


def test_validation_labels_are_as_wrong_by_a_stream_of_their_own(digits):
    made = validation_labels(digits, SYMMETRIC, 0)
    np.testing.assert_array_equal(made.true, digits.validation.y)
    assert made.realized_rate == pytest.approx(0.3, abs=0.01)
    assert made.seed != training_labels(digits, SYMMETRIC, 0).seed


def test_relabeled_examples_are_the_same_ones(digits):
    given = validation_labels(digits, SYMMETRIC, 0).given
    split = relabeled(digits.validation, given)
    assert split.x is digits.validation.x
    assert split.y.dtype == np.int32
    np.testing.assert_array_equal(split.y, given)


def test_no_noise_gives_the_labels_themselves(digits):
    made = training_labels(digits, Noise(kind="none"), 0)
    assert made.realized_rate == 0
    np.testing.assert_array_equal(made.given, digits.train.y)


def test_a_noise_about_other_classes_is_refused():
    with pytest.raises(DataError, match="must meet data of 10 classes"):
        transition(Noise(kind="cifar10_asymmetric", rate=0.2), 3)
