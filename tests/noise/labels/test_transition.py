import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfticket.errors import DataError
from tfticket.noise import read_transition_file
from tfticket.noise.labels.transition import (
    TransitionMatrix,
    as_transition,
    cifar10_asymmetric,
    named_transition,
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


def test_a_name_gives_its_matrix():
    for kind, classes, wrong in (
        ("symmetric", 4, 0.4),
        ("symmetric_inclusive", 4, 0.3),  # a quarter of the new labels are the true ones
        ("pair", 4, 0.4),
        ("cifar10_asymmetric", 10, 0.2),  # 5 of 10 classes
    ):
        found = named_transition(kind, classes, 0.4)
        assert (found.kind, found.num_classes) == (kind, classes)
        assert found.rate() == pytest.approx(wrong)


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


ROWS = np.array([[0.7, 0.3], [0.1, 0.9]])


def test_each_format(tmp_path):
    np.save(tmp_path / "a.npy", ROWS)
    np.savez(tmp_path / "b.npz", T=ROWS, other=np.zeros(3))
    np.savez(tmp_path / "c.npz", anything=ROWS)
    (tmp_path / "d.csv").write_text("0.7,0.3\n0.1,0.9\n")
    for name in ("a.npy", "b.npz", "c.npz", "d.csv"):
        read = read_transition_file(tmp_path / name)
        np.testing.assert_allclose(read.matrix, ROWS)
        assert read.kind == "matrix"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", b"a,b\nc,d\n", "table of numbers"),
        ("a.csv", b"", "table of numbers|shape"),
        ("a.csv", b"0.7,0.3\n0.1\n", "table of numbers"),
        ("a.csv", b"0.7,0.1\n0.3,0.9\n", "transpose it"),
        ("a.csv", b"0.5,0.5\n", r"shape \(k, k\)"),
        ("a.csv", b"nan,1\n0,1\n", "must hold probabilities"),
        ("a.npy", b"no array", "table of numbers"),
        ("a.npz", b"", "table of numbers"),
        ("a.txt", b"1 0\n0 1\n", "must be one of .npy, .npz, .csv"),
        ("none.csv", None, "table of numbers"),
    ],
)
def test_what_is_no_matrix(tmp_path, name, content, message):
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_transition_file(path)


def test_an_archive_that_leaves_the_choice(tmp_path):
    np.savez(tmp_path / "a.npz", one=ROWS, two=ROWS)
    with pytest.raises(DataError, match=r"must call its matrix one of .*'one', 'two'"):
        read_transition_file(tmp_path / "a.npz")
