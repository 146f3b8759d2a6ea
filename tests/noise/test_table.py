import math

import pytest

from tfticket.errors import DataError
from tfticket.noise.table import COLUMNS, DECIDED_COLUMNS, csv_text, read_label_table, unescaped

ROW = (
    "7",
    "cat/a, b.png",
    "0",
    "cat",
    "1",
    "=dog",
    "0.75",
    "true",
    "1",
    "-0.5",
    "",
    "",
    "false",
    "",
)


def test_what_is_written_is_read(tmp_path):
    path = tmp_path / "labels.csv"
    other = ("8", "", "", "", "1", "=dog", "", "false", "", "", "", "", "false", "no label")
    path.write_text(csv_text(COLUMNS, [ROW, other]))
    table = read_label_table(path)
    first, second = table.rows
    assert (first.line, first.id, first.file, first.score) == (2, 7, "cat/a, b.png", 0.75)
    assert (first.given_name, unescaped(first.suggested_name)) == ("cat", "=dog")
    assert first.is_issue
    assert not second.is_issue
    assert second.given_name == ""
    assert math.isnan(second.score)
    assert table.whole
    assert not table.decided


def test_tables_of_spreadsheets_are_read(tmp_path):
    path = tmp_path / "decisions.csv"
    rows = [("3", "", "a;b", "c", "Correct", "d")]
    text = csv_text(DECIDED_COLUMNS, rows).replace(",", ";").replace("a;b", '"a;b"')
    path.write_bytes(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())
    (row,) = read_label_table(path).rows
    assert (row.id, row.given_name, row.decision, row.label_name) == (3, "a;b", "correct", "d")
    path.write_text(csv_text(COLUMNS, [[each.upper() for each in ROW]]))
    assert read_label_table(path).rows[0].is_issue


DECIDED = ",".join(DECIDED_COLUMNS)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "an empty file"),
        ("id,given\n1,2\n", "lacks the columns file, given_name, suggested_name, is_issue"),
        (f"{DECIDED}\n-1,,a,b,confirm,\n", "line 2: `id` is '-1'"),
        (f"{DECIDED}\n9999999999999999,,a,b,confirm,\n", "line 2: `id`"),
        (f"{DECIDED}\n1,,a,b,confirm,\n2,,a,b,confrm,\n", "line 3.*Did you mean 'confirm'"),
        (csv_text(COLUMNS, [(*ROW[:6], "high", *ROW[7:])]), "`score` is 'high'"),
        (csv_text(COLUMNS, [(*ROW[:7], "perhaps", *ROW[8:])]), "`is_issue` is 'perhaps'"),
        (f'{DECIDED}\n1,"a,b\n', "unexpected end"),
        (f"{DECIDED}\n1,{'a' * 200_000}\n", "field larger"),
    ],
)
def test_what_is_no_table(tmp_path, text, message):
    path = tmp_path / "table.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=message):
        read_label_table(path)


def test_bytes_that_are_no_text(tmp_path):
    path = tmp_path / "table.csv"
    path.write_bytes(b"id,file\xff\n")
    with pytest.raises(DataError, match="isn't UTF-8"):
        read_label_table(path)
    with pytest.raises(DataError, match="can't be read"):
        read_label_table(tmp_path)
