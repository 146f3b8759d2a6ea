import json
import resource
import subprocess
import sys

import pytest
from tiny_recipe import recipe

from tfticket.errors import RunError
from tfticket.metrics import Row, read_metrics, to_csv
from tfticket.recipe.parsing import resolve
from tfticket.runs.rundir import RunDir


def row(level=0, value=0.5, seed=0, branch="ticket", step=100):
    return Row(seed, branch, level, step, 1.5, "train", "loss", value)


def finish(run, seed, branch, level):
    path = run.ticket(seed, branch, level)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"ticket")


def test_every_path_is_where_the_layout_says(tmp_path):
    run = RunDir(tmp_path)
    paths = [
        run.recipe_toml,
        run.recipe_json,
        run.environment,
        run.metrics,
        run.connectivity,
        run.report,
        run.complete_file,
        run.lock_file,
        run.initial(0),
        run.rewind(0),
        run.ticket(0, "ticket", 0),
        run.final(12, "reinit", 3),
        run.model(0, 10),
        run.exported(0, 10),
        run.exported(0, 10, ".json"),
    ]
    assert [path.relative_to(tmp_path).as_posix() for path in paths] == [
        "recipe.toml",
        "recipe.json",
        "environment.json",
        "metrics.csv",
        "connectivity.json",
        "report",
        "COMPLETE",
        "LOCK",
        "seeds/seed_0/initial.npz",
        "seeds/seed_0/rewind.npz",
        "seeds/seed_0/ticket/level_00.npz",
        "seeds/seed_12/reinit/level_03.final.npz",
        "models/seed_0_level_10.keras",
        "export/seed_0_level_10.tflite",
        "export/seed_0_level_10.json",
    ]
    assert list(tmp_path.iterdir()) == []


def test_a_level_is_finished_when_its_ticket_is_there(tmp_path):
    run = RunDir(tmp_path)
    finish(run, 0, "ticket", 0)
    finish(run, 3, "reinit_2", 112)
    run.final(0, "ticket", 1).write_bytes(b"state of a level that isn't finished")
    run.rewind(0).write_bytes(b"snapshot")
    (tmp_path / "seeds/seed_0/ticket/level_02.npz.77.partial").write_bytes(b"")
    assert run.finished_levels() == {(0, "ticket", 0), (3, "reinit_2", 112)}
    assert run.finished(3, "reinit_2", 112)
    assert not run.finished(0, "ticket", 1)


def test_rows_are_appended_below_one_header(tmp_path):
    run = RunDir(tmp_path)
    rows = [row(0, 0.1), row(1, 1 / 3), row(2, 1e-17)]
    run.append_rows(rows[:2])
    run.append_rows(rows[2:])
    assert read_metrics(run.metrics) == rows


def test_rows_of_unfinished_levels_are_dropped(tmp_path):
    run = RunDir(tmp_path)
    kept = [row(0), row(1), row(1, seed=1, branch="reinit")]
    for place in kept:
        finish(run, place.seed, place.branch, place.level)
    run.append_rows([kept[0], row(2), kept[1], row(1, seed=2), kept[2], row(1, branch="shuffle")])
    run.drop_unfinished_rows()
    assert read_metrics(run.metrics) == kept
    before = run.metrics.stat()
    run.drop_unfinished_rows()
    assert run.metrics.stat().st_ino == before.st_ino  # nothing to drop: not written again


@pytest.mark.parametrize("length", range(1, 40, 3))
def test_a_line_that_was_cut_off_is_dropped(tmp_path, length):
    run = RunDir(tmp_path)
    finish(run, 0, "ticket", 0)
    run.append_rows([row(0)])
    whole = run.metrics.read_text()
    run.metrics.write_text(whole + to_csv([row(1)], header=False)[:length])
    run.drop_unfinished_rows()
    assert run.metrics.read_text() == whole


def test_a_table_that_was_cut_off_in_its_header_begins_anew(tmp_path):
    run = RunDir(tmp_path)
    run.metrics.write_text("seed,bra")
    run.drop_unfinished_rows()
    run.append_rows([row(0)])
    assert read_metrics(run.metrics) == [row(0)]


def test_a_line_that_was_changed_by_hand_is_refused(tmp_path):
    run = RunDir(tmp_path)
    run.append_rows([row(0)])
    run.metrics.write_text(run.metrics.read_text() + "what is this\n")
    with pytest.raises(RunError, match="'what is this'"):
        run.drop_unfinished_rows()


FILL_DISK = """
import resource, signal, sys
from tfticket.metrics import Row
from tfticket.runs.rundir import RunDir
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
rows = [Row(0, "ticket", 1, step, 1.0, "train", "loss", 0.5) for step in range(1000)]
RunDir(sys.argv[1]).append_rows(rows)
"""


def test_a_full_disk_leaves_the_table_as_it_was(tmp_path):
    run = RunDir(tmp_path)
    run.append_rows([row(0)])
    before = run.metrics.read_bytes()
    done = subprocess.run(
        [sys.executable, "-c", FILL_DISK, str(tmp_path), "5000"], capture_output=True, text=True
    )
    assert "RunError: The measurements of a level could not be added to" in done.stderr
    assert "MiB are free there" in done.stderr
    assert run.metrics.read_bytes() == before
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY  # only there


def test_the_environment_collects_facts(tmp_path):
    run = RunDir(tmp_path)
    assert run.environment_facts() == {}
    run.update_environment({"started": "now", "data": {"test": 10}})
    run.update_environment({"devices": ["CPU"]})
    assert run.environment_facts() == {
        "started": "now",
        "data": {"test": 10},
        "devices": ["CPU"],
    }


def test_a_run_is_complete_when_its_last_file_is_there(tmp_path):
    run = RunDir(tmp_path)
    assert not run.complete
    run.mark_complete({"networks": 3})
    assert run.complete
    assert json.loads(run.complete_file.read_text()) == {"networks": 3}


def test_the_recipe_of_a_run_is_read_back(tmp_path):
    run = RunDir(tmp_path)
    run.recipe_json.write_text(json.dumps(resolve(recipe())))
    assert run.recipe() == recipe()


def test_what_is_no_run_says_so(tmp_path):
    with pytest.raises(RunError, match=r"must be a directory with a recipe\.json"):
        RunDir(tmp_path).resolved()


@pytest.mark.parametrize("name", ["recipe.json", "environment.json"])
def test_a_damaged_file_is_named(tmp_path, name):
    (tmp_path / name).write_text('{"a": ')
    run = RunDir(tmp_path)
    with pytest.raises(RunError, match=f"{name}` is damaged"):
        run.resolved() if name == "recipe.json" else run.environment_facts()


def test_a_look_is_noted_when_there_are_other_seeds_to_look_at(tmp_path):
    run = RunDir(tmp_path)
    run.note_look([0])  # one seed gives no verdict
    assert run.environment_facts().get("looks") is None
    for seeds in ([0, 1], [1, 0], [0, 1, 2], [0, 1, 2]):
        run.note_look(seeds)
    assert run.environment_facts()["looks"] == [[0, 1], [0, 1, 2]]
