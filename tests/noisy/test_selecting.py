from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from tfticket.noisy.selecting import small_loss_mask
from tfticket.noisy.selection import small_loss


@pytest.mark.parametrize("class_floor", [0.0, 0.3, 1.0])
def test_says_what_the_definition_says(class_floor):
    rng = np.random.default_rng(0)
    for trial in range(40):
        size = int(rng.integers(1, 12))
        losses = rng.integers(0, 5, size).astype("float32")  # with ties
        losses[rng.random(size) < 0.1] = np.nan
        candidates, labels = rng.random(size) < 0.8, rng.integers(0, 3, size)
        forget_rate = float(rng.choice([0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 1.0]))
        options = {"candidates": candidates, "labels": labels, "class_floor": class_floor}
        expected = small_loss(losses, forget_rate, **options)
        found = small_loss_mask(tf.constant(losses), tf.constant(forget_rate), **options)
        assert found.numpy().tolist() == expected.tolist(), (trial, losses, options)


def test_another_rate_needs_no_other_trace():
    traces = []

    @tf.function
    def select(losses, forget_rate):
        traces.append(forget_rate)
        return small_loss_mask(losses, forget_rate, candidates=tf.ones(4, tf.bool))

    counts = [
        int(tf.reduce_sum(tf.cast(select(tf.range(4.0), tf.constant(rate)), tf.int32)))
        for rate in (0.0, 0.25, 0.5, 0.99)
    ]
    assert counts == [4, 3, 2, 1]
    assert len(traces) == 1
