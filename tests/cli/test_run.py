import fcntl
import json
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import time
import tomllib
from pathlib import Path

import pytest
from tiny_recipe import TOML

from tfticket.cli import main
from tfticket.cli.recipe import _limit_threads
from tfticket.recipe.parsing import load, parse, resolve
from tfticket.runs.rundir import RunDir
from tfticket.runs.session import writing

pytestmark = pytest.mark.slow

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
    path.write_text(TOML + SMALL)
    return path


def start(*arguments, python=(), **environment):
    """The command in a process of its own, since a run changes TensorFlow for the whole process."""
    return subprocess.Popen(
        [sys.executable, *python, "-m", "tfticket", "recipe", "run", *map(str, arguments)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
    )


def on_terminal(columns, rows, *arguments):
    """What the command writes on a terminal of that size, stdout and stderr, and its status."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    command = [sys.executable, "-m", "tfticket", "recipe", "run", *map(str, arguments)]
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**os.environ, "TERM": "xterm"},
    )
    os.close(theirs)
    written = b""
    with os.fdopen(ours, "rb", buffering=0) as terminal:
        try:
            while chunk := terminal.read(65536):
                written += chunk
        except OSError:  # the process has ended
            pass
    return written.decode(), process.wait()


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
        f"Interrupted. Finished levels are kept in {run.path}.\nResume with:\n"
        f"  tfticket recipe run {file} --smoke --runs {runs} --set train.steps=20_000 "
        "--name smoke --jobs 1\n"
    )
    assert not run.complete
    assert run.environment_facts()["execution"] == {
        "executor": "processes",
        "jobs": 1,
        "threads": 1,
    }

    browser = tmp_path / "browser"
    browser.write_text(f"#!/bin/sh\necho $1 >{tmp_path / 'opened'}\n")
    browser.chmod(0o755)
    finishing = start(*arguments, "--fresh", "--open", BROWSER=f"{browser} %s")
    out, err = finishing.communicate(timeout=300)
    assert finishing.returncode == 0, err
    assert out == f"{run.path}\n"
    assert err.startswith("Tiny\nLoading TensorFlow\nLoading data: digits\nUCI optical digits")
    assert "Seed 0; 10 steps a level." in err
    headline = json.loads((run.report / "summary.json").read_text())["headline"]
    page, shipped = run.report / "index.html", run.exported(0, 1, ".fp32.tflite")
    size = f"{shipped.stat().st_size:,} bytes"
    facts = f"{size}, as large as dense fp32, verified in LiteRT"
    assert err.endswith(f"Writing the page\n{headline}\nPage: {page}\nFile: {shipped} ({facts})\n")
    assert (tmp_path / "opened").read_text() == f"{page.as_uri()}\n"
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
    assert streams.err.endswith(f"\nPage: {page}\nFile: {shipped} ({facts})\n")

    assert main(["recipe", "run", *map(str, arguments), "--dry-run"]) == 0
    streams = capsys.readouterr()
    assert streams.out.splitlines() == [
        "Tiny",
        f"{run.path} is complete: nothing is left to do; --fresh starts over.",
    ]
    assert streams.err == ""


def test_on_a_terminal_a_table_is_live_and_stays(file, tmp_path):
    arguments = [file, "--smoke", "--runs", tmp_path / "runs", "--set", "export.formats=[]"]
    written, status = on_terminal(80, 24, *arguments)
    assert status == 0, written
    shown = re.sub(r"\x1b\[[?\d;]*[A-Za-z]", "", written).replace("\r", "").splitlines()
    assert shown[:2] == ["Tiny", "Loading TensorFlow"]
    # Drawn again and again, and last when nothing else is below it.
    table = [number for number, line in enumerate(shown) if line.startswith("level  weights left")]
    assert len(table) > 1
    assert [line.split()[:4] for line in shown[table[-1] + 1 : table[-1] + 3]] == [
        ["0", "100.00", "%", "1/1"],
        ["1", "80.00", "%", "1/1"],
    ]
    assert any("seed 0  ticket, level 0  step 0/10" in line for line in shown)
    (run,) = (tmp_path / "runs" / "tiny").iterdir()
    assert str(run) not in shown  # the path of the page has it
    assert f"Page: {run / 'report' / 'index.html'}" in " ".join(shown[table[-1] :])


def test_the_title_is_there_before_anything_is_loaded_and_a_run_without_data_leaves_nothing(
    file, tmp_path
):
    missing = f"data.name=npz:{tmp_path / 'missing.npz'}"
    arguments = [file, "--runs", tmp_path / "runs", "--set", missing]
    process = start(*arguments, python=("-X", "importtime"))
    out, err = process.communicate(timeout=300)
    assert (process.returncode, out) == (1, "")
    lines = err.splitlines()
    imported = [line.rpartition("|")[2].strip() for line in lines[: lines.index("Tiny")]]
    assert "tfticket.cli" in imported
    assert {"pydantic", "numpy", "rich", "tensorflow"}.isdisjoint(imported)
    told = [line for line in lines if not line.startswith("import time:")]
    *_, loading, error = told
    assert loading.startswith("Loading data: npz:")
    assert error.startswith("Error: ")
    assert not (tmp_path / "runs").exists()


def test_a_dry_run_tells_the_plan_and_leaves_nothing(file, tmp_path, capfd, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["recipe", "run", str(file), "--smoke", "--dry-run"]) == 0
    shown = capfd.readouterr().out
    assert "Seed 0; 10 steps a level." in shown
    assert "50,200" in shown
    assert shown.splitlines()[0] == "Tiny"
    assert shown.endswith("Nothing is done yet in runs/tiny/smoke.\n")
    assert not (tmp_path / "runs").exists()


def test_a_dry_run_tells_what_is_done_already(file, tmp_path, capfd):
    run = RunDir(tmp_path / "tiny" / "smoke")
    arguments = ["recipe", "run", str(file), "--smoke", "--dry-run", "--runs", str(tmp_path)]
    with writing(run, load(file, smoke=True), toml=file.read_bytes()):
        ticket = run.ticket(0, "ticket", 0)
        ticket.parent.mkdir(parents=True)
        ticket.write_bytes(b"ticket")
        before = sorted(run.path.rglob("*"))
        assert main(arguments) == 0
        assert sorted(run.path.rglob("*")) == before
    title, running, *_, left, done = capfd.readouterr().out.splitlines()
    assert (title, running) == ("Tiny", f"{run.path} is running.")
    assert left.startswith("10 of 20 steps left, about ")
    assert done == f"Done in {run.path}: 1 of 2 networks, 10 of 20 steps."

    assert main([*arguments, "--fresh"]) == 0
    title, aside, *_, done = capfd.readouterr().out.splitlines()
    assert aside == f"{run.path} will be moved aside."
    assert done == f"Nothing is done yet in {run.path}."

    assert main([*arguments, "--set", "train.learning_rate=0.2", "--name", "smoke"]) == 1
    assert "was begun with another recipe" in capfd.readouterr().err


def test_another_recipe_in_the_same_place_is_refused_before_tensorflow_starts(file, tmp_path):
    run = RunDir(tmp_path / "runs" / "tiny" / "default")
    run.path.mkdir(parents=True)
    run.recipe_json.write_text(json.dumps({**_resolved(file), "seeds": [7]}))
    refused = start(file, "--runs", tmp_path / "runs")
    out, err = refused.communicate(timeout=60)
    assert (refused.returncode, out) == (1, "")
    assert err.startswith(f"Tiny\nError: {run.path} was begun with another recipe")
    assert "seeds: [7] -> [0, 1]" in err


def _resolved(file):
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


@pytest.mark.parametrize(("name", "jit", "threads"), [
    ("lenet_300_100", "true", "1"), ("lenet_300_100", "false", None), ("conv2", "true", None),
])  # fmt: skip
def test_small_networks_that_xla_compiles_run_on_one_thread(monkeypatch, name, jit, threads):
    monkeypatch.delenv("TF_NUM_INTRAOP_THREADS")
    toml = TOML.replace("jit = false", f"jit = {jit}")
    _limit_threads(parse(tomllib.loads(toml.replace("lenet_300_100", name))))
    assert os.environ.get("TF_NUM_INTRAOP_THREADS") == threads
