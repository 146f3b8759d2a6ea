from __future__ import annotations

import numpy as np
import pytest

from tfticket.errors import DataError
from tfticket.noisy.selection import kept_count, small_loss


@pytest.mark.parametrize(
    ("candidates", "forget_rate", "kept"),
    [(10, 0.0, 10), (10, 0.45, 5), (10, 0.9, 1), (128, 0.2, 102), (3, 0.99, 1), (1, 1.0, 1)],
)
def test_count_is_rounded_down_and_never_zero(candidates, forget_rate, kept):
    assert kept_count(candidates, forget_rate) == kept


def test_keeps_the_smallest_losses_wherever_they_stand():
    kept = small_loss(np.array([0.1, 3.0, 0.2, 2.0]), 0.5)
    assert kept.tolist() == [True, False, True, False]


def test_equal_losses_are_kept_by_position():
    assert small_loss(np.ones(4), 0.5).tolist() == [True, True, False, False]


def test_a_loss_that_is_not_finite_comes_last():
    kept = small_loss(np.array([np.nan, 5.0, -np.inf, 1.0]), 0.5)
    assert kept.tolist() == [False, True, False, True]


def test_only_candidates_are_kept_and_counted():
    can = np.array([False, True, True, True, True, False])
    kept = small_loss(np.arange(6.0), 0.5, candidates=can)
    assert kept.tolist() == [False, True, True, False, False, False]


def test_nobody_is_a_candidate_means_everybody_is():
    assert small_loss(np.arange(4.0), 0.5, candidates=np.zeros(4, bool)).sum() == 2


def test_without_a_floor_a_rare_class_can_vanish_and_with_one_it_cannot():
    losses, labels = np.array([1.0, 2, 3, 4, 9, 8]), np.array([0, 0, 0, 0, 1, 1])
    assert not small_loss(losses, 0.5)[4:].any()
    kept = small_loss(losses, 0.5, labels=labels, class_floor=0.1)
    assert kept.tolist() == [True, True, False, False, False, True]


def test_the_floor_takes_more_places_than_there_are_when_classes_need_them():
    kept = small_loss(np.arange(6.0), 0.9, labels=np.arange(6), class_floor=0.5)
    assert kept.all()


@pytest.mark.parametrize(
    "wrong",
    [
        {"losses": np.ones((2, 2))},
        {"losses": np.ones(0)},
        {"forget_rate": 1.5},
        {"forget_rate": -0.1},
        {"class_floor": 0.5},
        {"class_floor": 2.0, "labels": np.zeros(3, int)},
    ],
)
def test_wrong_shapes_and_ranges_are_refused(wrong):
    with pytest.raises(DataError, match="Received"):
        small_loss(**{"losses": np.ones(3), "forget_rate": 0.5, **wrong})
    with pytest.raises(DataError, match="Received: 0"):
        kept_count(0, 0.5)
