import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfticket.errors import RunError
from tfticket.metrics import COLUMNS, Row, read_metrics, to_csv

NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\r\0"), max_size=8)
NUMBERS = st.floats(allow_nan=False)
ROWS = st.builds(
    Row,
    seed=st.integers(-1, 2**40),
    branch=NAMES,
    level=st.integers(0, 99),
    step=st.integers(0, 10**9),
    epoch=NUMBERS,
    split=NAMES,
    name=NAMES,
    value=NUMBERS,
)


@given(st.lists(ROWS, max_size=5))
def test_rows_there_and_back(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("metrics") / "metrics.csv"
    path.write_text(to_csv(rows), encoding="utf-8", newline="")
    assert read_metrics(path) == rows


def test_the_table_can_be_appended_to(tmp_path):
    row = Row(0, "ticket", 1, 100, 0.5, "test", "accuracy", 0.1 + 0.2)
    path = tmp_path / "metrics.csv"
    path.write_text(to_csv([row]) + to_csv([row, row], header=False))
    assert path.read_text().splitlines()[:2] == [
        "seed,branch,level,step,epoch,split,name,value",
        "0,ticket,1,100,0.5,test,accuracy,0.30000000000000004",
    ]
    assert read_metrics(path) == [row] * 3


def test_a_loss_that_diverged_is_kept(tmp_path):
    path = tmp_path / "metrics.csv"
    path.write_text(to_csv([Row(0, "ticket", 0, 1, 1.0, "train", "loss", math.nan)]))
    assert math.isnan(read_metrics(path)[0].value)


HEADER = f"{','.join(COLUMNS)}\n"


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"seed,branch\xff", "can't be read: it isn't UTF-8 text"),
        (HEADER.encode() + b"9" * 5000 + b",ticket,0,1,1,test,accuracy,1\n", "Line 2 of"),
        (HEADER.encode() + b"9" * 30 + b",ticket,0,1,1,test,accuracy,1\n", "more than 64 bits"),
        (HEADER.encode() + b"x" * 200_000 + b"\n", "field larger than field limit"),
        (HEADER.encode() + b'0,"tick\n', "Line 2 of"),
    ],
)
def test_tables_of_strangers(tmp_path, content, problem):
    path = tmp_path / "metrics.csv"
    path.write_bytes(content)
    with pytest.raises(RunError, match=problem) as caught:
        read_metrics(path)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "must begin with the line seed,branch"),
        ("step,loss\n1,0.5\n", "must begin with the line seed,branch"),
        (f"{','.join(COLUMNS)}\n0,ticket,1,100\n", r"Line 2 of .* must hold 8 columns"),
        (f"{','.join(COLUMNS)}\n0,ticket,one,100,0.5,test,accuracy,0.9\n", "Line 2 of"),
        (f"{','.join(COLUMNS)}\n0,ticket,1,100,0.5,test,accuracy,0.9\n0,tic", "Line 3 of"),
    ],
)
def test_tables_that_are_damaged(tmp_path, text, problem):
    path = tmp_path / "metrics.csv"
    path.write_text(text)
    with pytest.raises(RunError, match=problem):
        read_metrics(path)
