import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tiny_recipe import TOML

from tfticket.cli import main
from tfticket.recipe.rundir import RunDir

ROOT = Path(__file__).parent.parent.parent
SMALL = """
[smoke]
seeds = [0]
train.steps = 10
train.evaluate_every = 5
lottery.levels = 1
export.levels = [1]
export.formats = ["fp32"]
"""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "tiny.toml"
    path.write_text(TOML.replace("steps = 300", "steps = 300\njit = false") + SMALL)
    return path


def start(*arguments):
    """The command in a process of its own, since a run changes TensorFlow for the whole process."""
    return subprocess.Popen(
        [sys.executable, "-m", "tfticket", "recipe", "run", *map(str, arguments)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for(path, process, seconds=120):
    deadline = time.monotonic() + seconds
    while not path.exists():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline, f"{path} did not appear"
        time.sleep(0.05)


def test_a_run_that_is_interrupted_says_how_to_go_on_and_does(file, tmp_path, capsys):
    runs = tmp_path / "runs"
    run = RunDir(runs / "tiny" / "smoke")
    arguments = [file, "--smoke", "--runs", runs]

    # So many steps that it is interrupted long before the end.
    long = ["--set", "train.steps=20_000", "--name", "smoke", "--jobs", "1"]
    interrupted = start(*arguments, *long, "--fresh")
    wait_for(run.initial(0), interrupted)
    interrupted.send_signal(signal.SIGINT)
    out, err = interrupted.communicate(timeout=120)
    assert interrupted.returncode == 130, err
    assert out == ""
    assert "Traceback" not in err
    assert err.endswith(
        f"Interrupted. Finished levels are kept in {run.path}. Go on with:\n  tfticket recipe run "
        f"{file} --smoke --runs {runs} --set train.steps=20_000 --name smoke --jobs 1\n"
    )
    assert not run.complete
    assert run.environment_facts()["execution"] == {
        "executor": "processes",
        "jobs": 1,
        "threads": 1,
    }

    finishing = start(*arguments, "--fresh")
    out, err = finishing.communicate(timeout=300)
    assert finishing.returncode == 0, err
    assert out == f"{run.path}\n"
    assert "Seed 0; 10 steps a level." in err
    headline = json.loads((run.report / "summary.json").read_text())["headline"]
    assert err.endswith(f"Report: {run.report / 'index.html'}\n{headline}\n")
    assert run.complete
    assert run.finished_levels() == {(0, "ticket", 0), (0, "ticket", 1)}
    assert run.environment_facts()["execution"]["executor"] == "serial"
    assert run.environment_facts()["execution"]["threads"] >= 1
    assert run.environment_facts()["command"][:4] == ["tfticket", "recipe", "run", str(file)]
    assert len(list(runs.glob("tiny/smoke.old-*"))) == 1

    assert main(["recipe", "run", *map(str, arguments)]) == 0
    streams = capsys.readouterr()
    assert streams.out == f"{run.path}\n"
    assert "The run is complete" in streams.err


def test_a_dry_run_tells_the_plan_and_leaves_nothing(file, tmp_path, capfd, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["recipe", "run", str(file), "--smoke", "--dry-run"]) == 0
    shown = capfd.readouterr().out
    assert "Seed 0; 10 steps a level." in shown
    assert "50,200" in shown
    assert not (tmp_path / "runs").exists()


def test_another_recipe_in_the_same_place_is_refused_before_tensorflow_starts(file, tmp_path):
    run = RunDir(tmp_path / "runs" / "tiny" / "default")
    run.path.mkdir(parents=True)
    run.recipe_json.write_text(json.dumps({**_resolved(file), "seeds": [7]}))
    refused = start(file, "--runs", tmp_path / "runs")
    out, err = refused.communicate(timeout=60)
    assert (refused.returncode, out) == (1, "")
    assert err.startswith(f"Error: {run.path} was begun with another recipe")
    assert "seeds: [7] -> [0, 1]" in err


def _resolved(file):
    from tfticket.recipe.parsing import load, resolve

    return resolve(load(file))


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["--seed", "1", "--seeds", "1,2"], 2, "Give --seed or --seeds, not both."),
        (["--seeds", "1-"], 2, "is not like 0,2,5-7."),
        (["--seeds", "5-2"], 2, "is not like 0,2,5-7."),
        (["--seed", "-1"], 2, "--seed"),
        (["--jobs", "0"], 2, "--jobs"),
        (["--executor", "dask"], 2, "'dask' is not one of 'processes', 'ray', 'serial'"),
        (["--executor", "serial", "--jobs", "2"], 2, "leave --jobs out"),
        (["--name", "../elsewhere"], 2, "names a folder"),
        (["--set", "train.steps"], 1, "must look like `train.steps=2_000`"),
        (["--set", "train.stpes=3"], 1, "Did you mean `steps`?"),
    ],
)
def test_wrong_arguments(file, tmp_path, capsys, arguments, status, message):
    runs = tmp_path / "runs"
    assert main(["recipe", "run", str(file), "--runs", str(runs), *arguments]) == status
    assert message in capsys.readouterr().err
    assert not runs.exists()


@pytest.mark.parametrize(
    "seeds", ["0-9999999999", "0-1000", "0-999,2000", "9" * 5000, "0-" + "9" * 5000, "1-0", "a"]
)
def test_seeds_that_nobody_could_train_are_wrong_usage(seeds, capsys):
    assert main(["recipe", "run", "lth_digits", "--seeds", seeds]) == 2
    told = capsys.readouterr().err
    assert "Invalid value for '--seeds'" in told
    assert len(told) < 400


@pytest.mark.parametrize(
    ("seed", "told"), [(2**63, "seeds[0]: must be below"), (10**30, "64 bits")]
)
def test_a_seed_of_any_length_is_told_of(capsys, seed, told):
    assert main(["recipe", "run", "lth_digits", "--seed", str(seed), "--dry-run"]) == 1
    assert told in capsys.readouterr().err
