import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from noisy_splits import estimate

from tfticket.noise.incv.rule import deal, decide, removal

IDS = np.array([3, 5, 8, 9, 12])
LABELS = np.array([0, 1, 0, 1, 0])
#                agrees      agrees      wrong       worse       wrong, by less
ROWS = np.array([[0.9, 0.1], [0.2, 0.8], [0.3, 0.7], [0.99, 0.01], [0.45, 0.55]])


def test_selected_are_those_that_agree_and_removed_those_that_do_least():
    selected, removed = decide(IDS, LABELS, ROWS, removable=10, ratio=0.5)
    np.testing.assert_array_equal(selected, [3, 5])
    np.testing.assert_array_equal(removed, [9])
    np.testing.assert_array_equal(decide(IDS, LABELS, ROWS, removable=10, ratio=1.0)[1], [8, 9])


def test_a_count_of_zero_removes_nothing():
    # `argsort(losses)[-int(r * hits):]` with int() == 0 is [-0:], and that is everything.
    for arguments in ({"ratio": 0.2, "removable": 10}, {"ratio": 2.0, "removable": 0}):
        assert len(decide(IDS, LABELS, ROWS, **arguments)[1]) == 0


def test_what_agrees_is_never_removed():
    selected, removed = decide(IDS, LABELS, ROWS, removable=10, ratio=2.0)
    np.testing.assert_array_equal(removed, [8, 9, 12])
    np.testing.assert_array_equal(selected, [3, 5])


def test_no_more_is_removed_than_there_is_noise_left():
    np.testing.assert_array_equal(decide(IDS, LABELS, ROWS, removable=1, ratio=2.0)[1], [9])


def test_ties_go_by_id():
    rows = np.tile([[0.9, 0.1]], (5, 1))
    selected, removed = decide(IDS, LABELS * 0 + 1, rows, removable=2, ratio=2.0)
    assert len(selected) == len(removed) == 0
    _, mixed = decide(IDS, np.array([0, 1, 1, 1, 1]), rows, removable=2, ratio=2.0)
    np.testing.assert_array_equal(mixed, [5, 8])


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"rate": 0.2}, (0.25, 200)),
        ({"rate": 0.5}, (1.0, 500)),
        ({"rate": 0.8}, (2.0, 800)),
        ({"rate": 0.4, "kind": "pair"}, (0.0, 0)),
        ({"rate": 0.01, "kind": "clean"}, (0.0, 0)),
        ({"rate": 0.87, "identifiable": False}, (0.0, 0)),
        ({"rate": 0.2, "kind": "general"}, (0.25, 200)),
    ],
)
def test_how_many_to_remove_follows_from_the_estimate(changes, expected):
    ratio, most = removal(estimate(**changes), 1000)
    assert (pytest.approx(ratio), most) == expected


@given(st.lists(st.integers(0, 4), min_size=6, max_size=60), st.integers(2, 6))
def test_folds_are_even_in_size_and_in_every_class(labels, folds):
    labels = np.array(labels)
    dealt = deal(np.arange(len(labels)), labels, folds=folds, seed=0, iteration=0)
    assert np.ptp(np.bincount(dealt, minlength=folds)) <= 1
    for label in range(5):
        assert np.ptp(np.bincount(dealt[labels == label], minlength=folds)) <= 1


def test_each_iteration_and_each_seed_deals_anew():
    labels = np.arange(200) % 10
    dealt = {
        (seed, iteration): deal(
            np.arange(200), labels, folds=2, seed=seed, iteration=iteration
        ).tobytes()
        for seed in (0, 1)
        for iteration in (0, 1)
    }
    assert len(set(dealt.values())) == 4
