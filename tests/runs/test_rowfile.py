import subprocess
import sys

import pytest

from tfticket.metrics import Row, read_metrics
from tfticket.runs.rowfile import RowFile

pytestmark = pytest.mark.slow


def row(seed=0, level=0, step=1):
    return Row(seed, "ticket", level, step, 1.5, "train", "loss", 0.5)


def test_a_line_that_a_killed_writer_left_is_not_gone_on_with(tmp_path):
    table = RowFile(tmp_path / "metrics.csv")
    table.append([row()])
    with table.path.open("a") as file:
        file.write("0,ticket,1,1,1.5,tra" + "x" * 5000)
    table.append([row(level=1)])
    assert read_metrics(table.path) == [row(), row(level=1)]


def test_a_header_that_a_killed_writer_left_is_written_again(tmp_path):
    table = RowFile(tmp_path / "metrics.csv")
    table.path.write_text("seed,bra")
    table.append([row()])
    assert read_metrics(table.path) == [row()]


def test_rows_are_sorted_by_their_places_and_stay_as_they_are_in_each(tmp_path):
    table = RowFile(tmp_path / "metrics.csv")
    unknown = row(seed=7)
    table.append([row(1, step=9), row(1, step=2), unknown, row(0), row(1, level=1)])
    table.sort([(0, "ticket", 0), (1, "ticket", 0), (1, "ticket", 1)])
    assert read_metrics(table.path) == [
        row(0),
        row(1, step=9),
        row(1, step=2),
        row(1, level=1),
        unknown,
    ]
    before = table.path.stat().st_ino
    table.sort([(0, "ticket", 0), (1, "ticket", 0), (1, "ticket", 1)])
    assert table.path.stat().st_ino == before  # in order: not written again


APPEND = """
import sys
from pathlib import Path
from tfticket.metrics import Row
from tfticket.runs.rowfile import RowFile
table, seed = RowFile(Path(sys.argv[1])), int(sys.argv[2])
for level in range(40):
    table.append(
        Row(seed, "ticket", level, step, 1.0, "train", "loss", 0.5) for step in range(200)
    )
    table.keep(lambda place: True)
"""


def test_what_several_processes_append_is_there_whole(tmp_path):
    path = tmp_path / "metrics.csv"
    writers = [
        subprocess.Popen([sys.executable, "-c", APPEND, str(path), str(seed)]) for seed in range(3)
    ]
    assert [writer.wait() for writer in writers] == [0, 0, 0]
    rows = read_metrics(path)
    assert len(rows) == 3 * 40 * 200
    levels = [rows[start : start + 200] for start in range(0, len(rows), 200)]
    assert all(len({(each.seed, each.level) for each in level}) == 1 for level in levels)
