import numpy as np
import pytest
from noisy_predictions import predictions

from tfticket.noise.estimate.noise_estimate import estimate_noise
from tfticket.noise.find import find_label_issues
from tfticket.noise.labels.corruption import corrupt
from tfticket.noise.labels.issues import _unfolded, confusions, issues_of
from tfticket.noise.labels.transition import pair, symmetric

NAMES = ("cat", "dog", "bird")


def average_precision(wrong, ranking):
    """Mean precision over the ranks of the wrong labels."""
    ordered = wrong[ranking]
    return (np.cumsum(ordered) / np.arange(1, len(ordered) + 1))[ordered].mean()


def by_self_confidence(labels, rows):
    return np.argsort(rows[np.arange(len(labels)), labels])


def test_bayes_by_hand():
    # One that looks like a 0 and is labeled 1: whether it is wrong depends on how many are.
    rows = np.array([[0.7, 0.3]] + [[0.999, 0.001]] * 500 + [[0.001, 0.999]] * 500)
    labels = np.array([1] + [0] * 500 + [1] * 500)
    rare = find_label_issues(labels, pred_probs=rows, transition=symmetric(2, 0.001))
    assert rare.ids.tolist() == [0]
    flipped = labels.copy()
    flipped[1:401:2] = 1  # many are wrong, and surely so
    often = find_label_issues(flipped, pred_probs=rows, transition=symmetric(2, 0.2))
    assert set(often.ids.tolist()) == {0, *range(1, 401, 2)}
    assert often.ranking[-1] != 0
    assert often.ids[-1] == 0


@pytest.mark.parametrize(
    ("transition", "precision", "recall"),
    [
        (symmetric(10, 0.2), 0.85, 0.9),
        (symmetric(10, 0.02), 0.7, 0.7),
        (pair(10, 0.3), 0.85, 0.75),
    ],
)
def test_wrong_labels_are_found(transition, precision, recall):
    true, given, rows = predictions(transition, mistakes=0.08)
    issues = find_label_issues(given, pred_probs=rows, transition=transition)
    wrong = true != given
    found = wrong[issues.ids]
    assert found.mean() > precision
    assert found.sum() > recall * wrong.sum()
    assert found.mean() == pytest.approx(issues.precision, abs=0.1)
    by_disagreement = wrong[rows.argmax(axis=1) != given].mean()
    assert found.mean() > by_disagreement
    right = issues.suggested[issues.ids][found] == true[issues.ids][found]
    assert right.mean() > 0.9


def test_the_most_suspicious_come_first():
    true, given, rows = predictions(symmetric(10, 0.2), count=4000, seconds=False)
    issues = find_label_issues(given, pred_probs=rows, transition=symmetric(10, 0.2))
    assert (np.diff(issues.score[issues.ranking]) <= 0).all()
    np.testing.assert_array_equal(issues.ids, issues.ranking[: len(issues)])
    first, last = np.array_split((true != given)[issues.ids], 2)
    assert first.mean() > last.mean()
    assert (issues.suggested[issues.ids] != given[issues.ids]).all()
    np.testing.assert_array_equal(issues.given, given)


def test_scores_do_not_saturate():
    # 176 of 190 shared one, and most suspicious first was the order of the data.
    _, given, rows = predictions(symmetric(10, 0.1), mistakes=0.02, count=3000)
    sharp = rows**8 / (rows**8).sum(axis=1, keepdims=True)
    issues = find_label_issues(given, pred_probs=sharp)
    assert len(issues) > 200
    assert len(np.unique(issues.score[issues.ids])) == len(issues)


@pytest.mark.parametrize("memorized", [0.0, 0.3])
def test_confusions_between_classes_rank_better_than_doubt_alone(memorized):
    # A third of class 0 is called 1, and whatever else the network disagrees with is its mistake.
    matrix = np.eye(5)
    matrix[0, :2] = 0.67, 0.33
    true, given, rows = predictions(matrix, count=6000, mistakes=0.2, memorized=memorized)
    wrong = true != given
    issues = find_label_issues(given, pred_probs=rows)
    ours = average_precision(wrong, issues.ranking)
    assert ours > average_precision(wrong, by_self_confidence(given, rows)) + 0.01


def test_confusions_are_shrunk_as_far_as_they_are_alike():
    _, given, rows = predictions(symmetric(10, 0.2), count=3000, mistakes=0.0)
    alike = confusions(given, rows)[~np.eye(10, dtype=bool)]
    window = 3000 / 8  # examples, 37 of each class: by themselves, shares would be 0 or 1 in 37
    assert alike.mean() == pytest.approx(0.2 / 9, abs=3 * np.sqrt(0.2 / window) / 9)
    assert alike.std() < 0.2 * alike.mean()
    _, given, rows = predictions(pair(10, 0.3), count=3000, mistakes=0.0)
    matrix = confusions(given, rows)
    assert (matrix.argsort(axis=1)[:, -2] == (np.arange(10) + 1) % 10).all()
    assert np.diag(np.roll(matrix, -1, axis=1)).mean() == pytest.approx(0.3, abs=0.08)


def test_noise_is_taken_back_from_predictions():
    # Of class 0, 40 % are labeled 1: a network that learned these labels gives it 0.6.
    matrix = np.array([[0.6, 0.4], [0.0, 1.0]])
    rows = np.array([[0.6, 0.4]])
    # 0.6 (0.6 a + 0.4 b) and 0.4 b, of a = 0.6 / 0.36 and b = 0.4 / 0.64, which sum to 1.
    found = _unfolded(rows, matrix)
    np.testing.assert_allclose(found, [[0.75, 0.25]])
    np.testing.assert_allclose(_unfolded(np.eye(2), np.eye(2)), np.eye(2))
    for _ in range(100):  # more steps lead to the class
        found = found * ((rows / (found @ matrix)) @ matrix.T)
    np.testing.assert_allclose(found, [[1, 0]], atol=0.02)


def follows_looks(*, count=4000, classes=5, seed=0):
    """A fifth of the labels is wrong: drawn from what the network gives to the other classes."""
    rng = np.random.default_rng(seed)
    rows = rng.dirichlet(np.full(classes, 0.03), count)
    true = np.array([rng.choice(classes, p=row) for row in rows])
    others = rows + 1e-9
    others[np.arange(count), true] = 0
    others /= others.sum(axis=1, keepdims=True)
    drawn = np.array([rng.choice(classes, p=row) for row in others])
    return true, np.where(rng.random(count) < 0.2, drawn, true), rows


@pytest.mark.parametrize(
    "made",
    [
        lambda: predictions(symmetric(5, 0.2), count=4000, mistakes=0.2),
        lambda: predictions(symmetric(5, 0.2), count=4000, mistakes=0.2, memorized=0.3),
        lambda: predictions(pair(5, 0.2), count=4000, mistakes=0.1),
        lambda: predictions(symmetric(10, 0.02), count=4000, mistakes=0.05),
        follows_looks,
    ],
)
def test_no_score_that_ignores_where_wrong_labels_come_from_ranks_better(made):
    true, given, rows = made()
    own = rows[np.arange(len(given)), given]
    others = rows.copy()
    others[np.arange(len(given)), given] = -1
    ours = average_precision(true != given, find_label_issues(given, pred_probs=rows).ranking)
    for score in (own, own - others.max(axis=1)):  # self-confidence, normalized margin
        assert ours > average_precision(true != given, np.argsort(score)) - 0.005


def test_precision_is_expected_at_every_cut():
    true, given, rows = predictions(symmetric(10, 0.25), mistakes=0.1, memorized=0.2)
    issues = find_label_issues(given, pred_probs=rows)
    assert issues.estimate.identifiable
    wrong = (true != given)[issues.ranking]
    realized = np.cumsum(wrong) / np.arange(1, len(wrong) + 1)
    expected = issues.expected_precision[issues.ranking]
    for cut in (500, 1500, 3000, 6000, 12_000):
        assert expected[cut - 1] == pytest.approx(realized[cut - 1], abs=0.08)
    assert expected[-1] == pytest.approx(issues.estimate.rate, abs=1e-6)


def test_nothing_is_expected_where_the_rate_is_not_known():
    _, given, rows = predictions(symmetric(3, 0.3), count=300, mistakes=0.5)
    issues = find_label_issues(given, pred_probs=rows)
    assert not issues.estimate.identifiable
    assert np.isnan(issues.expected_precision).all()
    assert np.isnan(issues.precision)
    assert "expected" not in issues.summary()


def test_list_and_estimate_never_contradict_each_other():
    for seed in range(3):
        _, given, rows = predictions(symmetric(10, 0.0), mistakes=0.06, count=2000, seed=seed)
        estimate = estimate_noise(given, rows)
        issues = issues_of(given, rows, estimate=estimate)
        assert len(issues) <= estimate.high * len(given)
        assert estimate.kind != "clean" or len(issues) <= 20


def test_without_noise_nothing_is_an_issue():
    _, given, rows = predictions(symmetric(10, 0.0), mistakes=0.1)
    issues = find_label_issues(given, pred_probs=rows, transition=symmetric(10, 0.0))
    assert len(issues) == 0
    assert np.isnan(issues.precision)


def test_one_hot_probabilities_are_taken():
    true, given, rows = predictions(symmetric(5, 0.2), count=1000, mistakes=0)
    hard = np.eye(5)[rows.argmax(axis=1)]
    issues = find_label_issues(given, pred_probs=hard, transition=symmetric(5, 0.2))
    np.testing.assert_array_equal(np.sort(issues.ids), np.flatnonzero(true != given))


def test_every_example_has_a_row():
    true = np.arange(60) % 3
    given = corrupt(true, symmetric(3, 0.1), seed=0, exact=True).given
    rows = 0.05 + 0.85 * np.eye(3)[true]
    labels = np.array(NAMES, object)[given]
    labels[5] = None
    order = np.argsort(NAMES)  # text is numbered by alphabet
    issues = find_label_issues(labels, pred_probs=rows[:, order])
    table = issues.to_rows()
    assert [row["id"] for row in table] == list(range(60))
    for row in table:
        if row["id"] == 5:
            assert row["given"] == -1
            assert row["given_name"] == ""
            assert np.isnan([row["score"], row["margin"], row["expected_precision"]]).all()
            assert not row["is_issue"]
        else:
            assert row["given_name"] == NAMES[given[row["id"]]]
            assert row["margin"] == pytest.approx(
                0.85 if given[row["id"]] == true[row["id"]] else -0.85
            )
        assert row["suggested_name"] == NAMES[true[row["id"]]]
    assert "1 more without a label" in issues.summary()
    assert 5 not in issues.ranking


def test_margins_of_a_training_rank_beside_predictions():
    true, given, rows = predictions(symmetric(5, 0.2), count=1000, mistakes=0.3, seconds=False)
    estimate, wrong = estimate_noise(given, rows), true != given
    margins = np.where(wrong, -1.0, 1.0) + np.random.default_rng(0).normal(0, 0.8, len(true))
    alone = issues_of(given, rows, estimate=estimate)
    both = issues_of(given, rows, estimate=estimate, in_sample=margins)
    assert average_precision(wrong, both.ranking) > average_precision(wrong, alone.ranking) + 0.02
    assert average_precision(wrong, both.ranking) > average_precision(wrong, margins.argsort())
    margins[3] = np.nan  # was never trained on: then predictions rank by themselves
    unseen = issues_of(given, rows, estimate=estimate, in_sample=margins)
    np.testing.assert_array_equal(unseen.ranking, alone.ranking)
