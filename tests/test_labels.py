import numpy as np
import pytest

from tfticket.errors import DataError
from tfticket.labels import MISSING, in_order, numbered


@pytest.mark.parametrize(
    ("labels", "numbers", "names"),
    [
        ([2, 0, 1], [2, 0, 1], ()),
        (np.array([[1], [0]], np.uint8), [1, 0], ()),
        ([True, False], [1, 0], ()),
        ([1.0, np.nan, 0.0], [1, -1, 0], ()),
        ([2, None, 0], [2, -1, 0], ()),
        ([2, -1, 0], [2, -1, 0], ()),
        (["b", "a", " b "], [1, 0, 1], ("a", "b")),
        (["b", "", "nan", "NA", "?", "a"], [1, -1, -1, -1, -1, 0], ("a", "b")),
        (["b", None, float("nan"), "a"], [1, -1, -1, 0], ("a", "b")),
        (["10", "9", "-1"], [2, 1, 0], ("-1", "9", "10")),
        (np.array([b"x", b"y"]), [0, 1], ("x", "y")),
        (np.array(["y", "x"], np.dtypes.StringDType()), [1, 0], ("x", "y")),
    ],
)
def test_labels_of_any_kind_become_numbers(labels, numbers, names):
    found, classes = numbered(labels)
    assert found.tolist() == numbers
    assert found.dtype == np.int64
    assert classes == names


def test_missing_values_of_pandas_are_missing():
    pandas = pytest.importorskip("pandas")
    assert numbered(pandas.Series(["b", pandas.NA, "a"]))[0].tolist() == [1, MISSING, 0]
    assert numbered(pandas.Series([1, pandas.NA, 0], dtype="Int64"))[0].tolist() == [1, MISSING, 0]
    assert numbered(pandas.Categorical(["b", None, "a"]))[0].tolist() == [1, MISSING, 0]


def test_known_names_decide_what_a_text_says():
    names = ("1", "2", "3")
    assert numbered(["3", "1"], names)[0].tolist() == [2, 0]  # names, where all are
    assert numbered(["0", "2", "-1"], names)[0].tolist() == [0, 2, MISSING]  # else numbers
    assert numbered([0, 2], names)[0].tolist() == [0, 2]
    assert numbered(["None", "nan", ""], ("None", "cat"))[0].tolist() == [0, MISSING, MISSING]
    assert in_order(["2.0", "10.0"]) == ["2.0", "10.0"]


@pytest.mark.parametrize(
    ("labels", "names", "words"),
    [
        (np.eye(3), None, r"argmax\(axis=1\)"),
        ([[1], [2, 3]], None, "not rows of several lengths"),
        ([0.5, 1.0], None, r"0\.5 at example 0"),
        ([np.inf], None, "from inf to inf"),
        ([0, -2], None, "from -2 to 0"),
        ([2**40], None, "to 1.09951e\\+12"),
        ([0, 3], ("a", "b"), "below the number of classes, 2. Received: 3 at example 1"),
        (["a", "cta", "x"], ("a", "cat"), "classes: a, cat. Received: 'cta' at example 1 and 1 "
                                          "others. Did you mean 'cat'"),
        (["0", "7"], ("a", "b"), "Received: 7 at example 1"),
        ([["a"], {}], None, "several lengths|Received: list at example 0"),
    ],
)  # fmt: skip
def test_what_are_no_labels(labels, names, words):
    with pytest.raises(DataError, match=words):
        numbered(labels, names)
