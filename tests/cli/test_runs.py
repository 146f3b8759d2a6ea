import json

from tiny_recipe import recipe

from tfticket.cli import main
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
