import numpy as np
import pytest
from noisy_predictions import predictions

from tfticket.noise.estimate.kinds import Ranks, rank_labels
from tfticket.noise.labels.corruption import corrupt
from tfticket.noise.labels.transition import pair, symmetric


def of(transition, **settings):
    true, given, rows = predictions(transition, **settings)
    return np.mean(true != given), rank_labels(given, rows, seed=0)


def test_ranks_by_hand():
    rows = np.array([[0.6, 0.3, 0.1], [0.6, 0.3, 0.1], [0.2, 0.3, 0.5]])
    ranks = rank_labels(np.array([0, 2, 0]), rows, seed=0)
    np.testing.assert_array_equal(ranks.counts, [1, 0, 2])
    # Of the lower half, which is the last rank: predicted were 0 and 2, given 2 and 0.
    np.testing.assert_array_equal(ranks.predicted, [[1, 0, 1], [2, 0, 1]])
    np.testing.assert_array_equal(ranks.given, [[1, 0, 1], [1, 0, 2]])


def test_equal_probabilities_share_the_ranks():
    rows = np.tile([0.7, 0.1, 0.1, 0.1], (9000, 1))
    ranks = rank_labels(np.full(9000, 2), rows, seed=0)
    np.testing.assert_allclose(ranks.counts[1:], 3000, rtol=0.1)
    assert ranks.counts[0] == 0
    np.testing.assert_allclose(ranks.given[1], [0, 3000, 3000, 3000])
    again = rank_labels(np.full(9000, 2), rows, seed=0)
    np.testing.assert_array_equal(again.counts, ranks.counts)


@pytest.mark.parametrize("mistakes", [0.02, 0.3, 0.5])
@pytest.mark.parametrize("rate", [0.05, 0.2, 0.5])
def test_symmetric_noise_is_all_even_whatever_the_network_gets_wrong(rate, mistakes):
    realized, ranks = of(symmetric(10, rate), mistakes=mistakes)
    even = ranks.even_part(0.95)
    assert even.rate == pytest.approx(realized, abs=0.015)
    assert even.low <= realized
    assert even.accuracy == pytest.approx(1 - 0.9 * mistakes, abs=0.05)
    assert ranks.is_even()


def test_noise_that_a_network_learns_is_not_even():
    true = np.arange(6000) % 10
    given = corrupt(true, pair(10, 0.3), seed=0).given
    logits = np.random.default_rng(0).normal(0, 0.1, (6000, 10))
    logits[np.arange(6000), true] += 3
    logits[np.arange(6000), (true + 1) % 10] += 2  # as it was taught
    ranks = rank_labels(given, np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True), seed=0)
    assert ranks.even_part(0.95).rate == 0


def test_rates_that_differ_by_class_are_not_even():
    rates = np.linspace(0.1, 0.5, 10)[:, None]
    uneven = rates * (1 - np.eye(10)) / 9 + np.diag(1 - rates[:, 0])
    realized, ranks = of(uneven, mistakes=0.02)
    assert not ranks.is_even()
    assert ranks.even_part(0.95).low <= realized


def test_what_declines_down_to_the_last_ranks_is_mistakes():
    flat = Ranks(np.array([800, 40, 40, 20, 20, 20, 20, 20, 20]), np.ones((2, 9)), np.ones((2, 9)))
    steep = Ranks(np.array([800, 40, 40, 20, 20, 40, 25, 10, 5]), np.ones((2, 9)), np.ones((2, 9)))
    assert steep.even_part(0.95).rate == flat.even_part(0.95).rate
    assert steep.even_part(0.95).low == 0 < flat.even_part(0.95).low
    assert flat.is_even()
    assert not steep.is_even()


def test_few_labels_and_no_wrong_ones():
    nothing = Ranks(np.array([30, 0, 0]), np.array([[0, 0, 0], [10, 10, 10]]), np.ones((2, 3)))
    assert nothing.even_part(0.95).rate == nothing.even_part(0.95).low == 0
    assert nothing.even_part(0.95).accuracy == 1
    assert nothing.is_even()


def test_a_rate_never_passes_that_of_chance():
    counts = np.array([0, 0, 50])
    assert Ranks(counts, np.ones((2, 3)), np.ones((2, 3))).even_part(0.9).rate == pytest.approx(
        2 / 3
    )
