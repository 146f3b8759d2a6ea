from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from small_loss import kept_count, small_loss

from tfticket.noise.coteaching.selection import small_loss_mask

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("eligible", "forget_rate", "kept"),
    [(10, 0.0, 10), (10, 0.45, 5), (10, 0.9, 1), (128, 0.2, 102), (3, 0.99, 1), (1, 1.0, 1)],
)
def test_count_is_rounded_down_and_never_zero(eligible, forget_rate, kept):
    assert kept_count(eligible, forget_rate) == kept


def test_keeps_the_smallest_losses_wherever_they_stand():
    kept = small_loss(np.array([0.1, 3.0, 0.2, 2.0]), 0.5)
    assert kept.tolist() == [True, False, True, False]


def test_equal_losses_are_kept_by_position():
    assert small_loss(np.ones(4), 0.5).tolist() == [True, True, False, False]


def test_a_loss_that_is_not_finite_comes_last():
    kept = small_loss(np.array([np.nan, 5.0, -np.inf, 1.0]), 0.5)
    assert kept.tolist() == [False, True, False, True]


def test_only_eligible_samples_are_kept_and_counted():
    can = np.array([False, True, True, True, True, False])
    kept = small_loss(np.arange(6.0), 0.5, eligible=can)
    assert kept.tolist() == [False, True, True, False, False, False]


def test_none_eligible_means_all_are():
    assert small_loss(np.arange(4.0), 0.5, eligible=np.zeros(4, bool)).sum() == 2


def test_without_a_floor_a_rare_class_can_vanish_and_with_one_it_cannot():
    losses, labels = np.array([1.0, 2, 3, 4, 9, 8]), np.array([0, 0, 0, 0, 1, 1])
    assert not small_loss(losses, 0.5)[4:].any()
    kept = small_loss(losses, 0.5, labels=labels, class_floor=0.1)
    assert kept.tolist() == [True, True, False, False, False, True]


def test_the_floor_takes_more_places_than_there_are_when_classes_need_them():
    kept = small_loss(np.arange(6.0), 0.9, labels=np.arange(6), class_floor=0.5)
    assert kept.all()


@pytest.mark.parametrize("class_floor", [0.0, 0.3, 1.0])
def test_says_what_the_definition_says(class_floor):
    rng = np.random.default_rng(0)
    for trial in range(40):
        size = int(rng.integers(1, 12))
        losses = rng.integers(0, 5, size).astype("float32")  # with ties
        losses[rng.random(size) < 0.1] = np.nan
        eligible, labels = rng.random(size) < 0.8, rng.integers(0, 3, size)
        forget_rate = float(rng.choice([0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 1.0]))
        options = {"eligible": eligible, "labels": labels, "class_floor": class_floor}
        expected = small_loss(losses, forget_rate, **options)
        found = small_loss_mask(tf.constant(losses), tf.constant(forget_rate), **options)
        assert found.numpy().tolist() == expected.tolist(), (trial, losses, options)


def test_another_rate_needs_no_other_trace():
    traces = []

    @tf.function
    def select(losses, forget_rate):
        traces.append(forget_rate)
        return small_loss_mask(losses, forget_rate, eligible=tf.ones(4, tf.bool))

    counts = [
        int(tf.reduce_sum(tf.cast(select(tf.range(4.0), tf.constant(rate)), tf.int32)))
        for rate in (0.0, 0.25, 0.5, 0.99)
    ]
    assert counts == [4, 3, 2, 1]
    assert len(traces) == 1
