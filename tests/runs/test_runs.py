import signal
import subprocess
import sys
from pathlib import Path

import tiny_norms
from tiny_recipe import TOML, recipe

from tfticket.metrics import Row
from tfticket.runs.rundir import RunDir
from tfticket.runs.runs import FinishedNetwork, finished_networks, list_runs
from tfticket.runs.session import writing


def test_runs_are_listed_with_their_state(tmp_path):
    for name in ("default", "smoke"):
        with writing(RunDir(tmp_path / "tiny" / name), recipe(), toml=TOML.encode()) as run:
            path = run.ticket(0, "ticket", 0)
            path.parent.mkdir(parents=True)
            path.write_bytes(b"ticket")
    run.mark_complete({})
    (tmp_path / "other" / "folder").mkdir(parents=True)
    entries = list_runs(tmp_path)
    assert [(entry.recipe, entry.name, entry.state) for entry in entries] == [
        ("tiny", "default", "resumable after 1 level"),
        ("tiny", "smoke", "complete"),
    ]


def test_no_folder_has_no_runs(tmp_path):
    assert list_runs(tmp_path / "nowhere") == []


def test_a_run_of_the_kind_norms_counts_networks(tmp_path):
    with writing(RunDir(tmp_path / "tiny" / "default"), tiny_norms.recipe(), toml=b"") as run:
        path = run.ticket(0, "batch", 0)
        path.parent.mkdir(parents=True)
        path.write_bytes(b"cell")
    (entry,) = list_runs(tmp_path)
    assert entry.state == "resumable after 1 network"


HOLD = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parents[1] / "support")!r})
from tiny_recipe import recipe
from tfticket.runs.rundir import RunDir
from tfticket.runs.session import writing
with writing(RunDir(sys.argv[1]), recipe(), toml=b"") as run:
    path = run.ticket(0, "ticket", 0)
    path.parent.mkdir(parents=True)
    path.write_bytes(b"ticket")
    print("open", flush=True)
    sys.stdin.read()
"""


def test_a_run_is_running_while_the_process_that_writes_it_lives(tmp_path):
    path = tmp_path / "tiny" / "default"
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        assert holder.stdout.readline() == b"open\n"
        files = sorted(tmp_path.rglob("*"))
        (entry,) = list_runs(tmp_path)
        assert entry.running
        assert entry.state == "running, 1 level done"
        assert sorted(tmp_path.rglob("*")) == files
    finally:
        holder.send_signal(signal.SIGKILL)
        holder.communicate()
    (entry,) = list_runs(tmp_path)
    assert not entry.running
    assert entry.state == "resumable after 1 level"
    assert sorted(tmp_path.rglob("*")) == files


def test_looking_at_a_run_without_a_lock_makes_none(tmp_path):
    with writing(RunDir(tmp_path / "tiny" / "default"), recipe(), toml=b"") as run:
        pass
    run.lock_file.unlink()
    (entry,) = list_runs(tmp_path)
    assert not entry.running
    assert not run.lock_file.exists()


def finish(run, branch, level):
    rows = [
        Row(0, branch, level, 10, 0.1, split, name, value)
        for split, name, value in (
            ("train", "loss", 0.5),
            ("test", "accuracy_at_end", 0.9),
            ("summary", "seconds", 2.0),
        )
    ]
    path = run.ticket(0, branch, level)
    path.parent.mkdir(parents=True, exist_ok=True)
    run.append_rows(rows)
    path.write_bytes(b"ticket")


def test_finished_networks_come_with_their_test_results(tmp_path):
    run = RunDir(tmp_path)
    assert finished_networks(run) == []
    finish(run, "ticket", 0)
    finish(run, "reinit", 1)
    run.append_rows([Row(0, "ticket", 1, 10, 0.1, "test", "accuracy_at_end", 0.1)])  # not finished
    summary = {"accuracy_at_end": 0.9, "seconds": 2.0}
    assert finished_networks(run) == [
        FinishedNetwork("", 0, "reinit", 1, summary),
        FinishedNetwork("", 0, "ticket", 0, summary),
    ]
    with run.metrics.open("a") as table:
        table.write("0,ticket,1,1")  # somebody is at it
    assert [network.summary for network in finished_networks(run)] == [{}, {}]


def test_a_dense_network_that_searches_share_is_finished_once(tmp_path):
    run = RunDir(tmp_path)
    for structure in ("channel", "n_of_m"):
        for level in (0, 1):
            search = run.search(structure)
            search.path.mkdir(parents=True, exist_ok=True)
            finish(search, "ticket", level)
    found = [(network.structure, network.level) for network in finished_networks(run)]
    assert found == [("channel", 0), ("channel", 1), ("n_of_m", 1)]
