import numpy as np
import pytest

from tfticket.errors import ModelError
from tfticket.noise.incv.learners import (
    BOTH,
    LOGISTIC,
    NEIGHBORS,
    best_learner,
    check_learned,
    predict_rows,
)


def blobs(classes=3, each=60, seed=0):
    rng = np.random.default_rng(seed)
    y = rng.permutation(np.repeat(np.arange(classes), each))
    return 4 * np.eye(classes, 6)[y] + rng.normal(size=(len(y), 6)), y


def predicted(x, y, *, classes=3, held_out=30, **settings):
    ids = np.arange(len(y))
    return predict_rows(
        x,
        y,
        num_classes=classes,
        train=ids[held_out:],
        held_out=ids[:held_out],
        rng=np.random.default_rng(0),
        **settings,
    )


def test_each_learner_predicts_distributions_over_all_classes():
    x, y = blobs()
    found = predicted(x, y, classes=5)  # two of which nobody was taught
    assert set(found) == {LOGISTIC, NEIGHBORS, BOTH}
    for rows in found.values():
        np.testing.assert_allclose(rows.sum(axis=1), 1)
        assert (rows[:, 3:] == 0).all()
        assert (rows.argmax(axis=1) == y[:30]).mean() > 0.9
    np.testing.assert_allclose(found[BOTH], (found[LOGISTIC] + found[NEIGHBORS]) / 2)


def test_a_column_of_large_numbers_hides_nothing():
    x, y = blobs()
    salary = np.random.default_rng(1).lognormal(11, 0.5, len(y))
    alone, beside = predicted(x, y), predicted(np.column_stack([x, salary]), y)
    for name in alone:
        accuracy = [(rows[name].argmax(axis=1) == y[:30]).mean() for rows in (alone, beside)]
        assert min(accuracy) > 0.9


def test_a_constant_column_and_a_single_label_are_no_obstacle():
    x, y = blobs()
    assert np.isfinite(predicted(np.column_stack([x, np.full(len(y), 7.0)]), y)[BOTH]).all()
    for rows in predicted(x, np.zeros(len(y), int)).values():
        np.testing.assert_array_equal(rows, np.tile([1.0, 0, 0], (30, 1)))


def test_what_takes_minutes_is_left_out():
    x, y = blobs()
    assert set(predicted(x, y, classes=30_000)) == {NEIGHBORS}
    assert set(predicted(x, y, logistic=False)) == {NEIGHBORS}


def test_the_learner_is_chosen_by_the_likelihood_of_the_labels():
    labels = np.array([0, 1, 1])
    sure = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]])  # and wrong once
    unsure = np.array([[0.7, 0.3], [0.3, 0.7], [0.6, 0.4]])
    assert best_learner({"sure": sure, "unsure": unsure}, labels) == "unsure"
    assert best_learner({"sure": sure[:2], "unsure": unsure[:2]}, labels[:2]) == "sure"


def check(accuracy, *, x=None, count=300):
    inputs, y = blobs(each=count // 3)
    rng = np.random.default_rng(0)
    hit = rng.random(len(y)) < accuracy
    check_learned(
        inputs if x is None else x,
        y,
        predicted=np.where(hit, y, (y + 1) % 3),
        folds=np.arange(len(y)) % 2,
        seed=0,
    )


def test_networks_that_are_far_behind_nearest_neighbors_are_refused():
    with pytest.raises(ModelError, match=r"predict the given label of 4\d %.*neighbors.*9\d %"):
        check(0.45)
    check(0.8)  # behind, but no stranger to the data


def test_where_neighbors_tell_nothing_or_little_networks_are_believed():
    noise = np.random.default_rng(1).normal(size=(300, 4, 4))
    check(0.34, x=noise)
    check(0.45, count=9)
