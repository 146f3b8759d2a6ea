import pytest

from tfticket.cli.outcome import outcome_lines
from tfticket.files import write_json
from tfticket.runs.rundir import RunDir


def exported(run, name, size, report=None):
    path = run.path / "export" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(bytes(size))
    if report is not None:
        write_json(path.with_suffix(".json"), report)
    return path


@pytest.fixture
def run(tmp_path):
    """A run whose ticket of level 5 was exported in two formats, and the dense network beside."""
    run = RunDir(tmp_path)
    for name, size in {
        "seed_0_level_00.fp32.tflite": 200_000,
        "seed_0_level_00.int8.tflite": 1_000,
        "seed_0_level_05.fp32.tflite": 200_100,
        "seed_0_level_05.int8.tflite": 62_500,
    }.items():
        exported(run, name, size, {"verification": {"count": 3}})
    names = sorted(path.name for path in (tmp_path / "export").glob("*.tflite"))
    run.mark_complete({"exported": names, "failed_exports": []})
    return run


def lines(run):
    return outcome_lines(run, "Found it.", run.report / "index.html")


def test_the_smallest_file_of_the_chosen_level_is_named(run):
    path = run.path / "export" / "seed_0_level_05.int8.tflite"
    facts = "62,500 bytes, 3.2 times smaller than dense fp32, verified in LiteRT"
    assert lines(run) == [
        "Found it.",
        f"Page: {run.report / 'index.html'}",
        f"File: {path} ({facts})",
    ]


def test_files_that_were_exported_for_another_reason_are_not(run):
    exported(run, "seed_0_level_09.int8.tflite", 10)
    assert "seed_0_level_05.int8.tflite" in lines(run)[2]


def test_a_run_of_before_names_any_exported_ticket(run):
    run.mark_complete({"failed_exports": []})
    assert "seed_0_level_05.int8.tflite (62,500 bytes" in lines(run)[2]


@pytest.mark.parametrize(
    ("size", "words"), [(200_100, "as large as"), (400_000, "2.0 times larger than")]
)
def test_a_file_that_is_not_smaller_says_so(run, size, words):
    exported(run, "seed_0_level_05.int8.tflite", size)
    (run.path / "export" / "seed_0_level_05.fp32.tflite").unlink()
    run.mark_complete({"exported": ["seed_0_level_05.int8.tflite"]})
    assert f"{words} dense fp32" in lines(run)[2]


def test_what_was_not_verified_is_not_said_to_be(run):
    (run.path / "export" / "seed_0_level_05.int8.json").unlink()
    assert lines(run)[2].endswith("3.2 times smaller than dense fp32)")


def test_why_there_is_no_file_is_said_where_it_is_known(run):
    dense = ["seed_0_level_00.fp32.tflite"]
    why = "Answers of int8 must agree with Keras. Received: 0.1. Take fp32."
    run.mark_complete({"exported": dense, "failed_exports": [why]})
    assert lines(run)[2] == "No file: Answers of int8 must agree with Keras."


def test_a_run_without_files_says_nothing_of_them(tmp_path):
    run = RunDir(tmp_path)
    run.mark_complete({})
    assert len(lines(run)) == 2


def test_the_dense_network_is_the_file_where_no_ticket_was_chosen(tmp_path):
    run = RunDir(tmp_path)
    exported(run, "seed_0_level_00.fp32.tflite", 7)
    run.mark_complete({"exported": ["seed_0_level_00.fp32.tflite"]})
    assert lines(run)[2].endswith("seed_0_level_00.fp32.tflite (7 bytes)")


def test_a_study_of_files_names_the_one_to_ship(tmp_path):
    run = RunDir(tmp_path)
    path = exported(run, "channel_01.int8.tflite", 27_264, {"verification": {}})
    rows = [
        {"name": "dense.fp32", "bytes": 205_680, "smaller": 1.0},
        {"name": "channel_01.int8", "bytes": 27_264, "smaller": 205_680 / 27_264},
    ]
    write_json(run.edge, {"choice": {"name": "channel_01.int8"}, "rows": rows})
    run.mark_complete({})
    assert lines(run)[2] == (
        f"File: {path} (27,264 bytes, 7.5 times smaller than dense fp32, verified in LiteRT)"
    )
