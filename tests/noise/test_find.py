import subprocess
import sys

import keras
import numpy as np
import pytest
from helpers import logits_loss, mlp
from sklearn.datasets import load_breast_cancer, load_wine

from tfticket.errors import DataError, ModelError
from tfticket.noise import corrupt, find_label_issues, symmetric

pytestmark = pytest.mark.slow


def blobs(*, each=40, classes=3, seed=0):
    rng = np.random.default_rng(seed)
    y = rng.permutation(np.repeat(np.arange(classes), each))
    return (4 * np.eye(classes, 6)[y] + rng.normal(size=(len(y), 6))).astype("float32"), y


def test_features_are_enough_and_missing_labels_are_suggested():
    x, true = blobs()
    given = corrupt(true, symmetric(3, 0.1), seed=0, exact=True).given
    named = np.array(["ant", "bee", "cow"], object)[given]
    named[[3, 50]] = None, ""
    issues = find_label_issues(named, features=x)
    wrong = np.setdiff1d(np.flatnonzero(given != true), [3, 50])
    assert set(wrong) <= set(issues.ids.tolist())
    assert len(issues) <= len(wrong) + 1
    np.testing.assert_array_equal(issues.suggested[[3, 50]], true[[3, 50]])
    assert issues.class_names == ("ant", "bee", "cow")
    assert issues.learner
    assert (issues.fold >= 0).all()
    again = find_label_issues(named, features=x)
    np.testing.assert_array_equal(again.score, issues.score)


def test_labels_that_are_missing_change_nothing():
    x, true = blobs()
    given = true.copy()
    given[7] = -1
    issues = find_label_issues(given, features=x)
    other = x.copy()
    other[7] = 100.0  # what is not labeled is not learned from
    moved = find_label_issues(given, features=other)
    kept = np.arange(len(x)) != 7
    np.testing.assert_allclose(moved.pred_probs[kept], issues.pred_probs[kept], atol=1e-6)


def test_rows_of_unlike_scales_and_two_classes():
    data = load_breast_cancer()
    given = corrupt(data.target, symmetric(2, 0.1), seed=0, exact=True).given
    issues = find_label_issues(given, features=data.data)
    wrong = given != data.target
    hits = wrong[issues.ids].sum()
    assert hits >= 0.86 * len(issues)
    assert hits >= 0.86 * wrong.sum()


def test_clean_data_are_hardly_accused():
    data = load_wine()
    assert len(find_label_issues(data.target, features=data.data)) <= 2


def test_the_only_example_of_a_class_is_not_accused():
    x, true = blobs()
    given = true.copy()
    given[0] = 3  # is far from all others
    x[0] = 50
    assert 0 not in find_label_issues(given, features=x).ids


def test_duplicates_only_tell_nothing():
    issues = find_label_issues(np.arange(60) % 3, features=np.ones((60, 4)))
    assert len(issues) == 0
    assert not issues.estimate.identifiable


def test_a_model_is_a_template():
    x, true = blobs(each=100)
    given = corrupt(true, symmetric(3, 0.1), seed=0, exact=True).given
    model = mlp((6, 8, 3))
    model.compile(keras.optimizers.Adam(0.005), logits_loss(), jit_compile=False)
    before = model.get_weights()
    issues = find_label_issues(given, model=model, x=x)
    wrong = np.flatnonzero(given != true)
    assert len(set(wrong) & set(issues.ids.tolist())) >= 0.9 * len(wrong)
    assert len(issues) <= 1.2 * len(wrong)
    assert int(model.optimizer.iterations) == 0
    for mine, theirs in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_what_can_not_be_looked_at():
    rows = np.full((4, 2), 0.5)
    with pytest.raises(DataError, match="Received: none of them"):
        find_label_issues([0, 1, 0, 1])
    with pytest.raises(DataError, match="Received: pred_probs, features"):
        find_label_issues([0, 1, 0, 1], pred_probs=rows, features=rows)
    with pytest.raises(DataError, match="with its inputs `x`"):
        find_label_issues([0, 1, 0, 1], model=mlp((2, 2)))
    with pytest.raises(DataError, match="about the 3 classes of the labels, 'a' to 'c'"):
        find_label_issues(["a", "b", "c", "a"], pred_probs=rows)
    with pytest.raises(DataError, match="about the 3 classes of the transition"):
        find_label_issues([0, 1, 0, 1], pred_probs=rows, transition=np.eye(3))
    with pytest.raises(DataError, match="none of which has a label"):
        find_label_issues([None, ""], pred_probs=rows[:2])
    with pytest.raises(DataError, match="each of the 3 labels"):
        find_label_issues([0, 1, 1], features=rows)
    with pytest.raises(DataError, match="2 different labels, the largest of which is 700"):
        find_label_issues([0, 700, 0, 700], features=rows)
    with pytest.raises(DataError, match="of 2 labels or more"):
        find_label_issues([0] * 20, features=np.eye(20))
    with pytest.raises(ModelError, match="must be compiled"):
        find_label_issues([0, 1, 0, 1], model=mlp((2, 2)), x=rows)


def test_hundreds_of_classes_and_ten_thousand():
    rng = np.random.default_rng(0)
    true = rng.permutation(np.repeat(np.arange(100), 6))
    x = rng.normal(size=(100, 32))[true] + 0.4 * rng.normal(size=(600, 32))
    given = corrupt(true, symmetric(100, 0.1), seed=0, exact=True).given
    issues = find_label_issues(given, features=x)
    hits = (given != true)[issues.ids].sum()
    assert hits >= 0.9 * len(issues)
    assert hits >= 0.9 * 60
    with pytest.raises(DataError, match="10,000 classes, of which each may be confused"):
        find_label_issues(np.arange(20_000) % 10_000, features=rng.normal(size=(20_000, 2)))


def test_features_need_no_tensorflow():
    check = (
        "import sys, numpy as np; from tfticket.noise import find_label_issues; "
        "y = np.arange(60) % 3; find_label_issues(y, features=np.eye(3)[y]); "
        "print(*({'keras', 'tensorflow'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
