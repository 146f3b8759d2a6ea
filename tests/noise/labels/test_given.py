import numpy as np
import pytest

from tfticket.errors import DataError
from tfticket.noise.labels.given import checked_labels, checked_probabilities, read_label_file

LABELS = np.array([2, 0, 1, 1])


def test_labels_are_copied_and_flattened():
    mine = LABELS[:, None].astype(np.uint8)
    checked = checked_labels(mine, 3)
    checked[0] = 0
    assert mine[0, 0] == 2
    assert checked.shape == (4,)
    assert checked.dtype == np.int64


@pytest.mark.parametrize(
    ("labels", "rule"),
    [
        (np.eye(3), "argmax"),
        ([0.0, 1.0], "integers"),
        ([], "at least 1"),
        ([0, 3], r"in \[0, 3\)"),
        ([-1, 2], "from -1 to 2"),
    ],
)
def test_what_are_no_labels(labels, rule):
    with pytest.raises(DataError, match=rule):
        checked_labels(labels, 3)


def test_probabilities_are_normalized():
    rounded = np.array([[0.333, 0.667], [0.5, 0.5005]], np.float16)
    np.testing.assert_allclose(checked_probabilities(rounded).sum(axis=1), 1)


@pytest.mark.parametrize(
    ("probabilities", "rule"),
    [
        ([0.5, 0.5], "shape"),
        ([[1.0]], "2 classes"),
        ([[2.0, -1.0]], "softmax"),
        ([[np.nan, 1.0]], "finite"),
        ([[0.5, 0.4]], "sum to 1"),
    ],
)
def test_what_are_no_probabilities(probabilities, rule):
    with pytest.raises(DataError, match=rule):
        checked_probabilities(probabilities)


def files(folder):
    np.save(folder / "a.npy", LABELS)
    np.savez(folder / "b.npz", label=LABELS, other=LABELS * 0)
    np.savez(folder / "c.npz", worst=LABELS)
    (folder / "d.csv").write_text("id,given\n3,1\n0,2\n1,0\n2,1\n")
    (folder / "e.csv").write_text("\ufefflabel,note\n2,x\n0,\n1,\n1,\n", encoding="utf-8")
    (folder / "f.txt").write_text("2\n0\n1\n1\n")
    return sorted(folder.iterdir())


def test_every_format_reads_the_same(tmp_path):
    for path in files(tmp_path):
        np.testing.assert_array_equal(read_label_file(path, num_classes=3, count=4), LABELS)


@pytest.mark.parametrize(
    ("name", "content", "rule"),
    [
        ("labels.pt", "", "one of .npy"),
        ("labels.csv", "a,b\n1,2\n", "Received: \\['a', 'b'\\]"),
        ("labels.csv", "id,label\n0,1\n2,1\n", "each of them once"),
        ("labels.csv", "label\ncat\n", "can't be read"),
        ("labels.txt", "1\n7\n", r"in \[0, 3\)"),
        ("labels.txt", "1\n", "Received: 1"),
        ("labels.npy", "nothing", "can't be read"),
    ],
)
def test_files_that_hold_no_labels(tmp_path, name, content, rule):
    path = tmp_path / name
    path.write_text(content)
    with pytest.raises(DataError, match=rule):
        read_label_file(path, num_classes=3, count=2)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(DataError, match="can't be read"):
        read_label_file(tmp_path / "absent.npy")
