import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tfticket.errors import DataError
from tfticket.noise.labels.corruption import corrupt
from tfticket.noise.labels.transition import pair, symmetric
from tfticket.noise.theory import (
    accuracy_slope,
    expected,
    expected_confusion,
    label_quality,
    measured,
    rates_from_accuracy,
)

RATES = st.floats(0, 1)


@pytest.mark.parametrize(
    ("transition", "precision"),
    [
        (symmetric(10, 0.2), 0.993),
        (symmetric(10, 0.5), 0.900),
        (symmetric(10, 0.8), 0.360),
        (pair(10, 0.4), 0.692),
    ],
    ids=["symmetric 0.2", "symmetric 0.5", "symmetric 0.8", "pair 0.4"],
)
def test_label_precision_of_the_paper(transition, precision):
    theory = expected(transition)
    assert theory.precision == pytest.approx(precision, abs=5e-4)
    assert theory.recall == pytest.approx(1 - transition.rate())


@given(RATES, st.integers(2, 20))
def test_closed_forms_of_equation_4(rate, k):
    for transition, others in ((symmetric(k, rate), k - 1), (pair(k, rate), 1)):
        theory = expected(transition)
        accuracy = (1 - rate) ** 2 + rate**2 / others
        assert theory.accuracy == pytest.approx(accuracy)
        residual = rate**2 / (rate**2 + others * (1 - rate) ** 2)
        assert theory.residual_noise == pytest.approx(residual, abs=1e-12)


def test_theory_predicts_what_memorizing_predictions_do():
    # A network that generalizes in distribution draws its predictions as the labels were drawn.
    true = np.arange(60_000) % 10
    transition = symmetric(10, 0.5)
    given_labels = corrupt(true, transition, seed=0).given
    predicted = corrupt(true, transition, seed=1).given
    counted, theory = measured(true, given_labels, predicted=predicted), expected(transition)
    assert counted.accuracy == pytest.approx(theory.accuracy, abs=0.01)
    assert counted.precision == pytest.approx(theory.precision, abs=0.01)
    assert counted.recall == pytest.approx(theory.recall, abs=0.01)
    joint = np.zeros((10, 10))
    np.add.at(joint, (given_labels, predicted), 1 / len(true))
    np.testing.assert_allclose(joint, expected_confusion(transition), atol=0.004)


def test_unequal_classes_count_by_their_share():
    matrix = [[1, 0], [0.5, 0.5]]
    theory = expected(matrix, [0.8, 0.2])
    assert theory.accuracy == pytest.approx(0.8 + 0.2 * 0.5)
    assert theory.precision == pytest.approx((0.8 + 0.2 * 0.25) / 0.9)
    assert theory.recall == pytest.approx((0.8 + 0.2 * 0.25) / (0.8 + 0.2 * 0.5))
    assert expected_confusion(matrix, [0.8, 0.2]).sum() == pytest.approx(1)


@given(RATES, st.integers(2, 20), st.sampled_from(["symmetric", "pair"]))
def test_the_inverse_finds_the_rate_and_its_twin(rate, k, kind):
    assume(abs(accuracy_slope(rate, k, kind=kind)) > 1e-3)
    transition = symmetric(k, rate) if kind == "symmetric" else pair(k, rate)
    accuracy = min(expected(transition).accuracy, 1.0)
    rates = rates_from_accuracy(accuracy, k, kind=kind)
    assert min(abs(rate - found) for found in rates) < 1e-6
    assert all(0 <= found <= 1 for found in rates)
    assert list(rates) == sorted(rates)


def test_below_chance_there_is_no_rate():
    # The paper's code counts up to e = 1.0000000000000007 here, and to a ratio of -1.5e15.
    assert rates_from_accuracy(0.09, 10, kind="symmetric") == ()
    assert rates_from_accuracy(0.45, 10, kind="pair") == ()
    assert rates_from_accuracy(0.1, 10, kind="symmetric") == pytest.approx((0.9,))


def test_pair_noise_of_e_and_of_one_minus_e_are_the_same():
    assert rates_from_accuracy(0.52, 10, kind="pair") == pytest.approx((0.4, 0.6))


@pytest.mark.parametrize(
    ("rate", "slope"), [(0.2, -1.56), (0.5, -0.89), (0.8, -0.22), (0.85, -0.11)]
)
def test_slope_of_the_curve(rate, slope):
    assert accuracy_slope(rate, 10, kind="symmetric") == pytest.approx(slope, abs=0.005)


def test_quality_of_a_selection_by_hand():
    true, labels = [0, 1, 2, 0], [0, 1, 1, 2]
    assert label_quality(true, labels, selected=[0, 2]) == (0.5, 0.5)
    assert label_quality(true, labels, selected=[True, True, False, False]) == (1, 1)
    assert np.isnan(label_quality(true, labels, selected=np.zeros(4, bool))[0])
    assert label_quality(true, labels, selected=[])[1] == 0
    for selected in ([4], [-1], [0.0, 1.0], [True], [[0], [1]]):
        with pytest.raises(DataError, match=r"`selected` must be bool of shape \(4,\)"):
            label_quality(true, labels, selected=selected)


def test_an_example_of_no_class_has_no_right_label():
    assert label_quality([0, -1, 1], [0, 0, 1], selected=[0, 1]) == (0.5, 0.5)


def test_what_makes_no_sense_is_refused():
    with pytest.raises(DataError, match="one of symmetric, pair"):
        rates_from_accuracy(0.5, 10, kind="asymmetric")
    with pytest.raises(DataError, match="`accuracy` must be in"):
        rates_from_accuracy(50, 10, kind="pair")
    with pytest.raises(DataError, match="2 and 3"):
        measured([0, 1], [0, 1, 1], predicted=[0, 1, 1])
