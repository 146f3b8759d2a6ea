import json

import numpy as np
import pytest

pa = pytest.importorskip("pyarrow")
from pyarrow import parquet  # noqa: E402

from tfticket import data  # noqa: E402
from tfticket.data.table_files import read_csv, read_parquet  # noqa: E402
from tfticket.errors import DataError  # noqa: E402
from tfticket.reading import UnreadableError  # noqa: E402


@pytest.fixture
def path(tmp_path):
    return tmp_path / "a.parquet"


def test_types_stay(path):
    table = pa.table({
        "a": [1, None, 3],
        "b": pa.array(["x", "y", "x"]).dictionary_encode(),
        "label": [True, False, None],
    })  # fmt: skip
    parquet.write_table(table, path)
    read = read_parquet(path)
    assert read.to_pydict() == table.to_pydict()
    assert [str(kind) for kind in read.schema.types] == ["int64", "string", "bool"]
    kept = data.load_whole(f"parquet:{path}", missing_labels="keep")
    assert kept.class_names == ("false", "true")
    assert kept.train.y.tolist() == [1, 0, -1]
    assert list(kept.train.cells) == [("1", "x", "True"), ("", "y", "False"), ("3", "x", "")]


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        (pa.array([2.0, 7.0, None]), ("2", "7")),
        (pa.array([-1, 1, None], pa.int8()), ("-1", "1")),
        (pa.array(["b", "a", ""]).dictionary_encode(), ("a", "b")),
        (pa.array(["b", "a", "nan"], pa.large_string()), ("a", "b")),
    ],
)
def test_labels_of_any_type(path, labels, names):
    parquet.write_table(pa.table({"x": [1, 2, 4], "label": labels}), path)
    kept = data.load_whole(f"parquet:{path}", missing_labels="keep")
    assert kept.class_names == names
    assert sorted(kept.train.y.tolist()) == [-1, 0, 1]


def test_embeddings_and_bytes(path):
    rows = np.arange(12.0).reshape(4, 3) ** 2
    table = pa.table({"e": list(rows), "image": [b"123"] * 4, "label": [0, 1, 0, 1]})
    parquet.write_table(table, path)
    whole = data.load_whole(f"parquet:{path}")
    np.testing.assert_array_equal(whole.train.x, rows)
    assert whole.train.cells[1][1:] == ("3 bytes", "1")
    assert "dropped: image (of the type binary)" in whole.description


@pytest.mark.parametrize(
    ("declared", "names"),
    [
        ({"info": {"features": {"label": {"names": ["neg", "pos"]}}}}, ("neg", "pos")),
        ({"info": {"features": {"label": {"names": ["neg", 1]}}}}, ("-1", "0", "1")),
        ({"info": []}, ("-1", "0", "1")),
        ("{", ("-1", "0", "1")),
    ],
)
def test_names_of_classes_are_taken_from_hugging_face(path, declared, names):
    table = pa.table({"x": [1, 2, 4, 3], "label": [1, 0, -1, 1]})
    told = declared if isinstance(declared, str) else json.dumps(declared)
    parquet.write_table(table.replace_schema_metadata({"huggingface": told}), path)
    kept = data.load_whole(f"parquet:{path}", missing_labels="keep")
    assert kept.class_names == names
    assert kept.train.y.tolist() == ([1, 0, -1, 1] if len(names) == 2 else [2, 1, 0, 2])


def test_what_the_system_does_not_read(tmp_path):
    with pytest.raises(UnreadableError, match="can't be read: Is a directory"):
        read_csv(tmp_path)
    with pytest.raises(UnreadableError, match="no Parquet file"):
        read_parquet(tmp_path)


def test_labels_that_are_none(path):
    parquet.write_table(pa.table({"x": [1, 2], "label": [[1], [2]]}), path)
    with pytest.raises(DataError, match=r"numbers or texts to be labels\. Received: list"):
        data.load_whole(f"parquet:{path}")


def double_names(path):
    parquet.write_table(pa.Table.from_arrays([pa.array([1]), pa.array([2])], ["a", "a"]), path)


def no_rows(path):
    parquet.write_table(pa.table({"a": pa.array([], pa.int64())}), path)


def truncated(path):
    parquet.write_table(pa.table({"a": list(range(1000))}), path)
    path.write_bytes(path.read_bytes()[:-20])


def bomb(path):
    """Many equal values in a few bytes."""
    columns = {f"c{number}": pa.array(np.zeros(10_000, np.int8)) for number in range(1000)}
    parquet.write_table(pa.table(columns), path)
    content = path.read_bytes()
    assert len(content) < 1e6


@pytest.mark.parametrize(
    ("write", "words"),
    [
        (double_names, "several of its columns are called 'a'"),
        (no_rows, "no rows"),
        (truncated, "no Parquet file, or damaged"),
        (lambda path: path.write_bytes(b""), "no Parquet file, or damaged"),
        (lambda path: path.write_bytes(b"PAR1" * 20), "no Parquet file, or damaged"),
        (lambda path: path.write_text("a,label\n1,x\n"), "no Parquet file, or damaged"),
    ],
)
def test_files_that_are_no_parquet(path, write, words):
    write(path)
    with pytest.raises(DataError, match=words) as told:
        data.load_whole(f"parquet:{path}")
    assert len(str(told.value)) < 1000


def test_what_unpacks_to_too_much_is_refused(path, monkeypatch):
    bomb(path)
    monkeypatch.setattr("tfticket.data.table_files._MOST_CELLS", 10**6)
    with pytest.raises(UnreadableError, match="10,000 rows of 1,000 columns"):
        read_parquet(path)
    monkeypatch.setattr("tfticket.data.table_files._MOST_CELLS", 10**8)
    monkeypatch.setattr("tfticket.data.table_files.MOST_UNPACKED", 10**6)
    monkeypatch.setattr("tfticket.data.table_files.MOST_EXPANSION", 1)
    with pytest.raises(UnreadableError, match="unpacks to more than 1,000,000 bytes"):
        read_parquet(path)
    csv = path.with_name("a.csv")
    csv.write_text("a\n" + "1\n" * 600_000)
    with pytest.raises(UnreadableError, match="more than 1,000,000 bytes"):
        read_csv(csv)
