import numpy as np
import pytest

from tfticket.errors import DataError
from tfticket.noise import human_like
from tfticket.noise.labels.human_like import _flip_rates

CENTERS = np.array([[0.0, 0.0], [1.5, 0.0], [8.0, 0.0], [0.0, 8.0]])  # 0 and 1 look alike


def look_alikes(count=4_000, seed=0):
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 4
    x = rng.normal(size=(count, 6))
    x[:, :2] += CENTERS[labels]
    return x, labels


def margin(x, labels):
    """How much closer an example is to its own center than to the nearest other one."""
    squares = ((x[:, None, :2] - CENTERS) ** 2).sum(axis=2)
    own = squares[np.arange(len(labels)), labels].copy()
    squares[np.arange(len(labels)), labels] = np.inf
    return squares.min(axis=1) - own


@pytest.mark.parametrize("rate", [0.05, 0.2, 0.4, 0.8])
def test_as_many_labels_are_wrong_as_were_asked_for(rate):
    x, labels = look_alikes()
    made = human_like(x, labels, num_classes=4, rate=rate, seed=0)
    assert made.realized_rate == pytest.approx(rate, abs=0.025)  # three deviations
    assert (made.kind, made.nominal_rate, made.seed) == ("human_like", rate, 0)
    np.testing.assert_array_equal(made.true, labels)


def test_flip_rates_have_the_mean_that_was_asked_for():
    margins = np.random.default_rng(0).normal(size=1_000)
    for rate in (1e-6, 0.3, 0.999):
        assert _flip_rates(margins, rate).mean() == pytest.approx(rate, rel=1e-6)
    # The log odds of a wrong label fall by as much as the margin rises.
    rates = _flip_rates(np.array([0.0, 1.0]), 0.3)
    odds = np.log(rates / (1 - rates))
    assert odds[0] - odds[1] == pytest.approx(1)
    assert _flip_rates(np.zeros(3), 0.3) == pytest.approx(0.3)


def test_look_alikes_are_confused_with_each_other_and_more_often():
    x, labels = look_alikes()
    made = human_like(x, labels, num_classes=4, rate=0.3, seed=0)
    wrong = made.realized * (1 - np.eye(4))
    targets = wrong / wrong.sum(axis=1, keepdims=True)
    assert targets[0, 1] > 0.6
    assert targets[1, 0] > 0.6
    assert wrong.sum(axis=1)[:2].min() > 1.2 * wrong.sum(axis=1)[2:].max()


def test_examples_that_are_hard_to_tell_are_wrong_more_often():
    x, labels = look_alikes()
    made = human_like(x, labels, num_classes=4, rate=0.3, seed=0)
    for label in (0, 1):  # within a class, so that this isn't the rate of the class
        own = labels == label
        order = np.argsort(margin(x[own], labels[own]))
        wrong = made.changed[own][order]
        assert wrong[:250].mean() > wrong[-250:].mean() + 0.15


def test_higher_rates_flip_the_same_labels_and_more():
    x, labels = look_alikes()
    low, high = (human_like(x, labels, num_classes=4, rate=r, seed=5) for r in (0.2, 0.5))
    assert high.changed[low.changed].all()
    np.testing.assert_array_equal(high.given[low.changed], low.given[low.changed])


def test_the_seed_decides_and_not_the_unit():
    x, labels = look_alikes(600)
    kept = x.copy()
    one = human_like(x, labels, num_classes=4, rate=0.3, seed=0)
    np.testing.assert_array_equal(x, kept)
    assert one.sha256 == human_like(x, labels, num_classes=4, rate=0.3, seed=0).sha256
    assert one.sha256 != human_like(x, labels, num_classes=4, rate=0.3, seed=1).sha256
    scaled = human_like(x * [1e6, 1, 1e-6, 1, 1, 1] + 100, labels, num_classes=4, rate=0.3, seed=0)
    assert (scaled.given == one.given).mean() > 0.99  # but for rounding


def test_images_of_bytes():
    rng = np.random.default_rng(0)
    labels = np.arange(300) % 3
    x = (rng.integers(0, 100, (300, 4, 4, 1)) + 50 * labels[:, None, None, None]).astype(np.uint8)
    made = human_like(x, labels, num_classes=3, rate=0.4, seed=0)
    assert made.realized_rate == pytest.approx(0.4, abs=0.09)
    assert made.realized[0, 1] > made.realized[0, 2]  # 0 looks more like 1 than like 2
    assert made.realized[2, 1] > made.realized[2, 0]


def test_a_class_without_examples_is_never_given():
    x, labels = look_alikes(400)
    made = human_like(x, labels, num_classes=9, rate=0.9, seed=0)
    assert made.num_classes == 9
    assert set(made.given) <= {0, 1, 2, 3}


def test_the_ends_of_the_range_and_next_to_nothing():
    x, labels = look_alikes(200)
    assert human_like(x, labels, num_classes=4, rate=0, seed=0).realized_rate == 0
    assert human_like(x, labels, num_classes=4, rate=1, seed=0).realized_rate == 1
    flat = human_like(np.zeros((200, 3)), labels, num_classes=4, rate=0.5, seed=0)
    assert 0.3 < flat.realized_rate < 0.7
    two = human_like([[0.0], [1.0]], [0, 1], num_classes=2, rate=1, seed=0)
    np.testing.assert_array_equal(two.given, [1, 0])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels": [2, 2, 2]}, "All labels are 2.*two classes or more"),
        ({"labels": [0, 1]}, "an example for each label"),
        ({"labels": [0, 1, 4]}, r"must lie in \[0, 4\)"),
        ({"x": np.full((3, 2), np.nan)}, "must be finite"),
        ({"rate": 20}, "rate must be in"),
    ],
)
def test_what_it_refuses(changes, message):
    arguments = {"x": np.eye(3), "labels": [0, 1, 2], "num_classes": 4, "rate": 0.2, "seed": 0}
    with pytest.raises(DataError, match=message):
        human_like(**{**arguments, **changes})
