import numpy as np
import pytest

from tfticket.data.checks import checked
from tfticket.data.dataset import Source, Split
from tfticket.errors import DataError


def source(x=None, y=None, test=None, **rest):
    x = np.zeros((6, 2), np.uint8) if x is None else x
    y = np.array([0, 1, 2, 0, 1, 2]) if y is None else y
    return Source(Split(x, y), test, "made up", **rest)


def test_canonical_form():
    made = checked("data", source(np.zeros((6, 4, 5)), np.array([[0], [1], [2]] * 2, np.int64)))
    assert made.train.x.shape == (6, 4, 5, 1)
    assert made.train.x.dtype == np.float32
    assert made.train.y.shape == (6,)
    assert made.train.y.dtype == np.int32
    assert made.class_names == ("0", "1", "2")


def test_bytes_are_not_copied():
    x = np.zeros((6, 4, 5, 1), np.uint8)
    assert checked("data", source(x)).train.x is x


def test_known_classes_need_not_all_occur():
    made = checked("data", source(y=np.zeros(6, int), class_names=("a", "b")))
    assert made.class_names == ("a", "b")


X = np.zeros((6, 2), np.uint8)
BAD = np.zeros((6, 2))
BAD[4, 1] = np.nan


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (source(y=np.arange(5)), r"training inputs of shape \(6, 2\) and 5 labels"),
        (source(y=np.array([0.0, 1.5] * 3)), r"names\. Received: 1\.5 at example 1"),
        (source(y=np.array(["a", "b"] * 3), class_names=("a", "c")), r"a, c\. Received: 'b' at ex"),
        (source(y=np.eye(6, dtype=int)), "one-hot"),
        (source(y=np.array([0, 1, -2] * 2)), "must be 0 or more.*-2 to 1"),
        (
            source(y=np.array([0, -1, 1, 0, 1, -1])),
            "^2 of 6 training examples of `data` have no label; the first without is example 1",
        ),
        (source(y=np.array(["a", "", "b", "nan", "a", "b"])), "^2 of 6 training"),
        (source(y=np.array([0, 1, np.nan] * 2)), "^2 of 6 training.*example 2"),
        (source(y=np.full(6, -1)), "^None of the 6 training examples of `data` have a label"),
        (source(y=np.array([0, 1, 3] * 2)), r"labels up to 3 without \[2\]"),
        (source(y=np.zeros(6, int)), "two classes or more"),
        (
            source(y=np.array([0, 1, 2] * 2), class_names=("a", "b")),
            r"training labels of `data` must be below .* 2\. Received: 2 at example 2",
        ),
        (source(BAD), "training example 4"),
        (source(BAD.astype(np.complex64)), "real numbers"),
        (source(np.full((6, 2), 1e300)), "too large"),
        (source(np.array([["a"]] * 6)), "one array of numbers"),
        (source(np.array([[None]] * 6)), "one array of numbers"),
        (source(np.zeros(6)), r"shape \(examples, ...\)"),
        (source(np.zeros((0, 2)), np.zeros(0, int)), "must not be empty"),
        (source(np.zeros((6, 0))), "must not be empty"),
        (source(test=Split(X[:, :1], np.zeros(6, int))), "one shape and type"),
        (source(test=Split(X.astype(float), np.zeros(6, int))), "one shape and type"),
        (source(test=Split(X, np.array([0, 0, 0, 0, 7, 0]))), "test labels of .* 7 at example 4"),
        (source(test=Split(X[:0], np.zeros(0, int))), "must not be empty"),
    ],
)
def test_bad_data(made, words):
    with pytest.raises(DataError, match=words):
        checked("data", made)


def test_names_and_whole_floats_become_numbers():
    names = checked("data", source(y=np.array(["dog", " cat", "dog"] * 2)))
    assert names.train.y.tolist() == [1, 0, 1] * 2
    assert names.train.y.dtype == np.int32
    assert names.class_names == ("cat", "dog")
    test = Split(X[:2], np.array(["cat", "dog"]))
    both = checked("data", source(y=np.array(["dog", "cat", "ant"] * 2), test=test))
    assert both.test.y.tolist() == [1, 2]
    assert checked("data", source(y=np.array([0.0, 1.0] * 3))).class_names == ("0", "1")
    with pytest.raises(DataError, match="test labels of `data` must be among the 2 classes"):
        checked("data", source(y=np.array(["dog", "cat"] * 3), test=Split(X[:1], np.array(["a"]))))


def test_missing_labels_can_be_kept_and_are_no_class():
    y = np.array(["b", "", "a", "b", "None", "a"])
    made = checked("data", source(y=y), missing_labels="keep")
    assert made.train.y.tolist() == [1, -1, 0, 1, -1, 0]
    assert made.class_names == ("a", "b")
    numbers = checked("data", source(y=np.array([0, 1, -1] * 2)), missing_labels="keep")
    assert numbers.class_names == ("0", "1")
    with pytest.raises(DataError, match="None of the 6"):
        checked("data", source(y=np.full(6, -1)), missing_labels="keep")
    with pytest.raises(DataError, match="must be refuse or keep"):
        checked("data", source(), missing_labels="drop")
