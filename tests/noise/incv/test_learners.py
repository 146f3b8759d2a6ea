import numpy as np
import pytest

from tfticket.errors import ModelError
from tfticket.noise.incv import learners
from tfticket.noise.incv.learners import (
    DISCRIMINANT,
    KERNEL,
    LEARNERS,
    LOGISTIC,
    NEIGHBORS,
    best_learner,
    check_learned,
    parts_of,
    predict_rows,
    with_mean,
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
    assert set(found) == set(LEARNERS)
    for rows in found.values():
        np.testing.assert_allclose(rows.sum(axis=1), 1, rtol=1e-5)
        assert (rows[:, 3:] == 0).all()
        assert (rows.argmax(axis=1) == y[:30]).mean() > 0.9
    both = with_mean(found)
    (name,) = set(both) - set(found)
    assert parts_of(name) == (KERNEL, NEIGHBORS)
    np.testing.assert_allclose(both[name], (found[KERNEL] + found[NEIGHBORS]) / 2)


def test_a_column_of_large_numbers_hides_nothing():
    x, y = blobs()
    salary = np.random.default_rng(1).lognormal(11, 0.5, len(y))
    alone, beside = predicted(x, y), predicted(np.column_stack([x, salary]), y)
    for name in alone:
        accuracy = [(rows[name].argmax(axis=1) == y[:30]).mean() for rows in (alone, beside)]
        assert min(accuracy) > 0.9


def test_a_constant_column_and_a_single_label_are_no_obstacle():
    x, y = blobs()
    for column in (7.0, 1e9):
        beside = predicted(np.column_stack([x, np.full(len(y), column)]), y)
        for name, rows in predicted(x, y).items():
            np.testing.assert_allclose(beside[name], rows, atol=0.05)
    for rows in predicted(x, np.zeros(len(y), int)).values():
        np.testing.assert_array_equal(rows, np.tile([1.0, 0, 0], (30, 1)))


def test_a_linear_discriminant_is_that_of_scikit_learn():
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    x, y = blobs(each=400)
    ours = predicted(x, y, learners=[DISCRIMINANT])[DISCRIMINANT]
    theirs = LinearDiscriminantAnalysis().fit(x[30:], y[30:]).predict_proba(x[:30])
    np.testing.assert_allclose(ours, theirs, atol=0.03)


def test_many_classes_of_few_examples():
    # A network of some hundred steps accused 698 of 3,000.
    rng = np.random.default_rng(0)
    y = rng.permutation(np.repeat(np.arange(200), 10))
    x = rng.normal(size=(200, 32))[y] + 0.7 * rng.normal(size=(2000, 32))
    found = predicted(x, y, classes=200, held_out=400, learners=[DISCRIMINANT])
    assert (found[DISCRIMINANT].argmax(axis=1) == y[:400]).mean() > 0.95


def test_images_are_remembered_shifted_by_a_pixel():
    rng = np.random.default_rng(0)
    y = np.arange(60) % 2
    images = np.zeros((60, 6, 6, 1))
    images[np.arange(60), 2, 2 + 2 * y] = 1.0
    images[:20] = np.roll(images[:20], 1, axis=1)  # a row below all that are learned from
    rows = images.reshape(60, -1) + 0.05 * rng.normal(size=(60, 36))
    shape = {"image_shape": (6, 6, 1), "learners": [NEIGHBORS], "classes": 2, "held_out": 20}
    found = predicted(rows, y, **shape)[NEIGHBORS]
    assert (found.argmax(axis=1) == y[:20]).all()


def test_what_takes_minutes_is_left_out(monkeypatch):
    x, y = blobs()
    monkeypatch.setattr(learners, "_MOST_WORK", 150 * 6 * 3 * 25.0)  # fewer landmarks than columns
    assert set(predicted(x, y)) == {LOGISTIC, DISCRIMINANT, NEIGHBORS}
    monkeypatch.setattr(learners, "_MOST_WORK", 150 * 6 * 3 * 15.0)
    assert set(predicted(x, y)) == {DISCRIMINANT, NEIGHBORS}
    assert set(predicted(x, y, learners=[NEIGHBORS])) == {NEIGHBORS}


def test_the_learner_is_chosen_that_agrees_with_most_labels():
    labels = np.array([0, 1, 1])
    sure = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]])  # and wrong once
    unsure = np.array([[0.6, 0.4], [0.45, 0.55], [0.4, 0.6]])
    assert best_learner({"sure": sure, "unsure": unsure}, labels) == "unsure"
    careful = np.array([[0.9, 0.1], [0.1, 0.9], [0.6, 0.4]])  # as often, and less surely
    assert best_learner({"sure": sure, "careful": careful}, labels) == "careful"


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
