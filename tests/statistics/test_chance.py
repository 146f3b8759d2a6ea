import numpy as np
import pytest
from scipy import stats

from tfticket.statistics.chance import at_chance, chance_warning

EVEN = np.full(10, 0.1)


@pytest.mark.parametrize(
    ("accuracy", "shares", "count"),
    [
        (0.0, EVEN, 1000),
        (0.1, EVEN, 1000),
        (0.18, EVEN, 10_000),  # far beyond luck, and still useless
        (0.854, [0.854, 0.146], 400),
        (0.668, [0.146, 0.854], 400),  # worse than one answer for all
        (1.0, [0.5, 0.5], 4),  # luck can do that
        (0.55, [0.5, 0.5], 100_000),
        (0.012, np.full(100, 0.01), 10_000),
    ],
)
def test_at_chance(accuracy, shares, count):
    assert at_chance(accuracy, np.array(shares), count)


@pytest.mark.parametrize(
    ("accuracy", "shares", "count"),
    [
        (0.3, EVEN, 1000),
        (1.0, EVEN, 3),
        (0.9, [0.854, 0.146], 400),
        (0.7, [0.5, 0.5], 200),
        (0.05, np.full(100, 0.01), 10_000),  # small, and five times what chance gives
        (1.0, [0.5, 0.5], 8),
    ],
)
def test_better_than_chance(accuracy, shares, count):
    assert not at_chance(accuracy, np.array(shares), count)


def test_the_test_is_the_exact_binomial_one():
    for right in range(31):
        luck = stats.binom.sf(right - 1, 30, 0.02)
        expected = bool(luck >= 0.01)
        assert at_chance(right / 30, np.array([0.02] * 50), 30) == (expected or right / 30 < 0.06)


def test_random_answers_are_hardly_ever_called_better():
    rng = np.random.default_rng(0)
    for classes, count in ((2, 50), (10, 30), (100, 400)):
        found = rng.binomial(count, 1 / classes, 2000) / count
        shares = np.full(classes, 1 / classes)
        assert np.mean([at_chance(each, shares, count) for each in found]) >= 0.99


def test_the_warning_says_how_often_and_how_many():
    labels = np.array([0] * 854 + [1] * 146)
    told = chance_warning(0.668, labels, of="`net.keras`")
    assert told.startswith("`net.keras` is right on 66.8 % of 1,000 examples, and 85.4 % have")
    assert chance_warning(0.99, labels, of="`net.keras`") is None
