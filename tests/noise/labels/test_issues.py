import numpy as np
import pytest
from noisy_predictions import predictions

from tfticket.errors import DataError
from tfticket.noise.labels.issues import find_label_issues
from tfticket.noise.labels.transition import pair, symmetric


def test_bayes_by_hand():
    # One that looks like a 0 and is labeled 1: whether it is wrong depends on how many are.
    rows = np.array([[0.7, 0.3]] + [[0.999, 0.001]] * 500 + [[0.001, 0.999]] * 500)
    labels = np.array([1] + [0] * 500 + [1] * 500)
    rare = find_label_issues(labels, rows, transition=symmetric(2, 0.01))
    assert 0 not in rare.ids
    often = find_label_issues(labels, rows, transition=symmetric(2, 0.45))
    assert often.all_probabilities[0] > rare.all_probabilities[0]


@pytest.mark.parametrize(
    ("transition", "precision", "recall"),
    [
        (symmetric(10, 0.2), 0.85, 0.75),
        (symmetric(10, 0.02), 0.75, 0.7),
        (pair(10, 0.3), 0.85, 0.75),
    ],
)
def test_wrong_labels_are_found(transition, precision, recall):
    true, given, rows = predictions(transition, mistakes=0.08)
    suspects = find_label_issues(given, rows, transition=transition)
    wrong = true != given
    found = wrong[suspects.ids]
    assert found.mean() > precision
    assert found.sum() > recall * wrong.sum()
    assert found.mean() > suspects.expected_precision - 0.1  # it promises no more than it holds
    by_disagreement = wrong[rows.argmax(axis=1) != given].mean()
    assert found.mean() > by_disagreement
    right = suspects.suggested[found] == true[suspects.ids][found]
    assert right.mean() > 0.9


def test_the_most_certain_come_first():
    true, given, rows = predictions(symmetric(10, 0.2), count=4000, seconds=False)
    suspects = find_label_issues(given, rows, transition=symmetric(10, 0.2))
    assert (np.diff(suspects.probability) <= 0).all()
    first, last = np.array_split((true != given)[suspects.ids], 2)
    assert first.mean() > last.mean()
    np.testing.assert_array_equal(suspects.given, given[suspects.ids])
    assert (suspects.suggested != suspects.given).all()
    np.testing.assert_array_equal(suspects.all_probabilities[suspects.ids], suspects.probability)


def test_without_noise_nothing_is_suspect():
    _, given, rows = predictions(symmetric(10, 0.0), mistakes=0.1)
    suspects = find_label_issues(given, rows, transition=symmetric(10, 0.0))
    assert len(suspects) == 0
    assert np.isnan(suspects.expected_precision)


def test_one_hot_probabilities_are_taken():
    true, given, rows = predictions(symmetric(5, 0.2), count=1000, mistakes=0)
    hard = np.eye(5)[rows.argmax(axis=1)]
    suspects = find_label_issues(given, hard, transition=symmetric(5, 0.2))
    np.testing.assert_array_equal(np.sort(suspects.ids), np.flatnonzero(true != given))


def test_the_arguments_must_be_about_the_same_classes():
    with pytest.raises(DataError, match="about the 3 classes"):
        find_label_issues([0, 1], np.full((2, 2), 0.5), transition=np.eye(3))
    with pytest.raises(DataError, match="shape"):
        find_label_issues([0, 1, 1], np.full((2, 2), 0.5), transition=np.eye(2))
