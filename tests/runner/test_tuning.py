"""Settings searched with Optuna: what is asked, what is trained, and what a kill costs."""

import importlib.util
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import tiny_recipe

from tfticket.errors import RecipeError, RunError
from tfticket.lottery.metric import Metric
from tfticket.recipe.overrides import parse_override
from tfticket.recipe.ranges import Range
from tfticket.runner.tuning import Search, Tuner
from tfticket.runs.progress import Silence
from tfticket.runs.rundir import RunDir

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent.parent
CHANGES = (
    "data.limit=100",
    "data.validation=100",
    "data.batch_size=32",
    "model={name='lenet_300_100', width=0.1}",
    "train.steps=20",
    "train.evaluate_every=10",
    "train.jit=false",
    "lottery.levels=1",
    "seeds=[0]",
)
RATE = "train.learning_rate=log:1e-3:1"


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "tiny.toml"
    path.write_text(tiny_recipe.TOML)
    return path


def search(file, *ranges, **options):
    return Search(
        file,
        tuple(map(Range.parse, ranges or [RATE])),
        tuple(map(parse_override, CHANGES)),
        **{"network": "ticket:0", **options},
    )


def tuner(file, name, *ranges, **options):
    folder = file.parent / name
    return Tuner(search(file, *ranges, **options), folder / "tune.journal", folder)


class Stops(Silence):
    """Raises what Ctrl-C does, when a training has been evaluated."""

    def update(self, step, measured):
        raise KeyboardInterrupt


def test_a_search_that_was_stopped_finds_again_where_it_was(file):
    whole = list(tuner(file, "whole").run(3))
    assert [found.number for found in whole] == [0, 1, 2]
    assert len({found.score for found in whole}) > 1
    first = next(tuner(file, "stopped").run(3))
    with pytest.raises(KeyboardInterrupt):
        list(tuner(file, "stopped").run(3, Stops()))
    again = tuner(file, "stopped")
    rest = list(again.run(3))
    got = [(found.values, found.score, found.run) for found in (first, *rest)]
    assert got == [(found.values, found.score, found.run) for found in whole]
    best = max(whole, key=lambda found: found.score)
    assert (again.best().values, again.best().score) == (best.values, best.score)
    assert list(tuner(file, "stopped").run(3)) == []  # nothing is left to do


def test_what_is_measured_is_in_the_run_of_the_trial(file):
    tuned = tuner(file, "loss", metric=Metric.of("loss"), network=None)
    (found,) = tuned.run(1)
    run = RunDir(file.parent / "loss" / found.run)
    rows = [line.split(",") for line in run.metrics.read_text().splitlines()]
    last = [
        row for row in rows if row[1:3] == ["ticket", "1"] and row[5:7] == ["validation", "loss"]
    ]
    assert float(last[-1][7]) == found.score
    assert run.recipe().train.learning_rate == found.values["train.learning_rate"]
    assert not run.complete


def test_a_training_that_diverges_is_told_as_bad(file):
    tuned = tuner(file, "nan", "train.learning_rate=linear:1e30:2e30", metric=Metric.of("loss"))
    (found,) = tuned.run(1)
    assert (
        found.score is None
    )  # nor does the ticket behind it, which can't be pruned, end the search
    (found,) = tuner(file, "last", "train.learning_rate=linear:1e30:2e30", network=None).run(1)
    assert found.score is None
    with pytest.raises(RunError, match=r"No trial of .* finite loss"):
        tuned.best()


def test_a_journal_belongs_to_one_search(file):
    list(tuner(file, "one").run(1))
    tuner(file, "one")
    with pytest.raises(RunError, match=r"(?s)another search.*parameters.*Undo the change"):
        tuner(file, "one", "train.learning_rate=log:1e-2:1")
    (file.parent / "two").mkdir()
    (file.parent / "two" / "tune.journal").write_text("not a journal\n")
    with pytest.raises(RunError, match="can't be used as a journal"):
        tuner(file, "two")


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("train.learning_rat=log:1e-3:1", "learning_rat"),
        ("train.learning_rate=log:0:1", "above 0"),
        ("train.learning_rate=log:1:1e-3", "the lower first"),
        ("train.learning_rate=1e-3:1", "must look like"),
        ("train.steps=int:1.5:2", "must look like"),
        ("train.learning_rate=choice:", "must look like"),
        ("train.steps=int:-5:5", "steps"),
    ],
)
def test_parameters_that_a_recipe_can_not_have(file, text, error):
    with pytest.raises(RecipeError, match=error):
        search(file, text).check()


def test_ranges_of_all_kinds(file):
    asked = search(
        file, "train.learning_rate=linear:0.1:1", "train.optimizer.nesterov=choice:true,false"
    )
    assert asked.check().train.learning_rate == 0.1
    with pytest.raises(RecipeError, match="given once"):
        search(file, RATE, RATE).check()


def test_networks_and_measures_that_are_not_there(file):
    with pytest.raises(RunError, match=r"one of the recipe's.*ticket:0, ticket:1"):
        list(tuner(file, "network", network="dense").run(1))
    tuner(file, "network")  # nothing was kept of that
    with pytest.raises(RunError, match=r"on validation data: accuracy, loss.*mse"):
        list(tuner(file, "measure", metric=Metric.of("mse")).run(1))


def test_without_optuna_it_says_how_to_get_it(file, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(RunError, match=r"pip install 'tfticket\[tune\]'"):
        tuner(file, "none")


def test_processes_share_the_trials_and_take_over_those_of_a_killed_one(file, tmp_path):
    changes = [part for change in CHANGES for part in ("--set", change)]
    command = [sys.executable, "-m", "tfticket", "tune", str(file), "--param", RATE, *changes]
    command += ["--trials", "4", "--runs", str(tmp_path / "runs"), "--network", "ticket:0"]

    def start():
        pipe = subprocess.PIPE
        return subprocess.Popen(
            command, cwd=ROOT, stdout=pipe, stderr=pipe, text=True, start_new_session=True
        )

    folder = tmp_path / "runs" / "tiny"
    first = start()
    deadline = time.monotonic() + 200
    while not (folder / "tune-000" / "LOCK").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    os.killpg(first.pid, signal.SIGKILL)
    first.communicate()
    both = [start(), start()]
    said = [process.communicate(timeout=300) for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    ended = [line for _, errors in said for line in errors.splitlines() if "trial" in line]
    assert len(ended) == 4
    assert sum("(tune-000)" in line for line in ended) == 1
    assert len(list(folder.glob("tune-*"))) == 4
    best = [output.splitlines()[0] for output, _ in said]
    assert any(line.startswith("Best: trial") for line in best)
    assert "tfticket recipe run" in said[0][0]
