import numpy as np
import pytest

from tfticket.errors import DataError
from tfticket.noise.estimate.windows import count_windows, widest_unbiased


def test_windows_by_hand():
    labels = np.array([0, 1, 0, 1, 1, 0])
    rows = np.array([[0.9, 0.1], [0.8, 0.2], [0.6, 0.4], [0.1, 0.9], [0.3, 0.7], [0.4, 0.6]])
    windows = count_windows(labels, rows)
    np.testing.assert_array_equal(windows.counts, [[[2, 1], [1, 2]]])
    np.testing.assert_array_equal(windows.shares, [1])
    np.testing.assert_array_equal(windows.by_shift(), [[4, 2]])


def test_narrower_windows_hold_the_more_confident():
    count = 4000
    confidence = np.linspace(0.5, 1, count)
    rows = np.column_stack([confidence, 1 - confidence])
    labels = (np.arange(count) < count / 2).astype(int)  # the less confident half is labeled 1
    windows = count_windows(labels, rows)
    sizes = windows.counts.sum(axis=(1, 2))
    np.testing.assert_allclose(sizes, windows.shares * count, atol=1)
    assert sizes.min() >= 500
    assert (np.diff(sizes) < 0).all()
    wrong = windows.by_shift()[:, 1] / sizes
    assert wrong[0] == 0.5
    assert (wrong[windows.shares < 0.5] == 0).all()


def test_confidence_is_ranked_within_class_and_fold():
    # Fold 1 is far less sure of itself, and class 1 less than class 0: each keeps its share.
    rng = np.random.default_rng(0)
    folds, predicted = rng.integers(0, 2, 8000), rng.integers(0, 2, 8000)
    best = 0.55 + 0.1 * rng.random(8000) + 0.2 * folds + 0.1 * predicted
    rows = np.where(predicted[:, None] == [0, 1], best[:, None], 1 - best[:, None])
    windows = count_windows(predicted + 0 * folds, rows, folds=folds)
    for share, counts in zip(windows.shares, windows.counts, strict=True):
        np.testing.assert_allclose(np.diag(counts), share * np.bincount(predicted), atol=2)


def test_or_among_those_of_all_classes():
    # Class 1 is hard: less sure, and wrong in half of the cases.
    count = 4000
    labels, predicted = np.arange(count) // 2 % 2, np.arange(count) % 2
    labels[predicted == 0] = 0
    best = 0.6 + 0.2 * (predicted == 0) + 0.1 * np.linspace(0, 1, count)
    rows = np.where(predicted[:, None] == [0, 1], best[:, None], 1 - best[:, None])
    own = count_windows(labels, rows)
    together = count_windows(labels, rows, by_class=False)
    assert own.counts[-1, 1, 0] == own.counts[-1, 1, 1] > 0
    assert together.counts[-1, 1].sum() == 0
    np.testing.assert_allclose(together.counts.sum(axis=(1, 2)), together.shares * count, atol=1)


def test_certain_predictions_have_an_order():
    rows = np.array([[1.0, 0.0], [0.0, 1.0]] * 600)
    assert count_windows(np.array([0, 1] * 600), rows).counts[-1].sum() == 150


def test_the_widest_window_whose_rate_has_leveled_off():
    sizes = np.array([10_000, 5000, 2500, 1200, 600])
    falling = np.array([0.4, 0.3, 0.21, 0.2, 0.2])
    assert widest_unbiased(falling, sizes) == 2
    assert widest_unbiased(np.full(5, 0.2), sizes) == 0
    assert widest_unbiased(np.array([0.5, 0.4, 0.3, 0.2, 0.1]), sizes) == 4
    both = widest_unbiased(np.stack([falling, np.full(5, 0.2)]), np.stack([sizes, sizes]))
    np.testing.assert_array_equal(both, [2, 0])


def test_one_window_and_no_disagreement():
    assert widest_unbiased(np.array([0.3]), np.array([50])) == 0
    assert widest_unbiased(np.zeros(3), np.array([4, 2, 1])) == 0


def test_everything_must_be_as_many():
    with pytest.raises(DataError, match="as many"):
        count_windows(np.array([0, 1, 1]), np.full((2, 2), 0.5))
    with pytest.raises(DataError, match="as many"):
        count_windows(np.array([0, 1]), np.full((2, 2), 0.5), folds=np.array([0]))
