import numpy as np
import pytest
from tiny_labels import CLASSES, split_of

from tfticket.errors import DataError
from tfticket.noise import corrupt, diagnose, given_labels, symmetric, theory

pytestmark = pytest.mark.slow

TRUE = np.arange(300) % CLASSES
NOISY = corrupt(TRUE, symmetric(CLASSES, 0.3), seed=0, exact=True)


def test_prediction_is_of_the_realized_noise_and_observation_is_counted():
    found = diagnose(split_of(NOISY.given, TRUE), NOISY)
    expected = theory.expected(NOISY.realized)
    assert found.predicted.precision == pytest.approx(expected.precision)
    # Networks that know every true label select all right labels and no other.
    assert found.observed == theory.HeldOut(0.7, 1.0, 1.0)
    assert found.rate == pytest.approx(0.3)
    assert (found.suspect_precision, found.suspect_recall) == (1.0, 1.0)
    assert found.to_dict()["observed"]["accuracy"] == pytest.approx(0.7)


def test_a_class_without_examples_is_no_obstacle():
    true = np.arange(300) % 2
    noisy = given_labels(true, true, num_classes=CLASSES)
    found = diagnose(split_of(true, true), noisy)
    assert found.predicted == theory.HeldOut(1.0, 1.0, 1.0)
    assert np.isnan([found.suspect_precision, found.suspect_recall]).all()


def test_the_truth_must_be_known():
    split = split_of(NOISY.given, TRUE)
    with pytest.raises(DataError, match="true labels are known"):
        diagnose(split, None)
    with pytest.raises(DataError, match="those of the examples"):
        diagnose(split, given_labels(TRUE, TRUE, num_classes=CLASSES))
