from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from tfticket.noise.coteaching.selection import UPDATES, Batch

pytestmark = pytest.mark.slow

FIRST, SECOND = [0.1, 0.2, 5.0, 6.0], [7.0, 0.3, 0.4, 8.0]


def choose(update, *, disagree=(1, 1, 1, 1), eligible=(1, 1, 1, 1), warming_up=False, forget=0.5):
    batch = Batch(
        losses=(tf.constant(FIRST), tf.constant(SECOND)),
        disagree=tf.constant([bool(d) for d in disagree]),
        eligible=tf.constant([bool(c) for c in eligible]),
        forget_rate=tf.constant(forget),
        warming_up=tf.constant(warming_up),
        labels=None,
        class_floor=0.0,
    )
    return [np.flatnonzero(mask).tolist() for mask in UPDATES[update](batch)]


def test_coteaching_crosses_over():
    assert choose("coteaching") == [[1, 2], [0, 1], [0, 1, 2, 3]]


def test_plus_looks_only_where_they_differ_and_counts_only_those():
    assert choose("coteaching_plus", disagree=(0, 1, 0, 1)) == [[1], [1], [1, 3]]


def test_plus_sees_every_sample_also_the_first():
    assert choose("coteaching_plus", disagree=(1, 0, 0, 0)) == [[0], [0], [0]]


@pytest.mark.parametrize("quiet", [{"disagree": (0, 0, 0, 0)}, {"warming_up": True}])
def test_plus_is_coteaching_in_warm_up_and_when_they_agree(quiet):
    assert choose("coteaching_plus", **quiet) == choose("coteaching")


def test_jocor_gives_both_the_same():
    assert choose("jocor") == [[0, 1], [0, 1], [0, 1, 2, 3]]


def test_decoupling_asks_for_no_loss():
    assert choose("decoupling", disagree=(0, 0, 1, 1))[:2] == [[2, 3], [2, 3]]


def test_decoupling_never_selects_nothing():
    assert choose("decoupling", disagree=(0, 0, 0, 0)) == [[0], [1], [0, 1]]


def test_plain_takes_everything():
    assert choose("plain") == [[0, 1, 2, 3]] * 3


@pytest.mark.parametrize("update", UPDATES)
def test_whom_nobody_may_take_nobody_takes(update):
    for chosen in choose(update, eligible=(0, 0, 1, 1)):
        assert set(chosen) <= {2, 3}
        assert chosen


@pytest.mark.parametrize("update", ["coteaching", "coteaching_plus", "jocor"])
def test_something_is_always_left(update):
    first, second, _ = choose(update, forget=0.99)
    assert len(first) == len(second) == 1
