import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tfticket.errors import DataError, RunError
from tfticket.noise import read_corrections, read_label_file
from tfticket.noise.table import COLUMNS, DECIDED_COLUMNS, csv_text

NAMES = ("cat", "dog")
FILES = ("cat/1.png", "cat/2.png", "dog/1.png", "dog/3.png")


def write_table(path, rows, columns=COLUMNS, **summary):
    """A table with the given cells, the others empty, and what is beside it."""
    path.parent.mkdir(exist_ok=True)
    cells = [[str(row.get(name, "")) for name in columns] for row in rows]
    path.write_text(csv_text(columns, cells))
    if summary:
        (path.parent / "summary.json").write_text(json.dumps(summary))
    return path


def issue(place, given, suggested, *, file="", score=0.9, is_issue=True):
    row = {"id": place, "file": file, "given_name": given, "suggested_name": suggested}
    return row | {"score": score, "is_issue": "true" if is_issue else "false"}


def decided(place, given, suggested, decision, label="", file=""):
    row = {"id": place, "file": file, "given_name": given, "suggested_name": suggested}
    return row | {"decision": decision, "label_name": label}


@pytest.fixture
def photos(tmp_path):
    root = tmp_path / "photos"
    for value, name in enumerate(FILES):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (8, 8), 40 * value).save(root / name)
    (root / "cat/notes.txt").write_text("mine")
    return root


@pytest.fixture
def arrays(tmp_path):
    x = np.arange(6 * 16).reshape(6, 4, 4).astype("uint8")
    np.savez(tmp_path / "a.npz", x=x, y=[0, 1, 2, 0, 1, 2], class_names=["ant", "bee", "fly"])
    return f"npz:{tmp_path / 'a.npz'}"


def files_of(folder):
    found = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def test_issues_of_a_folder_are_moved_copied_and_undone(photos, tmp_path):
    rows = [
        issue(0, "cat", "dog", file=FILES[0], score=0.95),
        issue(3, "dog", "cat", file=FILES[3], score=0.6),
        issue(1, "cat", "cat", file=FILES[1], score=0.1, is_issue=False),
    ]
    table = write_table(tmp_path / "out/labels.csv", rows, data=f"folder:{photos}", labels=None)
    before = files_of(photos)
    corrections = read_corrections(table)
    assert corrections.summary() == "2 labels to change: 1 from cat to dog, 1 from dog to cat."
    assert [(each.source, each.target) for each in corrections.moves()] == [
        ("cat/1.png", "dog/1-2.png"),
        ("dog/3.png", "cat/3.png"),
    ]
    after = {
        "cat/2.png": before["cat/2.png"],
        "cat/3.png": before["dog/3.png"],
        "cat/notes.txt": b"mine",
        "dog/1-2.png": before["cat/1.png"],
        "dog/1.png": before["dog/1.png"],
    }
    copy = corrections.copy_to(tmp_path / "copies/corrected")
    assert files_of(copy) == after
    assert files_of(photos) == before
    assert list((tmp_path / "copies").iterdir()) == [copy]
    receipt = corrections.move_files(tmp_path / "out/moved.json")
    assert files_of(photos) == after
    with pytest.raises(DataError, match=r"2 files of .* are missing in .*: cat/1.png, dog/3.png"):
        corrections.moves()
    receipt.undo()
    assert files_of(photos) == before
    certain = read_corrections(table, min_score=0.9)
    assert [each.source for each in certain.moves()] == ["cat/1.png"]


def test_training_folders_and_folders_in_classes(photos, tmp_path):
    root = tmp_path / "both"
    (root / "test").mkdir(parents=True)
    photos.rename(root / "train")
    (root / "train/cat/far").mkdir()
    (root / "train/cat/1.png").rename(root / "train/cat/far/1.png")
    rows = [issue(0, "cat", "dog", file="train/cat/far/1.png")]
    table = write_table(tmp_path / "out/suspects.csv", rows, data=f"folder:{root}@16x16")
    (move,) = read_corrections(table).moves()
    assert move.target == "train/dog/far/1.png"


def test_decisions_are_followed(photos, tmp_path):
    rows = [
        decided(0, "cat", "dog", "confirm", file=FILES[0]),
        decided(1, "cat", "dog", "reject", file=FILES[1]),
        decided(2, "dog", "cat", "correct", "owl", file=FILES[2]),
        decided(3, "dog", "cat", "", file=FILES[3]),
    ]
    table = write_table(tmp_path / "decisions.csv", rows, DECIDED_COLUMNS)
    with pytest.raises(DataError, match=r"isn't known which data.*Give --data"):
        read_corrections(table)
    data = f"folder:{photos}"
    with pytest.raises(DataError, match=r"line 4: the data have no class 'owl'.*--new-classes"):
        read_corrections(table, data=data).moves()
    moves = read_corrections(table, data=data, new_classes=True).moves()
    assert [each.target for each in moves] == ["dog/1-2.png", "owl/1.png"]
    with pytest.raises(DataError, match="Leave out --min-score"):
        read_corrections(table, data=data, min_score=0.5)


@pytest.mark.parametrize("label", ["../owl", ".owl", "_owl", "a/b"])
def test_a_new_class_can_be_a_folder(photos, tmp_path, label):
    rows = [decided(0, "cat", "dog", "correct", label, file=FILES[0])]
    table = write_table(tmp_path / "decisions.csv", rows, DECIDED_COLUMNS)
    corrections = read_corrections(table, data=f"folder:{photos}", new_classes=True)
    with pytest.raises(DataError, match="can't be a new class"):
        corrections.moves()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"file": "../secret.png"}, "without `..`"),
        ({"file": "/etc/passwd"}, "path below the folder"),
        ({"file": "link/1.png"}, "Links aren't followed"),
        ({"file": "cat/9.png"}, "1 file of .* is missing"),
        ({"file": "cat"}, "is missing"),
        ({"file": "dog/1.png"}, "isn't the folder that it lies in"),
        ({"suggested_name": "dig"}, "no class 'dig'. Did you mean 'dog'"),
        ({"suggested_name": ".."}, "no class '..'"),
        ({"suggested_name": ""}, "names no class to change to"),
    ],
)
def test_rows_that_fit_no_folder(photos, tmp_path, change, message):
    (tmp_path / "secret.png").write_bytes(b"secret")
    (photos / "link").symlink_to(photos / "cat")
    rows = [issue(0, "cat", "dog", file="cat/1.png") | change]
    table = write_table(tmp_path / "out/suspects.csv", rows, data=f"folder:{photos}")
    before = files_of(tmp_path)
    with pytest.raises(DataError, match=message):
        read_corrections(table).move_files(tmp_path / "moved.json")
    assert files_of(tmp_path) == before


def test_an_example_is_named_once(photos, tmp_path):
    rows = [issue(0, "cat", "dog", file="cat/1.png")] * 2
    table = write_table(tmp_path / "out/suspects.csv", rows, data=f"folder:{photos}")
    with pytest.raises(DataError, match="line 3: the example of line 2 again"):
        read_corrections(table)
    table = write_table(table, [issue("", "cat", "dog")])
    with pytest.raises(DataError, match="neither an example nor a file"):
        read_corrections(table)


def test_class_names_that_spreadsheets_would_compute(tmp_path):
    for name in ("=1+1", "@home"):
        (tmp_path / "photos" / name).mkdir(parents=True)
    (tmp_path / "photos/=1+1/+1.png").write_bytes(b"1")
    rows = [issue(0, "=1+1", "@home", file="=1+1/+1.png")]
    table = write_table(tmp_path / "suspects.csv", rows, data=f"folder:{tmp_path / 'photos'}")
    assert "'=1+1" in table.read_text()
    (move,) = read_corrections(table).moves()
    assert (move.source, move.target) == ("=1+1/+1.png", "@home/+1.png")


def test_a_copy_writes_over_nothing_and_is_whole(photos, tmp_path, monkeypatch):
    rows = [issue(0, "cat", "dog", file="cat/1.png")]
    table = write_table(tmp_path / "out/suspects.csv", rows, data=f"folder:{photos}")
    corrections = read_corrections(table)
    with pytest.raises(DataError, match="in the folder itself"):
        corrections.copy_to(photos / "copy")
    with pytest.raises(DataError, match="exists"):
        corrections.copy_to(tmp_path / "out")
    (photos / "gone.png").symlink_to(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    assert corrections.copy_to(tmp_path / "empty").joinpath("gone.png").is_symlink()
    copied = []

    def full(source, target, **options):
        copied.append(source)
        if len(copied) == 3:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr("shutil.copy2", full)
    with pytest.raises(RunError, match="No space left"):
        corrections.copy_to(tmp_path / "copy")
    assert not list(tmp_path.glob("copy*"))
    (photos / "more").symlink_to(tmp_path / "out")
    with pytest.raises(DataError, match="link to a folder"):
        corrections.copy_to(tmp_path / "copy")


def test_a_corrected_label_file(arrays, tmp_path):
    rows = [issue(1, "bee", "fly"), issue(3, "ant", "bee", score=0.4)]
    table = write_table(tmp_path / "out/suspects.csv", rows, data=arrays, labels=None)
    corrections = read_corrections(table)
    path = corrections.write_labels(tmp_path / "corrected.csv")
    with path.open(newline="") as file:
        assert list(csv.reader(file))[:3] == [
            ["id", "given", "label"],
            ["0", "0", "0"],
            ["1", "1", "2"],
        ]
    assert read_label_file(path).tolist() == [0, 2, 2, 1, 1, 2]
    with pytest.raises(DataError, match=r"no image folder.*--output"):
        corrections.moves()
    owl = write_table(
        tmp_path / "d.csv", [decided(5, "fly", "bee", "correct", "owl")], DECIDED_COLUMNS
    )
    made = read_corrections(owl, data=arrays, new_classes=True).labels()
    assert made.labels.tolist() == [0, 1, 2, 0, 1, 3]
    assert made.class_names == ("ant", "bee", "fly", "owl")


def test_labels_in_a_file_of_their_own_are_corrected(arrays, tmp_path):
    np.save(tmp_path / "mine.npy", [0, 0, 2, 0, 1, 2])
    table = write_table(
        tmp_path / "out/suspects.csv", [issue(1, "ant", "bee")],
        data=arrays, labels=str(tmp_path / "mine.npy"),
    )  # fmt: skip
    assert read_corrections(table).labels().labels.tolist() == [0, 1, 2, 0, 1, 2]
    with pytest.raises(DataError, match=r"example 1 is called 'ant' there, and 'bee' in"):
        read_corrections(
            write_table(tmp_path / "suspects.csv", [issue(1, "ant", "bee")]), data=arrays
        ).labels()


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([issue(6, "ant", "bee")], r"no example 6 in .*which has 6, from 0 to 5"),
        ([issue(0, "bee", "ant")], r"example 0 is called 'bee' there, and 'ant' in"),
        (
            [issue(0, "ant", "bee"), issue(1, "bee", "bee", is_issue=False)],
            "is about 2 examples, and",
        ),
        ([issue(0, "ant", "be")], "no class 'be'. Did you mean 'bee'"),
    ],
)
def test_a_table_of_other_data(arrays, tmp_path, rows, message):
    table = write_table(tmp_path / "out/labels.csv", rows, data=arrays)
    with pytest.raises(DataError, match=message):
        read_corrections(table).write_labels(tmp_path / "made.csv")
    assert not (tmp_path / "made.csv").exists()


def test_a_table_of_the_first_examples(arrays, tmp_path):
    rows = [issue(0, "ant", "bee"), issue(1, "bee", "bee", is_issue=False)]
    table = write_table(tmp_path / "out/labels.csv", rows, data=arrays, limit=2)
    assert read_corrections(table).labels().labels.tolist() == [1, 1, 2, 0, 1, 2]


@pytest.mark.parametrize(
    "summary", ["[]", "{", '{"data": 3}', '{"data": "digits", "limit": "all"}']
)
def test_a_damaged_summary(tmp_path, summary):
    table = write_table(tmp_path / "suspects.csv", [issue(0, "0", "1")])
    (tmp_path / "summary.json").write_text(summary)
    with pytest.raises(RunError, match="Give --data"):
        read_corrections(table)


def test_nothing_to_change(arrays, tmp_path):
    table = write_table(tmp_path / "suspects.csv", [], data=arrays)
    corrections = read_corrections(table)
    assert corrections.summary() == "0 labels to change."
    assert corrections.labels().labels.tolist() == [0, 1, 2, 0, 1, 2]
    assert Path(corrections.write_labels(tmp_path / "same.csv")).is_file()


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_a_corrected_copy_of_a_csv_file_changes_these_cells_alone(tmp_path, ending):
    lines = [
        '\ufeffage; label ;"the note"',
        '3;cat;"a ""b"""',
        "",
        "1.50;dog;",
        '4;"cat";"two',
        'lines"',
    ]
    lines += [" 7 ;;x", "8;dog;z"]
    path = tmp_path / "pets.csv"
    path.write_bytes(ending.join(lines).encode())
    rows = [
        decided(2, "cat", "dog", "confirm"),
        decided(3, "", "cat", "correct", "o;wl"),
        decided(4, "dog", "cat", "confirm"),
    ]
    table = write_table(tmp_path / "decisions.csv", rows, DECIDED_COLUMNS)
    corrections = read_corrections(table, data=f"csv:{path}", new_classes=True)
    with pytest.raises(DataError, match="holds the data"):
        corrections.write_labels(path)
    made = corrections.write_labels(tmp_path / "corrected.csv").read_bytes().decode()
    lines[4] = '4;dog;"two'
    lines[6:8] = [' 7 ;"o;wl";x', "8;cat;z"]
    assert made == ending.join(lines)


@pytest.mark.parametrize("kind", ["string", "int64", "double", "bool", "category"])
def test_a_corrected_copy_of_a_parquet_file_keeps_types(tmp_path, kind):
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    values = {
        "string": ["cat", "dog"], "int64": [3, 5], "double": [0.5, 2.0], "bool": [True, False],
        "category": ["cat", "dog"],
    }[kind]  # fmt: skip
    names = {"int64": ("3", "5"), "double": ("0.5", "2"), "bool": ("true", "false")}.get(
        kind, NAMES
    )
    labels = pa.array([*values, *values, None])
    labels = labels.dictionary_encode() if kind == "category" else labels
    table = pa.table({"x": [1.0, 2.0, 1.5, 2.5, 1.0], "label": labels})
    table = table.replace_schema_metadata({"mine": "kept"})
    path = tmp_path / "pets.parquet"
    parquet.write_table(table, path)
    rows = [decided(1, names[1], names[0], "confirm"), decided(4, "", names[1], "confirm")]
    decisions = write_table(tmp_path / "decisions.csv", rows, DECIDED_COLUMNS)
    corrections = read_corrections(decisions, data=f"parquet:{path}")
    made = parquet.read_table(corrections.write_labels(tmp_path / "corrected.parquet"))
    assert made.schema.equals(table.schema, check_metadata=True)
    assert made["label"].to_pylist() == [values[0], values[0], *values, values[1]]
    assert made["x"].equals(table["x"])


def test_a_column_of_numbers_holds_no_names(tmp_path):
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    path = tmp_path / "pets.parquet"
    parquet.write_table(pa.table({"x": [1.0, 2.0, 1.5], "label": [3, 5, 5]}), path)
    rows = [decided(1, "5", "3", "correct", "owl")]
    table = write_table(tmp_path / "decisions.csv", rows, DECIDED_COLUMNS)
    corrections = read_corrections(table, data=f"parquet:{path}", new_classes=True)
    with pytest.raises(DataError, match="type int64, which can't hold 'owl'"):
        corrections.write_labels(tmp_path / "corrected.parquet")


def test_missing_labels_are_filled_in_where_that_is_asked_for(tmp_path):
    path = tmp_path / "pets.csv"
    path.write_text("age,label\n3,cat\n1,dog\n9,\n7,cat\n")
    rows = [
        issue(0, "cat", "cat", is_issue=False),
        issue(1, "dog", "cat"),
        issue(2, "", "dog", score="", is_issue=False),
        issue(3, "cat", "cat", is_issue=False),
    ]
    table = write_table(tmp_path / "out" / "labels.csv", rows)
    options = {"data": f"csv:{path}", "min_score": 0.95}
    assert len(read_corrections(table, **options)) == 0
    filled = read_corrections(table, fill_missing=True, **options)
    made = filled.write_labels(tmp_path / "corrected.csv")
    assert made.read_text() == "age,label\n3,cat\n1,dog\n9,dog\n7,cat\n"
    decisions = write_table(
        tmp_path / "decisions.csv", [decided(1, "dog", "cat", "confirm")], DECIDED_COLUMNS
    )
    with pytest.raises(DataError, match="Leave out --min-score and --fill-missing"):
        read_corrections(decisions, data=f"csv:{path}", fill_missing=True)
