import numpy as np
import pytest

from tfticket.errors import DataError
from tfticket.noisy import read_transition_file

ROWS = np.array([[0.7, 0.3], [0.1, 0.9]])


def test_each_format(tmp_path):
    np.save(tmp_path / "a.npy", ROWS)
    np.savez(tmp_path / "b.npz", T=ROWS, other=np.zeros(3))
    np.savez(tmp_path / "c.npz", anything=ROWS)
    (tmp_path / "d.csv").write_text("0.7,0.3\n0.1,0.9\n")
    for name in ("a.npy", "b.npz", "c.npz", "d.csv"):
        read = read_transition_file(tmp_path / name)
        np.testing.assert_allclose(read.matrix, ROWS)
        assert read.kind == "matrix"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", b"a,b\nc,d\n", "table of numbers"),
        ("a.csv", b"", "table of numbers|shape"),
        ("a.csv", b"0.7,0.3\n0.1\n", "table of numbers"),
        ("a.csv", b"0.7,0.1\n0.3,0.9\n", "transpose it"),
        ("a.csv", b"0.5,0.5\n", r"shape \(k, k\)"),
        ("a.csv", b"nan,1\n0,1\n", "must hold probabilities"),
        ("a.npy", b"no array", "table of numbers"),
        ("a.npz", b"", "table of numbers"),
        ("a.txt", b"1 0\n0 1\n", "must be one of .npy, .npz, .csv"),
        ("none.csv", None, "table of numbers"),
    ],
)
def test_what_is_no_matrix(tmp_path, name, content, message):
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_transition_file(path)


def test_an_archive_that_leaves_the_choice(tmp_path):
    np.savez(tmp_path / "a.npz", one=ROWS, two=ROWS)
    with pytest.raises(DataError, match=r"must call its matrix one of .*'one', 'two'"):
        read_transition_file(tmp_path / "a.npz")
