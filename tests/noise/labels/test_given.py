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
        ("labels.csv", "label\ncat\n", "must be numbers, since the names.*'cat'"),
        ("labels.csv", "id,label\nx,1\n", "can't be read"),
        ("labels.csv", "id\n0\n1\n", r"Received: \[\]"),
        ("labels.csv", 'label\n"' + "1" * 200_000 + '"\n', "can't be read.*field"),
        ("labels.csv", "id,label\n0,1\n1,\n", "1 of the 2 labels in .* missing.*example 1"),
        ("labels.txt", "1\n\n2\n", "1 of the 3 labels"),
        ("labels.txt", "", "1 of the 1 labels"),
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


NAMES = ("ant", "bee", "cow")


def test_names_of_classes_read_the_same(tmp_path):
    names = [NAMES[label] for label in LABELS]
    np.save(tmp_path / "a.npy", names)
    np.savez(tmp_path / "b.npz", target=names)
    (tmp_path / "c.csv").write_text("class\n" + "\n".join(names))
    (tmp_path / "d.txt").write_text("# labels\n" + "\r\n".join(names) + "\n\n")
    np.save(tmp_path / "e.npy", LABELS.astype(float))
    for path in [*tmp_path.iterdir(), *files(tmp_path)]:
        read = read_label_file(path, num_classes=3, count=4, class_names=NAMES)
        np.testing.assert_array_equal(read, LABELS)
    with pytest.raises(DataError, match=r"The labels in .*ant, cow. Received: 'bee'.* example 2"):
        read_label_file(tmp_path / "c.csv", class_names=("ant", "cow"))


def test_missing_labels_are_kept_when_asked_for(tmp_path):
    (tmp_path / "a.csv").write_text("id,given,given_name\n2,,\n1,0,ant\n0,2,cow\n,1,bee\n")
    (tmp_path / "b.txt").write_text("cow\nant\n\n".removesuffix("\n") + "NaN\n")
    np.save(tmp_path / "c.npy", [2.0, 0.0, np.nan])
    np.save(tmp_path / "d.npy", [2, 0, -1])
    for path in tmp_path.iterdir():
        read = read_label_file(path, num_classes=3, class_names=NAMES, missing="keep")
        assert read.tolist() == [2, 0, -1], path
    with pytest.raises(DataError, match="refuse or keep"):
        read_label_file(path, missing="drop")


def test_the_column_given_holds_numbers_and_others_hold_names(tmp_path):
    for column, expected in (("given", [1, 2]), ("label", [0, 1])):
        path = tmp_path / f"{column}.csv"
        path.write_text(f"{column}\n1\n2\n")
        assert read_label_file(path, class_names=("1", "2", "3")).tolist() == expected
