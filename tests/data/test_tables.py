import numpy as np
import pytest

from tfticket import data
from tfticket.data.storage import share, shared
from tfticket.data.tables import read
from tfticket.errors import DataError

PETS = """\
age,color,label
3,red,cat
,blue,dog
1,red,dog
5,,cat
2,blue,cat
4,red,dog
"""


@pytest.fixture
def table(tmp_path):
    """Writes a CSV file and returns its name as a data set."""

    def write(content=PETS, name="pets.csv"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return f"csv:{path}"

    return write


def columns(loaded):
    return {f.name: loaded.train.x[:, i].tolist() for i, f in enumerate(loaded.features)}


def test_a_table_becomes_rows_of_numbers(table):
    whole = data.load_whole(table())
    assert columns(whole) == {
        "age": [3, 3, 1, 5, 2, 4],  # the median where it is missing
        "age is missing": [0, 1, 0, 0, 0, 0],
        "color = blue": [0, 1, 0, 0, 1, 0],
        "color = red": [1, 0, 1, 0, 0, 1],
        "color is missing": [0, 0, 0, 1, 0, 0],
    }
    assert whole.train.x.dtype == np.float32
    assert whole.train.y.tolist() == [0, 1, 1, 0, 0, 1]
    assert whole.class_names == ("cat", "dog")
    assert [f.column for f in whole.features] == ["age", "age", "color", "color", "color"]
    assert (
        "Table pets.csv, 6 rows, labels in `label`; 5 features from 1 column of numbers, 1 column"
        in (whole.description)
    )


def test_features_are_standardized_by_column_for_a_network(table):
    whole = data.load_whole(table())
    fed = whole.inputs(whole.train)
    np.testing.assert_allclose(fed.mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(fed.std(axis=0), 1, rtol=1e-6)
    assert whole.normalize == "standard"  # though they are whole numbers


def test_the_cells_stay_with_the_examples(table, tmp_path):
    lines = "\n".join(f"{value},{'ab'[value % 2]},{value % 7}" for value in range(100))
    name = table("x,label,z\n" + lines)
    loaded = data.load(name, validation=20, limit=50)
    for split in (loaded.train, loaded.validation, loaded.test):
        cells = split.cells
        assert cells.columns == ("x", "label", "z")
        assert cells.label_column == "label"
        assert len(cells) == len(split)
        assert [loaded.class_names.index(row[1]) for row in cells] == split.y.tolist()
        assert [float(row[2]) for row in cells] == split.x[:, -1].tolist()
    with (tmp_path / "shared").open("wb") as file:
        layout = share(loaded, file)
    again = shared(layout, tmp_path / "shared")
    assert list(again.test.cells) == list(loaded.test.cells)
    assert again.test.cells.label_column == "label"
    assert again.features == loaded.features
    assert data.load("digits").train.cells is None
    assert list(loaded.test.cells[2:4]) == list(loaded.test.cells)[2:4]


def test_what_is_fitted_never_sees_the_test_data(table):
    rows = np.arange(50.0)
    name = table("x,z,label\n" + "\n".join(f"{x**2},,{int(x) % 2}" for x in rows))
    test = data.load(name, validation=5).test
    held = np.sqrt([float(row[0]) for row in test.cells]).round().astype(int)
    cells = [["1", str(row), "ab"[row % 2]] for row in range(50)]
    for row in range(50):
        cells[row][0] = "" if row == 7 else str(10_000 + row if row in held else row % 5)
    name = table("x,z,label\n" + "\n".join(map(",".join, cells)))
    loaded = data.load(name, validation=5)
    known = [row % 5 for row in range(50) if row not in held and row != 7]
    for split in (loaded.train, loaded.validation, loaded.test):
        for x, row in zip(split.x[:, 0], split.cells, strict=True):
            assert x == (np.median(known) if row[0] == "" else float(row[0]))
    other = data.load(name, validation=5, seed=1)
    assert other.features == loaded.features  # the same inputs for every seed
    assert {len(data.load_whole(name).features), len(loaded.features)} == {2}


def test_the_label_column_is_named_or_found(table):
    name = table("y,Class,label\n0,a,x\n1,b,y\n0,b,y\n1,a,x\n")
    assert data.load_whole(name).class_names == ("x", "y")
    assert data.load_whole(f"{name}?label=Class").class_names == ("a", "b")
    assert data.load_whole(name, label_column="y").class_names == ("0", "1")
    assert data.load_whole(f"{name}?label=y", label_column="y").class_names == ("0", "1")
    other = table("z,Target\n1,a\n2,b\n3,a\n", "other.csv")
    assert data.load_whole(other).class_names == ("a", "b")
    with pytest.raises(DataError, match=r"one column of labels.*label_column='label'"):
        data.load_whole(f"{name}?label=y", label_column="label")
    with pytest.raises(DataError, match=r"no column 'Clas'. Did you mean 'Class'.*y, Class, label"):
        data.load_whole(name, label_column="Clas")
    with pytest.raises(DataError, match="Only tables"):
        data.load("digits", label_column="y")


@pytest.mark.parametrize(
    ("labels", "names", "y"),
    [
        (["3", "1", "2", "1"], ("1", "2", "3"), [2, 0, 1, 0]),
        (["10", "9", "9", "10"], ("9", "10"), [1, 0, 0, 1]),
        (["1.0", "0.0", "1.0", "0.0"], ("0", "1"), [1, 0, 1, 0]),
        (["01", "02", "01", "02"], ("01", "02"), [0, 1, 0, 1]),
        (["-1", "1", "1", "-1"], ("-1", "1"), [0, 1, 1, 0]),  # a class of a table, not a gap
        (["0.5", "1.5", "0.5", "1"], ("0.5", "1", "1.5"), [0, 2, 0, 1]),
        (["True", "False", "True", " False "], ("False", "True"), [1, 0, 1, 0]),
        (["naïve", "日本", "naïve", "日本"], ("naïve", "日本"), [0, 1, 0, 1]),
        (['"a,b"', '"c ""d"""', '"a,b"', '"c ""d"""'], ("a,b", 'c "d"'), [0, 1, 0, 1]),
    ],
)
def test_labels_are_names(table, labels, names, y):
    rows = "\n".join(f"{number},{label}" for number, label in enumerate(labels))
    whole = data.load_whole(table(f"x,label\n{rows}\n"))
    assert whole.class_names == names
    assert whole.train.y.tolist() == y


def test_missing_labels_are_refused_or_kept(table):
    name = table("x,label\n1,a\n2,\n3,b\n5,NaN\n4,a\n")
    with pytest.raises(DataError, match=r"^2 of 5 training examples .* no label.* is example 1"):
        data.load(name)
    with pytest.raises(DataError, match=r"^2 of 5 training examples"):
        data.load_whole(name)
    kept = data.load_whole(name, missing_labels="keep")
    assert kept.train.y.tolist() == [0, -1, 1, -1, 0]
    assert kept.class_names == ("a", "b")
    with pytest.raises(DataError, match="None of the 2 training examples"):
        data.load_whole(table("x,label\n1,\n2,\n"), missing_labels="keep")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "it is empty"),
        ("\n\n\n", "it is empty"),
        ("a,label\n", "a header and no rows"),
        ("a,label", "a header and no rows"),
        ("a,label\n1,x\n2\n3,y\n", r"row 3 has 1 cells and the header 2"),
        ("a,label\n1,x\n2,y,z\n", r"row 3 has 3 cells and the header 2"),
        ("a,b\n1,x\n2,y\n", r"no column called given, .*class or y\. Name.*Columns: a, b\."),
        ("5.1,3.5,1.4,setosa\n4.9,3.0,1.4,setosa\n", "first row, which must name .* holds numbers"),
        ("a,b,a,label\n1,2,3,x\n", "several of its columns are called 'a'"),
        ("a,label\n1,x\n2,x\n", r"two classes or more. Received: 1 \(x\)"),
        ("label\nx\ny\n", "must have a column beside the labels.*no other column"),
        ("a,label\n1,x\n1,y\n", r"Received: dropped: a \(constant\)"),
        ("a,label\n" + "".join(f"{i},n{i}\n" for i in range(12)), "another one in each of 12 rows"),
        (
            "a,label\n" + "".join(f"{i},{i % 101 + 0.5}\n" for i in range(150)),
            "101 different numbers with fractions",
        ),
        ("naïve,label\n1,x\n".encode("latin-1"), "isn't UTF-8 text: .* in line 1"),
        ("a,label\n1,x\n2,naïve\n".encode("latin-1"), "isn't UTF-8 text: .* in line 3"),
        ("a,label\n1,x\n".encode("utf-16"), "isn't UTF-8 text"),
        ('a,label\n1,x\n"2,y\n3,z\n', "cells|quote"),
        ("a,label\n1,x\n" + "y" * 2**25 + ",z\n", "more than 16,777,216 bytes"),
        ("a" * 200_000 + ",label\n1,x\n", "header can't be understood: field larger"),
        ("a," * 10_001 + "label\n", "10,002 columns, more than 10,000"),
        (",".join("ab" * 50 for _ in range(30_000)), "header has more than"),
        ("a,label\n1e300,x\n2,y\n", "finite 32-bit numbers.* example 0"),
        (b"\x00\x01\x02\x03", "label|understood|column"),
        (b"PAR1\xff\xfe\x00PAR1", "isn't UTF-8"),
    ],
)
def test_files_that_are_no_table(table, content, words):
    with pytest.raises(DataError, match=words) as told:
        data.load_whole(table(content))
    assert len(str(told.value)) < 1500
    assert "\n" not in str(told.value)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(DataError, match=r"nowhere\.csv, no such file"):
        data.load("csv:nowhere.csv?label=a", data_dir=tmp_path)
    with pytest.raises(DataError, match="no such file"):
        data.load(f"csv:{tmp_path}")
    with pytest.raises(DataError, match="csv:PATH, parquet:PATH"):
        data.load("csv:")


@pytest.mark.parametrize("separator", [";", "\t", "|"])
def test_other_separators(table, separator):
    whole = data.load_whole(table(PETS.replace(",", separator)))
    assert whole.train.x[:, 0].tolist() == [3, 3, 1, 5, 2, 4]
    assert len(whole.features) == 5


def test_what_other_tools_write_is_read(table):
    content = '\ufeff"",age ,label\r\n\r\n0,1.5e0,"two\nlines"\r\n1,-2,b\r\n'
    whole = data.load_whole(table(content))
    assert columns(whole) == {"column 1": [0, 1], "age": [1.5, -2]}
    assert whole.class_names == ("b", "two\nlines")


def test_a_name_with_the_option_in_it_is_a_file_first(table):
    name = table(name="a?label=b")
    assert read(name, None).class_names == ("cat", "dog")
