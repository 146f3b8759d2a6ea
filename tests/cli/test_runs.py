import json
from pathlib import Path

import pytest
import synthetic_runs
from tiny_recipe import recipe

from tfticket.cli import main
from tfticket.cli.runs import outcome_lines
from tfticket.files import write_json
from tfticket.runs.rundir import RunDir
from tfticket.runs.session import writing


def test_runs_are_listed_with_their_state(tmp_path, capsys):
    run = RunDir(tmp_path / "tiny" / "default")
    with writing(run, recipe(), toml=b""):
        run.update_environment({"started": "2026-01-01T00:00:00+00:00"})
    assert main(["runs", "list", "--runs", str(tmp_path)]) == 0
    line = capsys.readouterr().out
    assert line.split() == [
        str(run.path), "resumable", "after", "0", "levels", "2026-01-01T00:00:00+00:00"
    ]  # fmt: skip
    run.mark_complete({})
    assert main(["runs", "list", "--runs", str(tmp_path), "--json"]) == 0
    (entry,) = json.loads(capsys.readouterr().out)
    assert entry["complete"] is True
    assert entry["path"] == str(run.path)


def test_list_is_meant_where_no_command_is_named(tmp_path, capsys):
    with writing(RunDir(tmp_path / "tiny" / "default"), recipe(), toml=b""):
        assert main(["runs", "--runs", str(tmp_path)]) == 0
        assert "running, 0 levels done" in capsys.readouterr().out
    for options in (["--json", "--runs", str(tmp_path)], [f"--runs={tmp_path}", "--json"]):
        assert main(["runs", "list", *options]) == 0
        listed = capsys.readouterr().out
        assert main(["runs", *options]) == 0
        assert capsys.readouterr().out == listed
    assert [entry["running"] for entry in json.loads(listed)] == [False]


def test_the_folder_of_the_environment_is_listed_without_a_command_too(
    tmp_path, capsys, monkeypatch
):
    monkeypatch.setenv("TFTICKET_RUNS", str(tmp_path))
    assert main(["runs"]) == 0
    assert capsys.readouterr().err == f"No runs in {tmp_path}.\n"


def test_no_runs_is_no_error(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["runs"]) == 0
    streams = capsys.readouterr()
    assert (streams.out, streams.err) == ("", "No runs in runs.\n")


@pytest.fixture
def run(tmp_path):
    return synthetic_runs.write_lottery(
        tmp_path / "lth_synthetic" / "default", seeds=(0, 1), levels=2
    )


@pytest.mark.slow
def test_report_makes_the_page_and_prints_where_it_is(run, capsys):
    assert main(["report", str(run)]) == 0
    page = Path(capsys.readouterr().out.removesuffix("\n"))
    assert page.is_relative_to(run / "report")
    assert page.read_text().lstrip().lower().startswith("<!doctype html>")


def test_report_as_json_writes_nothing(run, capsys):
    assert main(["report", str(run), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["recipe"] == "lth_synthetic"
    assert not (run / "report").exists()


def test_what_is_no_run_is_told(tmp_path, capsys):
    assert main(["report", str(tmp_path)]) == 1
    assert "Error: A run directory holds" in capsys.readouterr().err
    assert main(["report", str(tmp_path / "nowhere")]) == 2


def exported(exported_run, name, size, report=None):
    path = exported_run.path / "export" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(bytes(size))
    if report is not None:
        write_json(path.with_suffix(".report.json"), report)
    return path


@pytest.fixture
def exported_run(tmp_path):
    """A run whose ticket of level 5 was exported in two formats, and the dense network beside."""
    exported_run = RunDir(tmp_path)
    for name, size in {
        "seed_0_level_00.fp32.tflite": 200_000,
        "seed_0_level_00.int8.tflite": 1_000,
        "seed_0_level_05.fp32.tflite": 200_100,
        "seed_0_level_05.int8.tflite": 62_500,
    }.items():
        exported(exported_run, name, size, {"verification": {"count": 3}})
    names = sorted(path.name for path in (tmp_path / "export").glob("*.tflite"))
    exported_run.mark_complete({"exported": names, "failed_exports": []})
    return exported_run


def lines(exported_run):
    return outcome_lines(exported_run, "Found it.", exported_run.report / "index.html")


def test_the_smallest_file_of_the_chosen_level_is_named(exported_run):
    path = exported_run.path / "export" / "seed_0_level_05.int8.tflite"
    facts = "62,500 bytes, 3.2 times smaller than dense fp32, verified in LiteRT"
    assert lines(exported_run) == [
        "Found it.",
        f"Page: {exported_run.report / 'index.html'}",
        f"File: {path} ({facts})",
    ]


def test_files_that_were_exported_for_another_reason_are_not(exported_run):
    exported(exported_run, "seed_0_level_09.int8.tflite", 10)
    assert "seed_0_level_05.int8.tflite" in lines(exported_run)[2]


def test_a_run_of_before_names_any_exported_ticket(exported_run):
    exported_run.mark_complete({"failed_exports": []})
    assert "seed_0_level_05.int8.tflite (62,500 bytes" in lines(exported_run)[2]


@pytest.mark.parametrize(
    ("size", "words"), [(200_100, "as large as"), (400_000, "2.0 times larger than")]
)
def test_a_file_that_is_not_smaller_says_so(exported_run, size, words):
    exported(exported_run, "seed_0_level_05.int8.tflite", size)
    (exported_run.path / "export" / "seed_0_level_05.fp32.tflite").unlink()
    exported_run.mark_complete({"exported": ["seed_0_level_05.int8.tflite"]})
    assert f"{words} dense fp32" in lines(exported_run)[2]


def test_what_was_not_verified_is_not_said_to_be(exported_run):
    (exported_run.path / "export" / "seed_0_level_05.int8.report.json").unlink()
    assert lines(exported_run)[2].endswith("3.2 times smaller than dense fp32)")


def test_why_there_is_no_file_is_said_where_it_is_known(exported_run):
    dense = ["seed_0_level_00.fp32.tflite"]
    why = "Answers of int8 must agree with Keras. Received: 0.1. Take fp32."
    exported_run.mark_complete({"exported": dense, "failed_exports": [why]})
    assert lines(exported_run)[2] == "No file: Answers of int8 must agree with Keras."


def test_a_run_without_files_says_nothing_of_them(tmp_path):
    exported_run = RunDir(tmp_path)
    exported_run.mark_complete({})
    assert len(lines(exported_run)) == 2


def test_the_dense_network_is_the_file_where_no_ticket_was_chosen(tmp_path):
    exported_run = RunDir(tmp_path)
    exported(exported_run, "seed_0_level_00.fp32.tflite", 7)
    exported_run.mark_complete({"exported": ["seed_0_level_00.fp32.tflite"]})
    assert lines(exported_run)[2].endswith("seed_0_level_00.fp32.tflite (7 bytes)")


def test_a_study_of_files_names_the_one_to_ship(tmp_path):
    exported_run = RunDir(tmp_path)
    path = exported(exported_run, "channel_01.int8.tflite", 27_264, {"verification": {}})
    rows = [
        {"name": "dense.fp32", "bytes": 205_680, "smaller": 1.0},
        {"name": "channel_01.int8", "bytes": 27_264, "smaller": 205_680 / 27_264},
    ]
    write_json(exported_run.edge, {"choice": {"name": "channel_01.int8"}, "rows": rows})
    exported_run.mark_complete({})
    assert lines(exported_run)[2] == (
        f"File: {path} (27,264 bytes, 7.5 times smaller than dense fp32, verified in LiteRT)"
    )
