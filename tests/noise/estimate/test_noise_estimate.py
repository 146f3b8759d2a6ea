import json

import numpy as np
import pytest
from noisy_predictions import predictions

from tfticket.errors import DataError
from tfticket.noise.estimate.noise_estimate import NoiseEstimate, estimate_noise
from tfticket.noise.labels.transition import cifar10_asymmetric, pair, symmetric
from tfticket.noise.theory import rates_from_accuracy

CASES = [
    (symmetric(10, 0.2), "symmetric", 0.03),
    (symmetric(10, 0.5), "symmetric", 0.03),
    (pair(10, 0.4), "pair", 0.05),
    (pair(10, 0.2), "pair", 0.05),
    (cifar10_asymmetric(0.4), "general", 0.05),
    (symmetric(2, 0.2), "symmetric", 0.03),
]


@pytest.mark.parametrize(("transition", "kind", "error"), CASES)
@pytest.mark.parametrize("seed", range(2))
def test_rate_and_type_without_an_oracle(transition, kind, error, seed):
    true, given, rows = predictions(transition, seed=seed)
    estimate = estimate_noise(given, rows)
    rate = np.mean(true != given)
    assert estimate.kind == kind
    assert estimate.identifiable, estimate.reason
    assert estimate.rate == pytest.approx(rate, abs=error)
    assert estimate.low <= rate <= estimate.high
    np.testing.assert_allclose(estimate.matrix, transition, atol=0.15)


@pytest.mark.parametrize("seed", range(2))
def test_a_good_network_shows_that_labels_are_clean(seed):
    _, given, rows = predictions(symmetric(10, 0.0), mistakes=0.03, seed=seed)
    estimate = estimate_noise(given, rows)
    assert (estimate.kind, estimate.identifiable) == ("clean", True)
    assert estimate.low == 0
    assert estimate.high < 0.05


@pytest.mark.parametrize("memorized", [0.0, 0.3, 0.7])
def test_pair_noise_is_found_however_much_was_memorized(memorized):
    true, given, rows = predictions(pair(10, 0.3), memorized=memorized, mistakes=0.05)
    estimate = estimate_noise(given, rows)
    assert estimate.kind == "pair"
    assert estimate.rate == pytest.approx(np.mean(true != given), abs=0.05)


def test_an_imperfect_network_shows_no_noise_and_no_clean_labels():
    # Solving equation 4 of the paper for the rate reads 5 % off a clean set when the network is
    # right on 90 % of it. Whether its mistakes are wrong labels can't be told.
    _, given, rows = predictions(symmetric(10, 0.0), mistakes=0.11)
    agreement = np.mean(rows.argmax(axis=1) == given)
    assert rates_from_accuracy(agreement, 10, kind="symmetric")[0] > 0.045
    estimate = estimate_noise(given, rows)
    assert estimate.agreement == pytest.approx(agreement)
    assert estimate.rate < 0.01
    assert estimate.low == 0
    assert estimate.high > 1 - agreement
    assert estimate.kind == "general"


def test_a_class_that_is_hard_does_not_pass_for_noise():
    # Of what is predicted as 0 or 1 a fifth is of the other class, however sure the network is.
    true, given, rows = predictions(symmetric(10, 0.2), mistakes=0.02)
    other = (true < 2) & (np.random.default_rng(1).random(len(true)) < 0.2)
    rows[true < 2, :2] += 0.2
    rows[other, :2] = rows[other, 1::-1]
    rows /= rows.sum(axis=1, keepdims=True)
    hard = rows.argmax(axis=1) < 2
    rows[hard] = 0.5 * rows[hard] + 0.05  # but less sure than elsewhere
    estimate = estimate_noise(given, rows)
    assert estimate.kind == "symmetric"
    assert estimate.rate == pytest.approx(np.mean(true != given), abs=0.01)
    assert estimate.low <= np.mean(true != given) <= estimate.high
    assert np.mean(given[hard] != rows[hard].argmax(axis=1)) > 0.34


@pytest.mark.parametrize("rate", [0.0, 0.2, 0.5])
def test_mistakes_that_are_as_even_as_noise_are_told_by_confidence(rate):
    # Second guesses are drawn by lot, so that mistakes stand on lower ranks as wrong labels do.
    true, given, rows = predictions(symmetric(10, rate), seconds=False)
    estimate = estimate_noise(given, rows)
    assert estimate.rate == pytest.approx(np.mean(true != given), abs=0.03)
    assert estimate.low <= np.mean(true != given) <= estimate.high


def test_some_classes_that_are_wrong_are_not_spread_over_all():
    # Half of the classes with 40 % were called clean, with a matrix that was even.
    matrix = np.eye(10)
    matrix[5:] = np.asarray(symmetric(10, 0.4))[5:]
    true, given, rows = predictions(matrix, mistakes=0.02)
    estimate = estimate_noise(given, rows)
    assert estimate.kind == "general"
    assert estimate.low <= np.mean(true != given) <= estimate.high
    assert estimate.low > 0.15
    np.testing.assert_allclose(estimate.matrix, matrix, atol=0.06)


def test_one_class_that_is_wrong_is_not_clean():
    matrix = np.eye(10)
    matrix[3] = np.asarray(symmetric(10, 0.35))[3]
    true, given, rows = predictions(matrix, mistakes=0.0)
    estimate = estimate_noise(given, rows)
    assert estimate.kind == "general"
    assert estimate.low <= np.mean(true != given) <= estimate.high < 0.05
    assert estimate.matrix[3, 3] == pytest.approx(0.65, abs=0.05)


def test_rates_that_differ_by_class_are_not_taken_for_symmetric():
    # Human labels: 28 to 51 % wrong by class.
    rates = np.linspace(0.28, 0.51, 10)
    matrix = rates[:, None] * (1 - np.eye(10)) / 9 + np.diag(1 - rates)
    true, given, rows = predictions(matrix, count=50_000)
    estimate = estimate_noise(given, rows)
    assert estimate.kind == "general"
    assert estimate.low <= np.mean(true != given) <= estimate.high


def test_predictions_that_are_all_as_sure_tell_no_mistake_from_noise():
    # As of one nearest neighbor, which has memorized every label.
    true, given, _ = predictions(symmetric(10, 0.2))
    memorized = np.where(np.random.default_rng(0).random(len(true)) < 0.2, given[::-1], true)
    estimate = estimate_noise(given, np.eye(10)[memorized])
    assert not estimate.identifiable
    assert estimate.low == 0
    assert "the network's own mistakes" in estimate.reason


def test_a_network_that_was_not_trained_to_the_end_is_recognized():
    _, given, rows = predictions(symmetric(10, 0.2))
    rows = rows**0.05
    estimate = estimate_noise(given, rows / rows.sum(axis=1, keepdims=True))
    assert not estimate.identifiable
    assert estimate.learned
    assert "hasn't been trained to the end" in estimate.reason


@pytest.mark.parametrize("count", [40, 400])
def test_few_examples_give_wide_intervals(count):
    true, given, rows = predictions(symmetric(10, 0.3), count=count, seed=5)
    few = estimate_noise(given, rows)
    assert few.low <= np.mean(true != given) <= few.high
    assert few.high - few.low > 0.1


def test_near_chance_there_is_nothing_to_tell():
    true, given, rows = predictions(symmetric(10, 0.88))
    estimate = estimate_noise(given, rows)
    assert not estimate.identifiable
    assert "(10 - 1)/10" in estimate.reason
    assert estimate.low < np.mean(true != given) < estimate.high == 1


def test_a_network_that_learned_nothing_never_gives_a_rate_of_one():
    # Below chance, the paper's code ends at e = 1.0000000000000007 and a ratio of -1.5e15.
    labels = np.arange(3000) % 10
    rows = np.full((3000, 10), 0.05) + 0.5 * np.eye(10)[(labels + 1 + labels % 7) % 10]
    estimate = estimate_noise(labels, rows)
    assert not estimate.identifiable
    assert not estimate.learned
    assert estimate.rate <= 0.9
    assert estimate.low <= estimate.rate <= estimate.high <= 1


def test_pair_noise_near_a_half_is_not_told_from_its_mirror():
    true, given, rows = predictions(pair(10, 0.49), memorized=0.8, mistakes=0.05)
    estimate = estimate_noise(given, rows)
    assert not estimate.identifiable
    assert "1 - e" in estimate.reason
    assert estimate.low < np.mean(true != given) < estimate.high
    assert estimate.high == pytest.approx(1 - estimate.low)


def test_noise_to_both_sides_is_not_taken_for_memorized_pair_noise():
    matrix = 0.6 * np.eye(10) + 0.2 * (np.roll(np.eye(10), 1, 1) + np.roll(np.eye(10), -1, 1))
    true, given, rows = predictions(matrix, mistakes=0.02)
    estimate = estimate_noise(given, rows)
    assert not estimate.identifiable
    assert "to both sides" in estimate.reason
    assert estimate.low <= np.mean(true != given) <= estimate.high


def test_a_weak_network_does_not_pass_for_noise():
    # Wrong in half of the cases, and hardly more confident where it is right.
    rng = np.random.default_rng(0)
    true, sure = rng.integers(0, 10, 12_000), rng.random(12_000)
    right = rng.random(12_000) < 0.3 + 0.6 * sure
    predicted = np.where(right, true, (true + rng.integers(1, 10, 12_000)) % 10)
    rows = np.full((12_000, 10), 0.05) + (0.1 + 0.4 * sure)[:, None] * np.eye(10)[predicted]
    estimate = estimate_noise(true, rows / rows.sum(axis=1, keepdims=True))
    assert not estimate.identifiable
    assert "the network's own mistakes" in estimate.reason
    assert estimate.low == 0


def test_classes_that_are_never_predicted():
    _, given, rows = predictions(symmetric(4, 0.1), count=4000)
    rows[:, 0] = 1e-6
    estimate = estimate_noise(given, rows / rows.sum(axis=1, keepdims=True))
    assert not estimate.identifiable
    assert "No held-out example was predicted as class 0" in estimate.reason


def test_a_rival_label():
    matrix = np.eye(10)
    matrix[3, 3] = matrix[3, 5] = 0.5
    _, given, rows = predictions(matrix, mistakes=0.0)
    estimate = estimate_noise(given, rows)
    assert estimate.kind == "general"
    assert not estimate.identifiable
    assert "class 3, another label" in estimate.reason


def test_all_folds_count():
    # The paper's code reads the rate off the first half alone.
    _, given, rows = predictions(symmetric(10, 0.4), count=8000)
    folds = np.arange(8000) % 2
    both = estimate_noise(given, rows, folds=folds)
    assert both.shares[0] == 1
    assert both.examples == pytest.approx(8000 * both.shares[both.window], abs=20)
    half = estimate_noise(given[folds == 0], rows[folds == 0])
    assert both.high - both.low < half.high - half.low


def test_the_seed_decides():
    _, given, rows = predictions(pair(10, 0.3), count=2000)
    one, same, other = (estimate_noise(given, rows, seed=seed) for seed in (0, 0, 1))
    assert one.to_dict() == same.to_dict()
    assert one.rate == other.rate
    assert (one.low, one.high) != (other.low, other.high)


def test_more_confidence_is_wider():
    _, given, rows = predictions(symmetric(10, 0.4), count=2000)
    sure, less = (estimate_noise(given, rows, confidence=c) for c in (0.99, 0.8))
    assert sure.low <= less.low <= less.high <= sure.high


def test_there_and_back():
    _, given, rows = predictions(symmetric(3, 0.4), count=600)
    estimate = estimate_noise(given, rows)
    values = json.loads(json.dumps(estimate.to_dict()))
    assert NoiseEstimate.from_dict(values).to_dict() == estimate.to_dict()


def test_what_can_not_be_estimated_from():
    with pytest.raises(DataError, match="sum to 1"):
        estimate_noise([0, 1], [[3.0, 1.0], [0.0, 2.0]])
    with pytest.raises(DataError, match=r"in \[0, 2\)"):
        estimate_noise([0, 2], [[0.5, 0.5], [0.5, 0.5]])
    with pytest.raises(DataError, match="`confidence`"):
        estimate_noise([0, 1], [[0.5, 0.5], [0.5, 0.5]], confidence=95)
