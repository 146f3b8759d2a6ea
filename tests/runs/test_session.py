import contextlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import tiny_norms
from tiny_recipe import TOML, recipe

from tfticket.errors import DataError, RunError
from tfticket.metrics import Row, read_metrics
from tfticket.recipe.parsing import resolve
from tfticket.runs.rundir import RunDir
from tfticket.runs.session import extends, writing

pytestmark = pytest.mark.slow

TESTS = Path(__file__).parents[1] / "support"


def opened(path, *changes, toml=b"", fresh=False):
    """Opens a run for writing and closes it again."""
    run = RunDir(path)
    with writing(run, recipe(*changes), toml=toml, fresh=fresh):
        return run


def finish(run, level, seed=0, branch="ticket"):
    run.append_rows([Row(seed, branch, level, 10, 0.1, "test", "accuracy_at_end", 0.5)])
    path = run.ticket(seed, branch, level)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"ticket")


def in_child(code, *arguments):
    """Starts Python on `code` with what it needs to open a run."""
    start = f"""
import os, signal, sys, time
sys.path.insert(0, {str(TESTS)!r})
import tiny_norms
from tiny_recipe import TOML, recipe
from tfticket.metrics import Row
from tfticket.runs.rundir import RunDir
from tfticket.runs.session import writing
run = RunDir(sys.argv[1])
"""
    return subprocess.Popen(
        [sys.executable, "-c", start + code, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_new_run_holds_its_recipe_as_given_and_resolved(tmp_path):
    toml = b"# a comment\r\n" + TOML.encode()
    run = opened(tmp_path / "tiny" / "default", toml=toml)
    assert run.recipe_toml.read_bytes() == toml
    assert run.resolved() == resolve(recipe())
    assert not run.complete


def test_opening_again_keeps_what_is_finished(tmp_path):
    run = opened(tmp_path)
    finish(run, 0)
    opened(tmp_path)
    assert run.finished_levels() == {(0, "ticket", 0)}
    assert len(read_metrics(run.metrics)) == 1


def test_leftovers_of_a_killed_writer_are_removed(tmp_path):
    run = opened(tmp_path)
    leftover = run.ticket(0, "ticket", 0).with_name("level_00.npz.123.partial")
    leftover.parent.mkdir(parents=True)
    leftover.write_bytes(b"half a tick")
    opened(tmp_path)
    assert not leftover.exists()


KILLED_BETWEEN_ROWS_AND_TICKET = """
with writing(run, recipe(), toml=TOML.encode()):
    for level in (0, 1):
        run.append_rows([Row(0, "ticket", level, 10, 0.1, "train", "loss", 0.5)])
        if level == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        run.ticket(0, "ticket", level).parent.mkdir(parents=True)
        run.ticket(0, "ticket", level).write_bytes(b"ticket")
"""


def test_a_run_that_was_killed_between_rows_and_ticket_goes_on_without_the_rows(tmp_path):
    process = in_child(KILLED_BETWEEN_ROWS_AND_TICKET, tmp_path)
    _, errors = process.communicate()
    assert process.returncode == -signal.SIGKILL, errors
    run = RunDir(tmp_path)
    assert {row.level for row in read_metrics(run.metrics)} == {0, 1}
    opened(tmp_path)  # the lock of a killed process is free
    assert {row.level for row in read_metrics(run.metrics)} == {0}


def test_a_run_that_was_killed_before_its_recipe_was_written_begins(tmp_path):
    (tmp_path / "LOCK").write_text("99999\n")
    (tmp_path / "recipe.json.99999.partial").write_text('{"na')
    run = opened(tmp_path)
    assert run.resolved() == resolve(recipe())
    assert not list(tmp_path.glob("*.partial"))


HOLD = """
with writing(run, recipe(), toml=TOML.encode()):
    print("open", flush=True)
    time.sleep(60)
"""


def test_a_second_process_is_told_who_writes_the_run(tmp_path):
    holder = in_child(HOLD, tmp_path)
    try:
        assert holder.stdout.readline() == "open\n", holder.stderr.read()
        for fresh in (False, True):
            with pytest.raises(RunError, match=rf"another process \(pid {holder.pid}\)"):
                opened(tmp_path, fresh=fresh)
        assert [path.name for path in tmp_path.parent.glob(f"{tmp_path.name}*")] == [tmp_path.name]
    finally:
        holder.kill()
        holder.communicate()
    assert opened(tmp_path).lock_file.read_text() == f"{os.getpid()}\n"


def test_another_recipe_is_refused_with_the_difference(tmp_path):
    run = opened(tmp_path)
    finish(run, 0)
    with pytest.raises(RunError) as caught:
        opened(tmp_path, "train.steps=400", "seeds=[0, 1, 2]", "title=Other")
    message = str(caught.value)
    assert "  train.steps: 300 -> 400\n" in message
    assert "seeds" not in message.replace("more seeds", "")
    assert "--fresh" in message
    assert "--name" in message
    assert run.resolved() == resolve(recipe())


@pytest.mark.parametrize("change", ["seeds=[0]", "seeds=[1, 2]", "lottery.levels=1"])
def test_fewer_seeds_or_levels_are_another_recipe(tmp_path, change):
    opened(tmp_path)
    with pytest.raises(RunError, match=change.split("=")[0]):
        opened(tmp_path, change)


@pytest.mark.parametrize(
    "changes", [["seeds=[0, 1, 2, 3]"], ["lottery.levels=5"], ["seeds=[9, 1, 0]", "title=More"]]
)
def test_more_seeds_or_levels_extend_a_complete_run(tmp_path, changes):
    run = opened(tmp_path)
    finish(run, 0)
    run.mark_complete({})
    opened(tmp_path, *changes)
    assert not run.complete
    assert run.finished_levels() == {(0, "ticket", 0)}
    assert run.resolved() == resolve(recipe(*changes))


def test_more_levels_of_a_schedule_that_depends_on_their_number_are_another_recipe(tmp_path):
    polynomial = ["lottery.schedule=polynomial", "lottery.final_sparsity=0.9"]
    opened(tmp_path, *polynomial)
    with pytest.raises(RunError, match=r"lottery\.levels: 2 -> 3"):
        opened(tmp_path, *polynomial, "lottery.levels=3")


def test_what_only_describes_is_taken_over_and_the_run_stays_complete(tmp_path):
    run = opened(tmp_path)
    run.mark_complete({})
    opened(tmp_path, "title=A better title", "deviations=['one']")
    assert run.complete
    assert run.resolved()["title"] == "A better title"


def test_fresh_moves_the_old_run_aside_and_loses_nothing(tmp_path):
    path = tmp_path / "default"
    run = opened(path)
    finish(run, 0)
    for _ in range(2):
        opened(path, "train.steps=400", fresh=True)
    assert run.finished_levels() == set()
    assert run.resolved()["train"]["steps"] == 400
    aside = sorted(tmp_path.glob("default.old-*"))
    assert len(aside) == 2
    assert any(RunDir(old).finished_levels() for old in aside)


@pytest.mark.parametrize("fresh", [False, True])
def test_a_directory_of_something_else_is_left_alone(tmp_path, fresh):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(RunError, match=r"It holds: thesis\.tex"):
        opened(tmp_path, fresh=fresh)
    assert (tmp_path / "thesis.tex").read_text() == "years of work"


def test_a_place_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match=r"can't be used: .*--runs"):
        opened(tmp_path / "file" / "run")


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("recipe.json", "{}"),
        ("recipe.json", "[]"),
        ("recipe.json", '{"kind": "lottery", "seeds": 3}'),
        ("recipe.json", '{"kind": "lottery", "seeds": [0], "lottery": []}'),
        ("recipe.json", "[" * 9000),
        ("metrics.csv", "seed\n\x00\n"),
    ],
)
def test_a_run_whose_files_were_changed_is_not_taken_up(tmp_path, file, content):
    with writing(RunDir(tmp_path), recipe(), toml=b"") as run:
        (run.path / "seeds").mkdir()
    (tmp_path / file).write_text(content)
    with pytest.raises(RunError), writing(RunDir(tmp_path), recipe(), toml=b""):
        pass
    assert (tmp_path / file).read_text() == content
    assert (tmp_path / "seeds").is_dir()


def test_an_error_inside_releases_the_lock(tmp_path):
    run = RunDir(tmp_path)
    with pytest.raises(KeyboardInterrupt), writing(run, recipe(), toml=b""):
        raise KeyboardInterrupt
    assert opened(tmp_path).recipe_json.is_file()


def test_more_seeds_extend_a_study_of_norms_and_other_arms_are_another_recipe(tmp_path):
    run = RunDir(tmp_path)
    for changes in ((), ("seeds=[0, 1]",)):
        with writing(run, tiny_norms.recipe(*changes), toml=b""):
            pass
    assert run.resolved()["seeds"] == [0, 1]
    with (
        pytest.raises(RunError, match="arms: "),
        writing(run, tiny_norms.recipe("seeds=[0, 1]", 'arms=[{norms=["none"]}]'), toml=b""),
    ):
        pass


def test_a_difference_is_told_in_short(tmp_path):
    run = opened(tmp_path)
    stored = json.loads(run.recipe_json.read_text())
    stored["train"]["optimizer"]["clipnorm"] = "x" * 5_000
    run.recipe_json.write_text(json.dumps(stored))
    with pytest.raises(RunError, match=r"train\.optimizer\.clipnorm: \"xxx") as caught:
        opened(tmp_path)
    assert len(str(caught.value)) < 1_000


def test_a_run_of_another_kind_is_refused(tmp_path):
    opened(tmp_path)
    with (
        pytest.raises(RunError, match='kind: "lottery" -> "norms"'),
        writing(RunDir(tmp_path), tiny_norms.recipe(), toml=b""),
    ):
        pass


def fail_in(path, *, leave=False, fresh=False, changes=()):
    """Opens a run, and can't go on, having finished a network or nothing."""
    run = RunDir(path)
    with contextlib.suppress(DataError):
        with writing(run, recipe(*changes), toml=TOML.encode(), fresh=fresh):
            run.update_environment({"started": "now"})
            if leave:
                finish(run, 0)
            raise DataError("no data")
        raise AssertionError("the error didn't come through")
    return run


def test_a_run_that_could_not_begin_leaves_no_folder(tmp_path):
    fail_in(tmp_path / "runs" / "tiny" / "default")
    assert list(tmp_path.iterdir()) == []


def test_only_the_folders_that_were_made_for_it_go(tmp_path):
    other = opened(tmp_path / "runs" / "tiny" / "other")
    (tmp_path / "empty").mkdir()
    fail_in(tmp_path / "runs" / "tiny" / "default")
    assert not (tmp_path / "runs" / "tiny" / "default").exists()
    fail_in(tmp_path / "empty")
    assert list((tmp_path / "empty").iterdir()) == []
    assert other.recipe_json.is_file()


def test_a_run_that_was_begun_before_or_has_finished_something_stays(tmp_path):
    before = opened(tmp_path / "before")
    fail_in(before.path)
    assert before.recipe_json.is_file()
    assert fail_in(tmp_path / "half", leave=True).finished_levels() == {(0, "ticket", 0)}


def test_what_was_moved_aside_for_nothing_gets_its_name_back(tmp_path):
    run = opened(tmp_path / "default")
    finish(run, 0)
    fail_in(run.path, fresh=True, changes=("train.steps=400",))
    assert run.finished_levels() == {(0, "ticket", 0)}
    assert run.resolved() == resolve(recipe())
    assert [path.name for path in tmp_path.iterdir()] == ["default"]


def test_whether_a_recipe_extends_a_run_can_be_asked(tmp_path):
    run = opened(tmp_path)
    run.mark_complete({})
    assert not extends(run, recipe())
    assert extends(run, recipe("seeds=[0, 1, 2]"))
    assert run.complete
    with pytest.raises(RunError, match="begun with another recipe"):
        extends(run, recipe("train.steps=400"))
