from dataclasses import replace

import numpy as np
import pytest

from tfticket import data
from tfticket.errors import DataError, RunError
from tfticket.recipe.noise import Noise
from tfticket.runs.rundir import RunDir
from tfticket.studies.labels import (
    relabeled,
    training_labels,
    transition,
    validation_labels,
)
from tfticket.studies.store import write_conditions

SYMMETRIC = Noise(kind="symmetric", rate=0.3, exact=True)


@pytest.fixture(scope="module")
def digits():
    return data.load("digits", validation=0.15)


def test_wrong_labels_belong_to_the_seed_and_leave_the_data_as_it_was(digits):
    before = digits.train.y.copy()
    one, same, other = (training_labels(digits, SYMMETRIC, seed) for seed in (0, 0, 1))
    assert (one.given == same.given).all()
    assert (one.given != other.given).any()
    assert one.realized_rate == pytest.approx(0.3, abs=1e-3)
    np.testing.assert_array_equal(one.true, before)
    np.testing.assert_array_equal(digits.train.y, before)


def test_validation_labels_are_as_wrong_by_a_stream_of_their_own(digits):
    made = validation_labels(digits, SYMMETRIC, 0)
    np.testing.assert_array_equal(made.true, digits.validation.y)
    assert made.realized_rate == pytest.approx(0.3, abs=0.01)
    assert made.seed != training_labels(digits, SYMMETRIC, 0).seed


def test_relabeled_examples_are_the_same_ones(digits):
    given = validation_labels(digits, SYMMETRIC, 0).given
    split = relabeled(digits.validation, given)
    assert split.x is digits.validation.x
    assert split.y.dtype == np.int32
    np.testing.assert_array_equal(split.y, given)


def test_human_like_noise_of_training_and_validation_data(digits):
    noise = Noise(kind="human_like", rate=0.3)
    for made in (training_labels(digits, noise, 0), validation_labels(digits, noise, 0)):
        assert made.kind == "human_like"
        assert made.realized_rate == pytest.approx(0.3, abs=0.09)


def test_no_noise_gives_the_labels_themselves(digits):
    made = training_labels(digits, Noise(kind="none"), 0)
    assert made.realized_rate == 0
    np.testing.assert_array_equal(made.given, digits.train.y)


def test_a_noise_about_other_classes_is_refused():
    with pytest.raises(DataError, match="must meet data of 10 classes"):
        transition(Noise(kind="cifar10_asymmetric", rate=0.2), 3)


def test_any_matrix(digits):
    rows = np.eye(10)
    rows[3, 3] = rows[3, 5] = 0.5
    noise = Noise(kind="matrix", matrix=tuple(map(tuple, rows.tolist())), exact=True)
    made = training_labels(digits, noise, 0)
    assert set(made.true[made.changed]) == {3}
    assert set(made.given[made.changed]) == {5}
    np.testing.assert_allclose(made.realized[3, 5], 0.5, atol=0.01)


@pytest.mark.parametrize("limit", [None, 100])
def test_labels_of_a_file_meet_their_examples_wherever_these_went(tmp_path, limit):
    whole = data.load_whole("digits").train
    wrong = (whole.y + 1 + np.arange(len(whole)) % 9) % 10
    np.save(tmp_path / "labels.npy", wrong)
    noise = Noise(kind="file", path=str(tmp_path / "labels.npy"))
    loaded = data.load("digits", validation=0.15, limit=limit)
    images = {image.tobytes(): label for image, label in zip(whole.x, wrong, strict=True)}
    for split, made in (
        (loaded.train, training_labels(loaded, noise, 0)),
        (loaded.validation, validation_labels(loaded, noise, 0)),
    ):
        np.testing.assert_array_equal(made.true, split.y)
        assert made.realized_rate == 1
        np.testing.assert_array_equal(made.given, [images[image.tobytes()] for image in split.x])


def test_a_file_may_name_the_classes(digits, tmp_path):
    named = replace(digits, class_names=tuple("abcdefghij"))
    wrong = (data.load_whole("digits").train.y + 1) % 10
    (tmp_path / "labels.txt").write_text("\n".join("abcdefghij"[label] for label in wrong))
    made = training_labels(named, Noise(kind="file", path=str(tmp_path / "labels.txt")), 0)
    np.testing.assert_array_equal(made.given, (digits.train.y + 1) % 10)


def test_a_file_must_be_about_all_examples_and_stay_as_it_was(digits, tmp_path):
    path = tmp_path / "labels.npy"
    np.save(path, digits.train.y)
    noise = Noise(kind="file", path=str(path))
    with pytest.raises(DataError, match=r"each of the 1,797 training examples.*1,222"):
        training_labels(digits, noise, 0)
    run = RunDir(tmp_path / "run")
    run.path.mkdir()
    for _ in range(2):
        write_conditions(run, [{"branch": "a"}], [noise])
    np.save(path, digits.train.y + 1)
    with pytest.raises(RunError, match=r"labels\.npy` has changed since the run began"):
        write_conditions(run, [], [noise])
    path.unlink()
    with pytest.raises(DataError, match="can't be read: No such file"):
        write_conditions(run, [], [noise])
