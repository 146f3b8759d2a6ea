import numpy as np
import pytest

from tfticket.errors import DataError
from tfticket.statistics import expected_calibration_error


def directly(p, y, bins):
    confidence, right = p.max(axis=1), p.argmax(axis=1) == y
    total = 0.0
    for m in range(bins):
        inside = (confidence > m / bins) & (confidence <= (m + 1) / bins)
        if inside.any():
            total += inside.mean() * abs(right[inside].mean() - confidence[inside].mean())
    return total


@pytest.mark.parametrize("bins", [1, 10, 15])
def test_it_is_the_sum_over_bins(bins):
    rng = np.random.default_rng(0)
    p = rng.dirichlet(np.full(4, 0.5), 500)
    y = rng.integers(0, 4, 500)
    assert expected_calibration_error(p, y, bins=bins) == pytest.approx(directly(p, y, bins))


def test_confident_and_right_is_calibrated_and_confident_and_wrong_is_not():
    sure = np.eye(3)[[0, 1, 2]]
    assert expected_calibration_error(sure, [0, 1, 2]) == 0
    assert expected_calibration_error(sure, [1, 2, 0]) == 1


def test_one_who_is_as_often_right_as_he_says_is_calibrated():
    p = np.tile([0.75, 0.25], (8, 1))
    assert expected_calibration_error(p, [0, 0, 0, 1] * 2) == 0
    # Over- and underconfidence in one bin cancel, as the definition has it.
    assert expected_calibration_error([[0.9, 0.1], [0.9, 0.1]], [0, 1]) == pytest.approx(0.4)


@pytest.mark.parametrize(
    ("p", "y", "message"),
    [
        ([[2.0, -1.0]], [0], "Apply softmax"),
        ([[np.nan, 0.5]], [0], r"in \[0, 1\]"),
        ([0.5, 0.5], [0, 1], "don't fit together"),
        ([[0.5, 0.5]], [0, 1], "don't fit together"),
        (np.empty((0, 2)), [], "don't fit together"),
    ],
)
def test_what_are_no_predictions(p, y, message):
    with pytest.raises(DataError, match=message):
        expected_calibration_error(p, y)
