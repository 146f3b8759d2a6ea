import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfticket.errors import DataError
from tfticket.noisy.transition import (
    TransitionMatrix,
    as_transition,
    cifar10_asymmetric,
    noise_rate,
    pair,
    symmetric,
)

CLASSES, RATES = st.integers(2, 12), st.floats(0, 1)


def test_symmetric_by_hand():
    np.testing.assert_allclose(
        symmetric(3, 0.4), [[0.6, 0.2, 0.2], [0.2, 0.6, 0.2], [0.2, 0.2, 0.6]]
    )


def test_inclusive_counts_the_labels_that_stay():
    # "50 %" in the code of DivideMix: 45 % of 10 classes, 49.5 % of 100.
    assert symmetric(10, 0.5, inclusive=True).rate() == pytest.approx(0.45)
    assert symmetric(100, 0.5, inclusive=True).rate() == pytest.approx(0.495)
    assert symmetric(10, 0.5, inclusive=True).nominal_rate == 0.5
    assert symmetric(10, 0.5).rate() == pytest.approx(0.5)


def test_pair_by_hand():
    np.testing.assert_allclose(pair(3, 0.4), [[0.6, 0.4, 0], [0, 0.6, 0.4], [0.4, 0, 0.6]])


def test_cifar10_asymmetric_flips_half_of_its_rate():
    # airplane automobile bird cat deer dog frog horse ship truck
    matrix = np.asarray(cifar10_asymmetric(0.4))
    flips = {(i, j): matrix[i, j] for i, j in np.argwhere(matrix) if i != j}
    assert flips == pytest.approx({(9, 1): 0.4, (2, 0): 0.4, (3, 5): 0.4, (5, 3): 0.4, (4, 7): 0.4})
    assert cifar10_asymmetric(0.4).rate() == pytest.approx(0.2)


@given(CLASSES, RATES, st.booleans())
def test_rows_sum_to_one(k, rate, inclusive):
    for transition in (symmetric(k, rate, inclusive=inclusive), pair(k, rate)):
        matrix = np.asarray(transition)
        assert matrix.shape == (k, k)
        assert (matrix >= 0).all()
        np.testing.assert_allclose(matrix.sum(axis=1), 1)
    assert pair(k, rate).rate() == pytest.approx(rate)
    assert symmetric(k, rate).rate() == pytest.approx(rate)


def test_the_rate_weighs_classes_by_their_share():
    assert noise_rate([[0.5, 0.5], [0, 1]], [0.2, 0.8]) == pytest.approx(0.1)
    assert noise_rate([[0.5, 0.5], [0, 1]]) == pytest.approx(0.25)


def test_a_matrix_of_the_other_orientation_is_refused():
    with pytest.raises(DataError, match="Its columns do: transpose it"):
        as_transition([[0.9, 0.3], [0.1, 0.7]])


@pytest.mark.parametrize(
    ("matrix", "rule"),
    [
        ([0.5, 0.5], "shape"),
        ([[1.0]], "at least 2"),
        ([[0.5, 0.5, 0], [0, 1, 0]], "shape"),
        ([[0.5, 0.4], [0, 1]], "sum to 1"),
        ([[1.5, -0.5], [0, 1]], "probabilities"),
        ([[np.nan, 1], [0, 1]], "probabilities"),
    ],
)
def test_what_is_no_transition_matrix(matrix, rule):
    with pytest.raises(DataError, match=rule):
        as_transition(matrix)


@pytest.mark.parametrize("rate", [-0.1, 1.1, 20, float("nan")])
def test_rates_are_shares(rate):
    for make in (lambda r: symmetric(10, r), lambda r: pair(10, r), cifar10_asymmetric):
        with pytest.raises(DataError, match=r"in \[0, 1\], never percent"):
            make(rate)


def test_one_class_has_no_wrong_labels():
    with pytest.raises(DataError, match="at least 2 classes"):
        symmetric(1, 0.5)


@pytest.mark.parametrize("prior", [[0.5, 0.4], [1.0], [1.5, -0.5]])
def test_a_prior_is_a_distribution(prior):
    with pytest.raises(DataError, match="2 shares that sum to 1"):
        noise_rate(pair(2, 0.1), prior)


def test_matrices_do_not_change():
    mine = np.eye(3)
    transition = TransitionMatrix(mine)
    mine[0] = 0
    np.testing.assert_array_equal(transition, np.eye(3))
    with pytest.raises(ValueError, match="read-only"):
        transition.matrix[0, 0] = 0.5
