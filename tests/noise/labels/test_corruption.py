import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfticket.errors import DataError, TicketError
from tfticket.files import write_arrays
from tfticket.noise.labels.corruption import (
    Corruption,
    corrupt,
    given_labels,
    instance_dependent,
    open_set,
)
from tfticket.noise.labels.transition import cifar10_asymmetric, pair, symmetric

LABELS = np.random.default_rng(0).integers(0, 10, 20_000)


def images(count=600, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, 4, 4, 1)).astype(np.uint8)


@pytest.mark.parametrize(
    "transition",
    [
        symmetric(10, 0.5),
        symmetric(10, 0.5, inclusive=True),
        pair(10, 0.4),
        cifar10_asymmetric(0.4),
    ],
    ids=lambda transition: transition.kind,
)
@pytest.mark.parametrize("exact", [False, True])
def test_what_comes_out_is_what_was_asked_for(transition, exact):
    corruption = corrupt(LABELS, transition, seed=3, exact=exact)
    prior = np.bincount(LABELS, minlength=10) / len(LABELS)
    tolerance = 0.5 / len(LABELS) if exact else 0.012
    assert corruption.realized_rate == pytest.approx(transition.rate(prior), abs=tolerance)
    np.testing.assert_allclose(corruption.realized, transition, atol=0.0015 if exact else 0.04)
    np.testing.assert_array_equal(corruption.true, LABELS)


@given(
    st.lists(st.integers(0, 3), min_size=1, max_size=40),
    st.floats(0, 1),
    st.sampled_from([symmetric, pair]),
)
def test_exact_counts_are_exact(labels, rate, kind):
    corruption = corrupt(labels, kind(4, rate), seed=0, exact=True)
    assert abs(corruption.changed.sum() - len(labels) * rate) <= 0.5 + 1e-6
    assert set(corruption.given) <= {0, 1, 2, 3}


@pytest.mark.parametrize("exact", [False, True])
def test_rates_of_nothing_and_of_everything(exact):
    for transition in (symmetric(10, 0), pair(10, 0)):
        assert not corrupt(LABELS, transition, seed=0, exact=exact).changed.any()
    assert corrupt(LABELS, symmetric(10, 1), seed=0, exact=exact).changed.all()
    everyone = corrupt(LABELS, pair(10, 1), seed=0, exact=exact).given
    np.testing.assert_array_equal(everyone, (LABELS + 1) % 10)


def test_the_seed_decides():
    one = corrupt(LABELS, symmetric(10, 0.3), seed=0)
    assert one.sha256 == corrupt(LABELS, symmetric(10, 0.3), seed=0).sha256
    assert one.sha256 != corrupt(LABELS, symmetric(10, 0.3), seed=1).sha256


def test_higher_rates_flip_the_same_labels_and_more():
    low, high = (corrupt(LABELS, symmetric(10, rate), seed=5) for rate in (0.2, 0.5))
    assert high.changed[low.changed].all()
    np.testing.assert_array_equal(high.given[low.changed], low.given[low.changed])


def test_labels_of_the_caller_stay_and_classes_are_not_guessed():
    # The paper's `flip_label` changes its argument, and takes max(y) + 1 for the number of classes.
    mine = np.array([0, 1, 2, 2, 1, 0] * 50)
    copy = mine.copy()
    flipped = corrupt(mine, symmetric(10, 0.9), seed=0)
    np.testing.assert_array_equal(mine, copy)
    assert flipped.num_classes == 10
    assert flipped.given.max() > 2


def test_every_class_is_flipped_when_counts_are_fixed():
    # Rounding each cell down would leave a class of 3 examples as it is, at any rate below 1/3.
    labels = np.repeat(np.arange(10), 3)
    corruption = corrupt(labels, symmetric(10, 0.3), seed=0, exact=True)
    assert corruption.changed.sum() == 9


@pytest.mark.parametrize("labels", [[], [0.5, 1.0], [[0, 1], [1, 0]], [0, 10], [-1, 0]])
def test_what_are_no_labels(labels):
    with pytest.raises(DataError, match="labels"):
        corrupt(labels, symmetric(10, 0.2), seed=0)


def test_noise_that_depends_on_the_example():
    x, y = images(), LABELS[:600]
    noisy = instance_dependent(x, y, num_classes=10, rate=0.4, seed=0)
    assert noisy.realized_rate == pytest.approx(0.4, abs=0.06)
    assert noisy.kind == "instance_dependent"
    again = instance_dependent(x / 255, y, num_classes=10, rate=0.4, seed=0)
    np.testing.assert_array_equal(noisy.given, again.given)
    # Equal examples of a class go to the same place more often than even noise would send them.
    alike = instance_dependent(
        np.repeat(x[:1], 600, 0) + x % 2, 0 * y, num_classes=10, rate=1, seed=0
    )
    assert np.bincount(alike.given[alike.changed]).max() > 300


def test_noise_by_example_at_the_ends_of_its_range():
    x, y = images(50), LABELS[:50]
    assert instance_dependent(x, y, num_classes=10, rate=0, seed=0).realized_rate == 0
    assert instance_dependent(x, y, num_classes=10, rate=1, seed=0).realized_rate == 1
    flat = np.zeros_like(x)
    assert 0 < instance_dependent(flat, y, num_classes=10, rate=0.5, seed=0).realized_rate < 1
    for rate in (-0.1, 1.5, 30, np.nan, None, "0.2"):
        with pytest.raises(DataError, match="rate must be in"):
            instance_dependent(x, y, num_classes=10, rate=rate, seed=0)
    with pytest.raises(DataError, match="an example for each label"):
        instance_dependent(x[:10], y, num_classes=10, rate=0.5, seed=0)
    for value in (np.nan, np.inf):
        broken = np.where(x == x.max(), value, x)
        with pytest.raises(DataError, match="`x` must be finite"):
            instance_dependent(broken, y, num_classes=10, rate=0.5, seed=0)


def test_flip_rates_of_examples_spread_around_the_rate():
    x, y = images(20_000), LABELS
    for rate in (0.03, 0.2, 0.9):
        made = instance_dependent(x, y, num_classes=10, rate=rate, seed=0)
        assert made.realized_rate == pytest.approx(rate, abs=0.008)


def test_examples_of_no_class():
    x, y, foreign = images(), LABELS[:600], 255 - images(200, seed=1)
    inputs, noise = open_set(x, y, foreign=foreign, num_classes=10, rate=0.25, seed=0)
    assert noise.changed.sum() == 150
    assert (noise.true[noise.changed] == -1).all()
    np.testing.assert_array_equal(noise.given, y)
    np.testing.assert_array_equal(inputs[~noise.changed], x[~noise.changed])
    used = {image.tobytes() for image in inputs[noise.changed]}
    assert len(used) == 150
    assert used <= {image.tobytes() for image in foreign}
    np.testing.assert_array_equal(x, images())


@pytest.mark.parametrize(
    "changes",
    [
        {"rate": 1.5},
        {"foreign": images(10)},
        {"rate": None},
        {"foreign": np.zeros((600, 2, 2, 1), "uint8")},
        {"foreign": images() / 255},
        {"x": images(5)},
    ],
)
def test_foreign_examples_must_fit(changes):
    arguments = {"x": images(), "foreign": images(seed=1), "rate": 0.5, **changes}
    x = arguments.pop("x")
    with pytest.raises(DataError, match=r"`foreign`|rate must be in"):
        open_set(x, LABELS[:600], num_classes=10, seed=0, **arguments)


TRUE = np.arange(40) % 4


def corruption():
    return corrupt(TRUE, symmetric(5, 0.5, inclusive=True), seed=7)


def test_the_receipt_says_what_was_asked_for_and_what_came_out():
    receipt = json.loads(json.dumps(corruption().to_dict()))
    wrong = int((corruption().given != TRUE).sum())
    assert receipt["kind"] == "symmetric_inclusive"
    assert receipt["nominal_rate"] == 0.5
    assert receipt["realized_rate"] == wrong / 40 == receipt["wrong"] / 40
    assert receipt["seed"] == 7
    assert receipt["exact"] is False
    assert "row = true label" in receipt["orientation"]
    assert receipt["realized"][4] is None  # nobody is of class 4
    assert sum(receipt["realized"][0]) == pytest.approx(1)
    assert receipt["sha256"] == corruption().sha256


def test_there_and_back(tmp_path):
    saved = corruption()
    loaded = Corruption.load(saved.save(tmp_path / "noise.npz"))
    np.testing.assert_array_equal(loaded.given, saved.given)
    np.testing.assert_array_equal(loaded.true, saved.true)
    assert loaded.to_dict() == saved.to_dict()


def test_labels_of_the_user():
    theirs = given_labels(TRUE, (TRUE + (np.arange(40) < 10)) % 4, num_classes=4)
    assert theirs.kind == "file"
    assert theirs.realized_rate == 0.25
    assert theirs.nominal_rate is None
    with pytest.raises(DataError, match="40 true"):
        given_labels(TRUE, TRUE[:-1], num_classes=4)
    with pytest.raises(DataError, match=r"`given` must lie in \[0, 3\)"):
        given_labels(TRUE % 3, TRUE, num_classes=3)


def test_a_receipt_does_not_change():
    with pytest.raises(ValueError, match="read-only"):
        corruption().given[0] = 1


def test_files_that_are_no_corruptions(tmp_path):
    path = write_arrays(tmp_path / "noise.npz", kind="corruption", header={}, arrays={})
    with pytest.raises(TicketError, match="must hold labels and their receipt"):
        Corruption.load(path)
    with pytest.raises(TicketError, match="no such file"):
        Corruption.load(tmp_path / "absent.npz")
