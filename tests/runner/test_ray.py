import importlib.util

import pytest
import tiny_recipe
import traps

from tfticket.errors import RunError
from tfticket.runner import RayCluster, runner
from tfticket.runner.ray import RayWorker
from tfticket.runs.progress import Silence
from tfticket.runs.rundir import RunDir
from tfticket.runs.session import writing

pytestmark = pytest.mark.slow

RECIPE = tiny_recipe.recipe(
    "data.limit=100",
    "data.validation=100",
    "data.batch_size=32",
    "model={name='lenet_300_100', width=0.1}",
    "train.steps=4",
    "train.evaluate_every=2",
    "train.jit=false",
    "lottery.levels=1",
    "export={levels=[1], formats=['fp32']}",
)


class Told(Silence):
    def __init__(self):
        self.messages = []

    def message(self, text):
        self.messages.append(text)


class Kills(Told):
    """The actor of seed 1, when its second network has begun."""

    def __init__(self, workers):
        super().__init__()
        self.workers = workers
        self.killed = False

    def begin(self, trial, steps, density):
        import ray

        if trial.seed == trial.level == 1 and not self.killed:
            self.killed = True
            ray.kill(self.workers["seed 1"].actor)

    def part(self, name):
        return self if name == "seed 1" else Told()


def run_in(path, executor=None, progress=None):
    with writing(RunDir(path), RECIPE, toml=b"") as run:
        runner.run(RECIPE, run, executor=executor, progress=progress)
    return run


def content(run):
    networks = {p.relative_to(run.path): p.read_bytes() for p in run.path.glob("seeds/**/*.npz")}
    lines = run.metrics.read_text().splitlines()
    return networks, [line for line in lines if ",seconds," not in line]


def test_a_cluster_leaves_what_one_process_does_also_when_it_loses_an_actor(tmp_path, monkeypatch):
    workers = {}
    run_task = RayWorker.run

    def watched(self, task, hook):
        workers[task.name] = self
        run_task(self, task, hook)

    monkeypatch.setattr(RayWorker, "run", watched)
    told = Kills(workers)
    here, there = run_in(tmp_path / "here"), RunDir(tmp_path / "there")
    snapped = traps.lay(tmp_path / "traps")
    monkeypatch.chdir(tmp_path / "traps")
    run_in(there.path, RayCluster(2), told)
    assert content(there) == content(here)
    ended = "The process of seed 1 ended on the cluster"
    assert any(ended in message for message in told.messages)
    assert {p.name for p in there.path.iterdir()} == {p.name for p in here.path.iterdir()}
    assert there.environment_facts()["execution"]["executor"] == "ray"
    assert not snapped.exists()


def test_without_ray_it_says_how_to_get_it(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(RunError, match=r"pip install 'tfticket\[ray\]'"):
        RayCluster()


def test_there_must_be_a_job():
    with pytest.raises(RunError, match=r"at least 1\. Received: 0"):
        RayCluster(0)
