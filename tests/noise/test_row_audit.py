import numpy as np
import pytest
from tiny_labels import write_images

from tfticket.errors import DataError
from tfticket.noise import LabeledData, RowAudit, symmetric
from tfticket.noise.audit import labeled as data
from tfticket.noise.incv.learners import LEARNERS, parts_of

pytestmark = pytest.mark.slow


def rows(path, *, classes=4, each=60, spread=1.0, seed=0):
    rng = np.random.default_rng(seed)
    y = rng.permutation(np.repeat(np.arange(classes), each))
    x = 4 * np.eye(classes, 8)[y] + spread * rng.normal(size=(len(y), 8))
    np.savez(path, x=np.column_stack([x, rng.lognormal(11, 0.5, len(y))]), y=y)
    return LabeledData.load(f"npz:{path}")


def test_wrong_labels_of_rows_are_found(tmp_path):
    labeled = rows(tmp_path / "rows.npz").corrupted(symmetric(4, 0.1), seed=0, exact=True)
    audit = RowAudit(labeled, iterations=2)
    split = audit.run()
    assert set(parts_of(audit.learner)) <= set(LEARNERS)
    issues = split.label_issues()
    wrong = labeled.corruption.changed
    assert wrong[issues.ids].mean() > 0.85
    assert wrong[issues.ids].sum() > 0.9 * wrong.sum()
    assert split.estimate.low <= 0.1 <= split.estimate.high
    again = RowAudit(labeled, iterations=2).run()
    np.testing.assert_array_equal(again.probabilities, split.probabilities)


def test_nobody_is_accused_where_nothing_is_wrong(tmp_path):
    # A network of some hundred steps accused hundreds in data of many small classes.
    labeled = rows(tmp_path / "rows.npz", classes=8, each=12, spread=0.5)
    split = RowAudit(labeled).run()
    assert split.estimate.kind == "clean"
    assert len(split.label_issues()) == 0


def test_where_nothing_was_learned_nobody_is_accused(tmp_path):
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "lots.npz", x=rng.normal(size=(300, 5)), y=rng.integers(0, 3, 300))
    split = RowAudit(LabeledData.load(f"npz:{tmp_path / 'lots.npz'}")).run()
    assert not split.estimate.learned
    assert "nothing was learned" in split.estimate.reason
    assert len(split.label_issues()) == 0


@pytest.mark.parametrize("labels", [[0, 1, 0, 1], [0, 1, 1, 1], [0, 1, 2, 0, 0, 0, 0]])
def test_few_rows_and_classes_of_one(tmp_path, labels):
    x = np.random.default_rng(0).normal(size=(len(labels), 3))
    np.savez(tmp_path / "few.npz", x=x, y=labels)
    audit = RowAudit(LabeledData.load(f"npz:{tmp_path / 'few.npz'}"), iterations=2)
    try:
        split = audit.run()
    except Exception as error:
        assert "no network predicted the given label" in str(error)  # noqa: PT017
    else:
        assert len(split) == len(labels)


def test_small_images_are_rows_of_pixels(tmp_path):
    images = LabeledData.load(write_images(tmp_path / "images.npz"))
    assert images.has_small_images
    assert not images.has_rows
    labeled = images.corrupted(symmetric(3, 0.1), seed=0, exact=True)
    split = RowAudit(labeled).run()
    assert set(split.label_issues().ids) == set(np.flatnonzero(labeled.corruption.changed))


def test_examples_without_a_label_are_predicted(tmp_path):
    labeled = rows(tmp_path / "rows.npz", spread=0.5)
    given = labeled.given.copy()
    given[::10] = -1
    split = RowAudit(LabeledData(labeled.data, given), iterations=2).run()
    assert set(np.flatnonzero(given == -1)) <= set(split.candidate.tolist())
    assert (split.votes[::10, 1] == 0).all()
    assert (split.probabilities[::10].argmax(axis=1) == labeled.given[::10]).all()


def test_large_images_and_settings_out_of_range_are_refused(tmp_path, monkeypatch):
    images = LabeledData.load(write_images(tmp_path / "images.npz"))
    monkeypatch.setattr(data, "_MOST_PIXELS", 300 * 16 - 1)
    with pytest.raises(DataError, match=r"rows of floats.*Received.*uint8"):
        RowAudit(images)
    labeled = rows(tmp_path / "rows.npz")
    with pytest.raises(DataError, match="folds=1"):
        RowAudit(labeled, folds=1)
    with pytest.raises(DataError, match="at least 600 examples for 300 folds"):
        RowAudit(labeled, folds=300).run()
