import numpy as np
import pytest
from noisy_splits import split
from sklearn.metrics import average_precision_score

from benchmarks import detectors
from tfticket.noise import CleanSplit, LabeledData, find_label_issues

pytestmark = pytest.mark.slow


def test_a_ranking_is_measured_as_scikit_learn_does():
    rng = np.random.default_rng(0)
    wrong = rng.random(200) < 0.2
    score = wrong + rng.normal(size=200)
    found = detectors.measured(wrong, score, score > 1)
    assert found["average_precision"] == pytest.approx(average_precision_score(wrong, score))
    budget = np.argsort(-score)[: wrong.sum()]
    assert found["missed"] == pytest.approx(1 - wrong[budget].mean())
    assert found["recall"] == pytest.approx(wrong[score > 1].sum() / wrong.sum())
    assert found["accused"] == pytest.approx((score > 1).mean())
    nothing = detectors.measured(np.zeros(5, bool), np.arange(5.0), np.zeros(5, bool))
    assert np.isnan(nothing["average_precision"])
    assert nothing["accused"] == 0


def test_votes_and_lists_are_rankings():
    score, is_issue = detectors.by_votes(split())
    assert set(np.argsort(-score)[:2]) == {1, 4}  # removed, before the candidate 5
    assert np.argsort(-score)[2] == 5
    assert is_issue.tolist() == [False, True, False, False, True, True]
    labels = np.array([0, 1, 0, 1, 0, 1] * 5)
    labels[3] = 0
    rows = 0.1 + 0.8 * np.eye(2)[[0, 1, 0, 1, 0, 1] * 5]
    score, is_issue = detectors.by_default(find_label_issues(labels, pred_probs=rows))
    assert score.argmax() == 3
    assert np.flatnonzero(is_issue).tolist() == [3]


@pytest.mark.parametrize("noise", detectors.NOISE)
def test_each_noise_makes_about_a_fifth_wrong(tmp_path, noise):
    name, _ = detectors.DATA["table"]
    labeled = detectors.NOISE[noise](LabeledData.load(name(tmp_path)), 0)
    rate = labeled.corruption.realized_rate
    assert rate == 0 if noise == "clean" else 0.15 < rate < 0.25


def test_results_are_gathered_and_the_best_is_bold():
    results = {
        ("table", "pair", seed): {
            "tfticket": {"average_precision": value, "missed": None},
            "MarginAudit": {"average_precision": value - 0.1, "missed": 0.2},
        }
        for seed, value in ((0, 0.9), (1, 0.8))
    }
    gathered = detectors.card(results)
    one = gathered["table"]["pair"]["tfticket"]["average_precision"]
    assert one["mean"] == pytest.approx(0.85)
    assert one["lower"] < 0.8 < 0.9 < one["upper"]
    table = detectors.markdown(gathered, "average_precision").splitlines()
    assert table[0] == "| data | noise | tfticket | MarginAudit |"
    assert table[2].startswith("| table | pair | **0.850** ± ")
    assert "missed" not in gathered["table"]["pair"]["tfticket"]


def test_predictions_are_made_once_and_compared_in_pairs(tmp_path, monkeypatch):
    labeled = detectors.NOISE["pair"](LabeledData.load(detectors._cancer(tmp_path)), 0)
    learner, path = "linear discriminant", tmp_path / "cancer"
    first = detectors.detected(labeled, path, seed=0, learner=learner)
    monkeypatch.setattr(detectors, "by_learner", None)  # isn't called again
    again = detectors.detected(labeled, path, seed=0, learner=learner)
    for name, found in first.items():
        assert again[name] == pytest.approx(found, nan_ok=True)
    split = CleanSplit.load(path.with_suffix(".split.npz"))
    assert split.learner == learner
    own = split.probabilities[np.arange(len(split)), split.labels]
    wrong = labeled.corruption.changed
    theirs = average_precision_score(wrong, -own)
    assert first["cleanlab, self confidence"]["average_precision"] == pytest.approx(theirs)

    gathered = detectors.card({("cancer", "pair", seed): first for seed in (0, 1)})
    pair = detectors.Pair.of(gathered["cancer"]["pair"])
    best = max(
        found["average_precision"]
        for name, found in first.items()
        if name.startswith("cleanlab") and "adjusted" not in name
    )
    gain = first["tfticket"]["average_precision"] - best
    assert pair.gain.mean == pytest.approx(gain)
    assert pair.sets == pytest.approx((gain, gain))
    table = detectors.pairs(gathered)
    assert f"| cancer | pair | {pair.best} | {gain:+.3f} ± 0.000 |" in table
    assert "Of 1 cells" in table
    assert "Of 2 sets" in table
