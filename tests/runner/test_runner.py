import json
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import tiny_noisy
import tiny_norms

from tfticket.errors import RunError
from tfticket.lottery.ticket import Ticket
from tfticket.metrics import read_metrics
from tfticket.recipe.parsing import load
from tfticket.runner import runner
from tfticket.runner.executor import Serial
from tfticket.runs.progress import Silence
from tfticket.runs.rundir import RunDir
from tfticket.runs.session import writing

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
RECIPE = """
kind = "lottery"
title = "Hard luck"
seeds = [0, 1]
data = { name = "digits", limit = 200, validation = 200 }
model = { name = "lenet_300_100", width = 0.1, dropout = 0.1 }

[train]
optimizer = { name = "sgd", momentum = 0.9 }
learning_rate = 0.1
steps = 160
evaluate_every = 40
jit = false

[lottery]
levels = 2
rewind_step = 40
optimizer_state = "restore"

[controls]
shuffle = true
reinit = false
levels = [1]

[export]
formats = ["fp32"]
levels = [1]
"""
NETWORKS = {
    (seed, branch, level)
    for seed in (0, 1)
    for branch, level in (("ticket", 0), ("ticket", 1), ("shuffle", 1), ("ticket", 2))
}
DEADLINE_SECONDS = 300


class Told(Silence):
    """Remembers in what order it was told what."""

    def __init__(self):
        self.calls = []

    def plan(self, plan):
        self.calls.append(("plan", plan))

    def message(self, text):
        self.calls.append(("message", text))

    def end(self, trial, summary):
        self.calls.append(("end", trial))


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("recipes") / "hard_luck.toml"
    path.write_text(RECIPE)
    return path


def run_here(file, path):
    """Runs the recipe, or goes on with it, in this process."""
    recipe, told = load(file), Told()
    with writing(RunDir(path), recipe, toml=file.read_bytes()) as run:
        runner.run(recipe, run, progress=told)
    return run, told


@pytest.fixture(scope="module")
def undisturbed(file, tmp_path_factory):
    return run_here(file, tmp_path_factory.mktemp("runs") / "undisturbed")


def test_a_run_ends_with_all_networks_the_exports_and_the_mark(undisturbed):
    run, _ = undisturbed
    assert run.finished_levels() == NETWORKS
    marked = json.loads(run.complete_file.read_text())
    assert (marked["seeds"], marked["networks"]) == ([0, 1], 8)
    assert marked["exported"] == [f"seed_0_level_0{level}.fp32.tflite" for level in (0, 1)]
    assert run.model(0, 1).is_file()
    assert run.exported(0, 1, ".fp32.tflite").is_file()
    assert {(row.seed, row.branch, row.level) for row in read_metrics(run.metrics)} == NETWORKS


def test_a_run_says_what_it_will_do_before_it_does_it(undisturbed):
    _, told = undisturbed
    kinds = [kind for kind, _ in told.calls]
    assert kinds[:4] == ["message", "message", "plan", "end"]
    plan = dict(told.calls)["plan"]
    assert plan.title == "Hard luck"
    assert plan.branches == {"ticket": (0, 1, 2), "shuffle": (1,)}
    assert plan.steps_left == plan.steps_total == 2 * (160 + 3 * 120)
    assert plan.seconds > 0
    assert [what for kind, what in told.calls if kind == "end"][:4] == [
        (0, "ticket", 0),
        (0, "ticket", 1),
        (0, "shuffle", 1),
        (0, "ticket", 2),
    ]


def test_a_plan_of_a_run_leaves_out_what_is_done(undisturbed, file):
    run, _ = undisturbed
    plan = runner.plan(load(file), run=run)
    assert (plan.networks, plan.steps_left) == (8, 0)
    assert runner.plan(load(file)).steps_left == plan.steps_total


def test_what_was_planned_is_what_survived(undisturbed):
    run, told = undisturbed
    for level, planned in enumerate(dict(told.calls)["plan"].levels):
        mask = Ticket.load_mask(run.ticket(1, "ticket", level))
        assert mask.counts() == planned.counts


def test_a_run_says_where_and_with_what_it_was_made(undisturbed):
    run, told = undisturbed
    facts = run.environment_facts()
    assert "CPU" in facts["devices"]
    data = facts["data"]
    assert (data["name"], data["train"], data["validation"], data["test"]) == (
        "digits",
        200,
        200,
        200,
    )
    ticket = Ticket.load(run.ticket(0, "ticket", 1))
    assert ticket.provenance["data_fingerprint"] == data["fingerprint"]
    assert told.calls[0] == ("message", data["description"])
    assert data["description"].endswith(data["feeding"])
    assert (data["normalize"], data["scale"], data["offset"]) == ("unit", [1 / 16], [0.0])


class Command:
    """`tfticket recipe run` in a process of its own.

    Args:
        file: The recipe.
        run: Where it runs.
        largest_file: How many bytes a file can have until the disk is full.
    """

    def __init__(self, file, run, largest_file=None):
        self.run = run
        arguments = [str(file), "--runs", str(run.path.parents[1])]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tfticket", "recipe", "run", *arguments],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        if largest_file is not None:
            limits = (largest_file, resource.RLIM_INFINITY)
            resource.prlimit(self.process.pid, resource.RLIMIT_FSIZE, limits)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.process.kill()
        self.process.communicate()

    def until_networks(self, count):
        """Waits until so many are finished, so in the middle of the next."""
        deadline = time.monotonic() + DEADLINE_SECONDS
        while len(self.run.finished_levels()) < count:
            assert self.process.poll() is None, self.process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.01)
        return self

    def send(self, sign):
        self.process.send_signal(sign)
        return self.end()

    def end(self):
        out, err = self.process.communicate(timeout=DEADLINE_SECONDS)
        return self.process.returncode, out, err


def bytes_of(run):
    """The files of all networks."""
    return {
        path.relative_to(run.path).as_posix(): path.read_bytes()
        for path in sorted(run.path.glob("seeds/**/*.npz"))
    }


def measured(run):
    return [row for row in read_metrics(run.metrics) if row.name != "seconds"]


def test_a_run_with_every_accident_ends_like_one_without(undisturbed, file, tmp_path):
    run = RunDir(tmp_path / "hard_luck" / "default")

    with Command(file, run) as command:
        status, _, _ = command.until_networks(1).send(signal.SIGKILL)
    assert status == -signal.SIGKILL
    killed = bytes_of(run)
    done = run.finished_levels()
    assert 0 < len(done) < len(NETWORKS)

    with Command(file, run, largest_file=4096) as command:
        status, out, err = command.end()
    assert (status, out) == (1, "")
    assert "Traceback" not in err
    assert "could not be written: File too large." in err
    assert "run the command again" in err
    assert run.finished_levels() == done
    assert bytes_of(run).items() >= killed.items()
    assert not list(run.path.rglob("*.partial"))

    with Command(file, run) as command:
        status, out, err = command.until_networks(len(done) + 1).send(signal.SIGINT)
    assert (status, out) == (130, "")
    assert "Traceback" not in err
    assert f"Resume with:\n  tfticket recipe run {file} --runs {tmp_path}" in err
    assert done < run.finished_levels() < NETWORKS
    assert not run.complete

    run_here(file, run.path)
    whole, _ = undisturbed
    assert run.complete
    assert bytes_of(run) == bytes_of(whole)
    assert measured(run) == measured(whole)
    assert run.exported(0, 1, ".fp32.tflite").is_file()


class Removes(Silence):
    """Removes something of the run when its first network has ended."""

    def __init__(self, path):
        self.path = path

    def end(self, trial, summary):
        if self.path.is_dir():
            shutil.rmtree(self.path)

    def part(self, name):
        return self


class Untimed(Serial):
    timed = False


@pytest.mark.parametrize(
    "recipe",
    [tiny_norms.recipe('model={name="lenet_300_100", width=0.05}'), tiny_noisy.recipe()],
    ids=["norms", "noisy"],
)
@pytest.mark.parametrize(
    ("removed", "told"),
    [
        (".", "was removed while the recipe was running"),
        ("seeds/seed_0", "Files of .* were removed while the recipe was running: those of"),
    ],
)
def test_a_run_whose_files_are_removed_meanwhile_is_not_complete(tmp_path, recipe, removed, told):
    path = tmp_path / "run"
    with (
        pytest.raises(RunError, match=f"{told}|could not be added"),
        writing(RunDir(path), recipe, toml=b"") as run,
    ):
        runner.run(recipe, run, progress=Removes(path / removed), executor=Untimed())
    assert not run.complete
