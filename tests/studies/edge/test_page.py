"""What the page says of files that pay, of those that don't, and of times."""

import pytest

from tfticket.display.charts import to_svg
from tfticket.files import write_json
from tfticket.report.reading import read_run
from tfticket.studies.edge.page import (
    file_table,
    left_out_table,
    memory_figure,
    unusual_times,
)
from tfticket.studies.edge.summary import Study


def row(level, microseconds=None, *, failure=None, structure="channel", form="int8"):
    return {
        "name": f"{structure}_{level:02d}.{form}", "structure": structure, "format": form,
        "level": level, "density": 0.8**level, "microseconds": microseconds, "failure": failure,
        "bytes": 1000, "gzip": 900, "zstd": 890, "smaller": 2.0, "speedup": 2.0, "accuracy": 0.9,
        "tuned_from": None, "test_accuracy": 0.9, "fronts": [], "units_removed": 0,
        "encodings": {},
    }  # fmt: skip


def study(tmp_path, *rows):
    write_json(tmp_path / "recipe.json", {"kind": "edge", "name": "e"})
    return Study(read_run(tmp_path), rows=rows)


@pytest.fixture
def timed(tmp_path):
    """Times fall with the weights left, but for that of level 3; other formats have others."""
    times = (100, 90, 80, 250, 70, 60)
    others = [row(level, 900 + level, form="fp32") for level in range(3)]
    return study(tmp_path, *others, *(row(*found) for found in enumerate(times)))


def test_a_time_far_from_both_neighbors_is_unusual(timed):
    assert unusual_times(timed) == {"channel_03.int8"}
    told = {cells[0].text: cells[6].detail for cells in file_table(timed).rows}
    assert {name for name, detail in told.items() if detail == "unusual"} == {"channel_03.int8"}


def test_formats_left_out_are_told_by_their_reason_and_without_what_was_received(tmp_path):
    rule = "A sparse file must have a dense layer that is better stored sparsely."
    failed = [row(n, failure=f"{rule} Received: The file {n}. Take fp32.") for n in (1, 2)]
    found = left_out_table(study(tmp_path, row(0, 5.0), *failed, row(3, failure="does not run")))
    assert [[cell.text for cell in cells] for cells in found.rows] == [
        [rule, "channel_01.int8, channel_02.int8", "2"],
        ["does not run", "channel_03.int8", "1"],
    ]


def test_the_memory_of_the_file_to_ship_is_drawn_where_it_is_known(tmp_path):
    assert memory_figure(study(tmp_path, row(0))) == {}
    operators = [
        {"operator": "CONV_2D 0", "live_bytes": 2048}, {"operator": "MEAN 1", "live_bytes": 64}
    ]  # fmt: skip
    known = Study(read_run(tmp_path), choice={"memory": {"operators": operators}})
    title, drawing = memory_figure(known)["memory"]
    assert title == "Memory, operator by operator"
    svg = to_svg(drawing, name="memory")
    assert "CONV_2D 0" in svg
    assert "activations alive (KiB)" in svg
