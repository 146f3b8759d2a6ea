"""Runs by processes that joined them against runs by one."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import tiny_recipe

from tfticket.errors import RunError
from tfticket.runner import Joined, runner
from tfticket.runner.joined import claimed
from tfticket.runs import session
from tfticket.runs.rundir import RunDir
from tfticket.runs.session import is_written, joining, writing

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
    "export={levels=[1], formats=['fp32']}",
)
RECIPE = tiny_recipe.recipe(*CHANGES)
JOB = """#!/bin/bash
#SBATCH --array=0-7
#SBATCH --cpus-per-task=1
{python} -m tfticket recipe run {recipe} {changes} --runs {runs} --name many --join
"""


def content(run):
    networks = {p.relative_to(run.path): p.read_bytes() for p in run.path.glob("seeds/**/*.npz")}
    lines = run.metrics.read_text().splitlines()
    return networks, [line for line in lines if ",seconds," not in line]


def names(run):
    return {path.name for path in run.path.iterdir()}


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """The run by one process."""
    path = tmp_path_factory.mktemp("alone") / "run"
    with writing(RunDir(path), RECIPE, toml=b"") as run:
        runner.run(RECIPE, run)
    return run


def submit(script, folder):
    """Start the jobs of an array as SLURM does: the script once for each, told by variables."""
    first, last = map(int, re.search(r"--array=(\d+)-(\d+)", script.read_text()).groups())
    jobs = []
    for job in range(first, last + 1):
        variables = {"SLURM_ARRAY_TASK_ID": str(job), "SLURM_ARRAY_TASK_COUNT": str(last + 1)}
        with (folder / f"slurm-1_{job}.out").open("w") as output:
            jobs.append(
                subprocess.Popen(
                    ["bash", script],
                    cwd=ROOT,
                    stdout=output,
                    stderr=output,
                    env={**os.environ, **variables},
                    start_new_session=True,
                )
            )
    return jobs


def test_an_array_of_jobs_leaves_what_one_process_does_also_when_one_is_killed(tmp_path, alone):
    recipe, script = tmp_path / "tiny.toml", tmp_path / "job.sh"
    recipe.write_text(tiny_recipe.TOML)
    changes = " ".join(f'--set "{change}"' for change in CHANGES)
    script.write_text(
        JOB.format(python=sys.executable, recipe=recipe, changes=changes, runs=tmp_path / "runs")
    )
    there = RunDir(tmp_path / "runs" / "tiny" / "many")
    jobs = submit(script, tmp_path)
    try:
        deadline = time.monotonic() + 300
        while not there.finished_levels() and time.monotonic() < deadline:
            time.sleep(0.02)
        os.killpg(jobs[0].pid, signal.SIGKILL)  # whatever it is at
        ends = [job.wait(timeout=300) for job in jobs]
    finally:
        for job in jobs:
            if job.poll() is None:
                os.killpg(job.pid, signal.SIGKILL)
    said = [(tmp_path / f"slurm-1_{job}.out").read_text() for job in range(8)]
    assert ends[1:] == [0] * 7, said
    assert there.complete, said
    assert content(there) == content(alone)
    assert names(there) - {"report"} == names(alone)
    assert sum("Writing the page" in each for each in said) >= 1


def test_what_another_process_is_at_is_left_to_it(tmp_path, alone):
    path = RunDir(tmp_path / "run")
    with joining(path, RECIPE, toml=b"") as run:
        with claimed(RunDir(path.path, joined=True), "seed 0") as mine:
            assert mine
            runner.run(RECIPE, run, executor=Joined())
            assert {trial.seed for trial in run.finished_levels()} == {1}
            assert not run.complete
        runner.run(RECIPE, run, executor=Joined())
        assert run.complete
    assert content(run) == content(alone)
    assert names(run) == names(alone)
    assert run.environment_facts()["execution"] == {"executor": "joined", "threads": 1}


def test_a_run_is_joined_or_written_by_one(tmp_path, monkeypatch):
    monkeypatch.setattr(session, "_LOOKS", 2)
    path = RunDir(tmp_path / "run")
    with joining(path, RECIPE, toml=b""), joining(path, RECIPE, toml=b""):
        assert is_written(path)
        refused = pytest.raises(RunError, match="written by other processes")
        with refused, writing(path, RECIPE, toml=b""):
            pass
    assert not is_written(path)
    with writing(path, RECIPE, toml=b""):
        refused = pytest.raises(RunError, match="written by another process")
        with refused, joining(path, RECIPE, toml=b""):
            pass


def test_all_that_join_have_the_same_recipe(tmp_path):
    path = RunDir(tmp_path / "run")
    more, other = tiny_recipe.recipe(*CHANGES, "seeds=[0, 1, 2]"), tiny_recipe.recipe()
    with joining(path, RECIPE, toml=b""):
        refused = pytest.raises(RunError, match="fewer seeds or levels than this recipe")
        with refused, joining(path, more, toml=b""):
            pass
        refused = pytest.raises(RunError, match="begun with another recipe")
        with refused, joining(path, other, toml=b""):
            pass
    with joining(path, more, toml=b"") as run:  # nobody is at work: the run is extended
        assert run.recipe().seeds == (0, 1, 2)
