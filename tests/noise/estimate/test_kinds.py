import numpy as np
import pytest

from tfticket.noise.estimate.kinds import fits_pair, is_shared_pair, pair_roots
from tfticket.noise.labels.transition import cifar10_asymmetric, pair, symmetric


def drawn(matrix, sizes=300, seed=0):
    matrix = np.asarray(matrix)
    return np.random.default_rng(seed).multinomial(np.full(len(matrix), sizes), matrix)


@pytest.mark.parametrize(
    ("matrix", "is_pair"),
    [
        (symmetric(10, 0.2), False),
        (symmetric(10, 0.8), False),
        (symmetric(3, 0.3), False),
        (symmetric(2, 0.3), False),
        (pair(10, 0.4), True),
        (pair(10, 0.1), True),
        (pair(3, 0.3), True),
        (cifar10_asymmetric(0.4), False),
        ((np.asarray(symmetric(10, 0.4)) + np.asarray(pair(10, 0.4))) / 2, False),
    ],
)
@pytest.mark.parametrize("seed", range(3))
def test_pair_noise_is_recognized(matrix, is_pair, seed):
    assert fits_pair(drawn(matrix, seed=seed), seed=seed) == is_pair


def confused(matrix, seed=0, sizes=1000):
    """Counts of a network that takes classes 2k and 2k + 1, and 3 and 5, for one another."""
    mistakes = 0.85 * np.eye(10) + 0.15 * np.eye(10)[np.arange(10) ^ 1]
    mistakes[[3, 5]] += [0.2 * np.eye(10)[5], 0.2 * np.eye(10)[3]]
    mistakes /= mistakes.sum(axis=1, keepdims=True)
    return drawn(mistakes @ np.asarray(matrix), sizes, seed)


@pytest.mark.parametrize(
    ("matrix", "is_pair"),
    [
        (symmetric(10, 0.4), False),
        (pair(10, 0.4), True),
        (pair(10, 0.3), True),
        (symmetric(10, 0.0), False),
        (cifar10_asymmetric(0.4), False),
        ((np.asarray(symmetric(10, 0.4)) + np.asarray(pair(10, 0.4))) / 2, False),
    ],
)
@pytest.mark.parametrize("seed", range(3))
def test_pair_noise_that_all_classes_share_is_recognized_behind_mistakes(matrix, is_pair, seed):
    assert is_shared_pair(confused(matrix, seed)) == is_pair


def test_pair_noise_that_was_memorized_is_shared_by_all_classes():
    t = np.asarray(pair(10, 0.4))
    assert is_shared_pair(confused(0.7 * t + 0.3 * np.roll(t, 1, axis=0)))


def test_few_classes_share_nothing_for_certain():
    assert not is_shared_pair(drawn(pair(4, 0.4)))
    counts = drawn(pair(10, 0.4))
    counts[3] = 0  # a class that is never predicted says nothing
    assert not is_shared_pair(counts)


def test_pair_noise_is_recognized_behind_memorized_predictions():
    # Predicted as i are u of class i and 1 - u of class i - 1, whose labels are i - 1 and i.
    t = np.asarray(pair(10, 0.4))
    assert fits_pair(drawn(0.6 * t + 0.4 * np.roll(t, 1, axis=0), 1000), seed=0)


@pytest.mark.parametrize("purity", [1.0, 0.9, 0.75, 0.6])
@pytest.mark.parametrize("rate", [0.05, 0.2, 0.4])
def test_roots_take_memorization_out_of_pair_noise(rate, purity):
    shares = [
        purity * (1 - rate) + (1 - purity) * rate,
        purity * rate,
        (1 - purity) * (1 - rate),
        0.0,
    ]
    found, discriminant = pair_roots(np.array([shares, np.multiply(shares, 1000)]), 10)
    np.testing.assert_allclose(found, rate)
    np.testing.assert_allclose(discriminant, (purity - rate) ** 2)


def test_complete_memorization_is_equation_4():
    # u = 1 - e: agreement is (1 - e)^2 + e^2, and the wrong labels lie evenly on both sides.
    rate = 0.3
    agreement, side = (1 - rate) ** 2 + rate**2, rate * (1 - rate)
    found, _ = pair_roots(np.array([agreement, side, side, 0.0]), 10)
    assert found == pytest.approx(rate)


def test_an_even_background_of_other_mistakes_does_not_matter():
    clear = np.array([0.56, 0.36, 0.08, 0.0])
    background = np.array([0.01, 0.01, 0.01, 0.07])
    np.testing.assert_allclose(
        pair_roots(clear - [0, 0, 0, 0], 10)[0],
        pair_roots(clear * 0.9 + background * [0, 1, 1, 1], 10)[0],
        atol=0.01,
    )


def test_chance_never_leads_out_of_range():
    groups = np.random.default_rng(0).multinomial(60, [0.5, 0.25, 0.25, 0], size=200)
    rates, discriminant = pair_roots(groups, 10)
    assert ((rates >= 0) & (rates <= 0.5)).all()
    assert (discriminant < 0).any()
    assert pair_roots(np.zeros(4), 3)[0] == 0
