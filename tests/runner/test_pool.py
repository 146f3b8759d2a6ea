"""Runs by processes beside one another against runs by one."""

import math
import os
import signal

import pytest
import tiny_noisy
import tiny_norms
import tiny_recipe
import traps

from tfticket.errors import RunError
from tfticket.runner import Processes, pool, runner, suited
from tfticket.runner.executor import Serial
from tfticket.runner.pool import ProcessWorker
from tfticket.runs.progress import Silence
from tfticket.runs.rundir import RunDir
from tfticket.runs.session import writing

pytestmark = pytest.mark.slow

LOTTERY = tiny_recipe.recipe(
    "data.limit=200",
    "data.validation=200",
    "data.batch_size=32",
    "model={name='lenet_300_100', width=0.1, dropout=0.1}",
    "train.steps=20",
    "train.evaluate_every=10",
    "train.jit=auto",
    "lottery.levels=1",
    "lottery.rewind_step=10",
    "lottery.optimizer_state=restore",
    "controls.reinit=true",
    "export={levels=[1], formats=['fp32']}",
    "seeds=[0, 1]",
)
CONVOLUTIONS = tiny_norms.recipe("landscape={every=2, multipliers={points=2}}")
NOISY = tiny_noisy.recipe(
    'methods=["cross_entropy", "coteaching"]', "selection={epochs=20, iterations=1}"
)
ALL = {"lottery": LOTTERY, "norms": CONVOLUTIONS, "noisy": NOISY}
SECONDS = {"seconds", "landscape_seconds"}


class Told(Silence):
    """Remembers what it was told, by task."""

    def __init__(self, name=""):
        self.name = name
        self.plans, self.messages, self.begun, self.ended, self.parts = [], [], [], [], []

    def plan(self, plan):
        self.plans.append(plan)

    def begin(self, trial, steps, density):
        self.begun.append(trial)

    def end(self, trial, summary):
        self.ended.append(trial)

    def message(self, text):
        self.messages.append(text)

    def part(self, name):
        self.parts.append(Told(name))
        return self.parts[-1]


def run_in(path, recipe, executor=None, progress=None):
    told = progress or Told()
    with writing(RunDir(path), recipe, toml=b"") as run:
        runner.run(recipe, run, progress=told, executor=executor)
    return run, told


def content(run):
    """The files of all networks, byte by byte."""
    return {
        path.relative_to(run.path).as_posix(): path.read_bytes()
        for path in sorted(run.path.glob("seeds/**/*.npz"))
    }


def table(run):
    """The lines of the table without the times."""
    lines = run.metrics.read_text().splitlines()
    return [line for line in lines if line.split(",")[-2] not in SECONDS]


@pytest.fixture(scope="module")
def serial(tmp_path_factory):
    """Runs a recipe in this process, once."""
    made = {}

    def get(name):
        if name not in made:
            made[name] = run_in(tmp_path_factory.mktemp("serial") / name, ALL[name])[0]
        return made[name]

    return get


@pytest.fixture
def workers(monkeypatch):
    """The workers that were given a task, by its name: the last one it was given to."""
    given = {}
    run = ProcessWorker.run

    def watched(self, task, hook):
        given[task.name] = self
        run(self, task, hook)

    monkeypatch.setattr(ProcessWorker, "run", watched)
    return given


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


class Kills(Told):
    """The process of the first network, when it was evaluated."""

    def __init__(self, workers):
        super().__init__()
        self.workers = workers
        self.killed = False

    def part(self, name):
        told = super().part(name)
        if name == "seed 0, none":
            told.update = lambda step, measured: self.kill(name)
        return told

    def kill(self, name):
        if not self.killed:
            self.killed = True
            pid = self.workers[name].process.pid
            assert os.sched_getaffinity(pid) == os.sched_getaffinity(0)  # tied to no core
            os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize("name", ["norms", "noisy"])
def test_two_processes_leave_what_one_does(name, serial, workers, tmp_path, monkeypatch):
    snapped = traps.lay(tmp_path / "traps")
    monkeypatch.chdir(tmp_path / "traps")
    # Convolutions, one of which is begun again.
    progress = Kills(workers) if name == "norms" else Told()
    run, told = run_in(tmp_path / "run", ALL[name], Processes(2), progress)
    if name == "norms":
        assert "The process of seed 0, none ended by SIGKILL" in told.messages[-1]
    assert not snapped.exists()
    leaves_what_one_process_does(run, serial(name))
    networks = {place for part in told.parts for place in part.ended}
    assert networks == run.finished_levels()


def leaves_what_one_process_does(run, expected):
    assert content(run) == content(expected)
    assert table(run) == table(expected)
    assert run.complete
    assert run.complete_file.read_text() == expected.complete_file.read_text()
    assert {path.name for path in run.path.iterdir()} == {
        path.name for path in expected.path.iterdir()
    }
    assert run.environment_facts()["execution"] == {
        "executor": "processes",
        "jobs": min(2, len(os.sched_getaffinity(0))),
        "threads": 1,
    }


def test_runs_go_on_whoever_stopped_them(workers, serial, tmp_path, monkeypatch):
    class Stops(Told):
        """When seed 1 has begun its second network."""

        def begin(self, trial, steps, density):
            if (trial.seed, trial.level) == (1, 1):
                pids.extend(worker.process.pid for worker in workers.values())
                raise KeyboardInterrupt

        def part(self, name):
            return self

    # Without an executor, `suited` chooses worker processes.
    monkeypatch.setattr(pool, "_FEWEST_STEPS", 1)
    monkeypatch.setattr(pool, "available_memory", lambda: math.inf)
    pids = []
    for executor in (suited, Serial()):
        with pytest.raises(KeyboardInterrupt):
            run_in(tmp_path / "run", LOTTERY, executor, Stops())
        run = RunDir(tmp_path / "run")
        assert not run.complete
        assert run.finished(1, "ticket", 0)
        assert not run.finished(1, "ticket", 1)
        assert not run.rows.lock_file.exists()
        assert pids
        assert not any(alive(pid) for pid in pids)
        workers.clear()
    _, told = run_in(run.path, LOTTERY, Processes(1000))
    leaves_what_one_process_does(run, serial("lottery"))
    say_more_jobs_than_processors_or_tasks(told)


def say_more_jobs_than_processors_or_tasks(told):
    assert Processes(1000).jobs == len(os.sched_getaffinity(0))
    assert told.messages[1].startswith("1000 jobs are more than the usable cores")
    assert told.messages[2].startswith("Each task that is left waits for the one before")
    assert [part.name for part in told.parts] == ["seed 1", "seed 1, reinit"]
    assert told.plans[0].seconds is None


@pytest.mark.parametrize("jobs", [0, -2])
def test_there_must_be_a_job(jobs):
    with pytest.raises(RunError, match=f"at least 1. Received: {jobs}"):
        Processes(jobs)
