import json
import shutil

import numpy as np
import pytest
from tiny_norms import recipe

from tfticket.files import read_arrays
from tfticket.metrics import read_metrics
from tfticket.norms.landscape import SmoothnessRecord
from tfticket.norms.landscape.records import ShiftRecord
from tfticket.runner import runner
from tfticket.runs.progress import Silence
from tfticket.runs.rundir import RunDir
from tfticket.runs.session import writing

pytestmark = pytest.mark.slow

CHANGES = (
    'arms=[{norms=["none", "batch"]}, '
    '{norms=["batch"], batch_sizes=[8], learning_rate_rule="linear"}]',
    "landscape={every=2, multipliers={points=2}}",
    "shift={every=4, layers=['conv2']}",
    "statistics={kinds=['precise', 'evalnorm', 'batch'], examples=32}",
)
BRANCHES = {"none-b16", "batch-b16", "batch-b8"}


class Told(Silence):
    def __init__(self):
        self.plans, self.begun, self.updates, self.ended = [], [], [], []

    def plan(self, plan):
        self.plans.append(plan)

    def begin(self, trial, steps, density):
        self.begun.append((*trial, steps, density))

    def update(self, step, measured):
        self.updates.append((step, dict(measured)))

    def end(self, trial, summary):
        self.ended.append((trial.branch, dict(summary)))


class PullsThePlug(Told):
    """Copies what lies on the disk in the middle of the second network."""

    def __init__(self, run, cut):
        super().__init__()
        self.run, self.cut = run, cut

    def update(self, step, measured):
        super().update(step, measured)
        if len(self.begun) == 2 and not self.cut.exists():
            shutil.copytree(self.run, self.cut)


def run_in(path, *changes, progress=None):
    given, told = recipe(*changes), progress or Told()
    with writing(RunDir(path), given, toml=b"") as run:
        runner.run(given, run, progress=told)
    return run, told


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    runs = tmp_path_factory.mktemp("runs")
    progress = PullsThePlug(runs / "whole", runs / "cut")
    return run_in(runs / "whole", *CHANGES, progress=progress)


def rows_of(run, branch="batch-b16"):
    return [row for row in read_metrics(run.metrics) if row.branch == branch]


def names_of(run, split, branch="batch-b16"):
    return {row.name for row in rows_of(run, branch) if row.split == split}


def test_a_run_says_what_its_branches_are_and_finishes_each(whole):
    run, _ = whole
    cells = json.loads(run.cells.read_text())["cells"]
    assert {cell["branch"] for cell in cells} == BRANCHES
    assert run.finished_levels() == {(0, branch, 0) for branch in BRANCHES}
    assert json.loads(run.complete_file.read_text()) == {"seeds": [0], "networks": 3}


def test_the_file_of_a_network_holds_its_curves_and_what_it_is(whole):
    run, _ = whole
    header, arrays = read_arrays(run.ticket(0, "batch-b8", 0), kind="cell")
    assert (header["batch_size"], header["learning_rate"], header["seed"]) == (8, 0.05, 0)
    assert header["diverged"] is False
    parts = {
        split: {name.split("/")[1]: a for name, a in arrays.items() if name.startswith(split)}
        for split in ("landscape", "shift")
    }
    landscape = SmoothnessRecord.from_arrays(parts["landscape"])
    assert landscape.step.tolist() == [0, 4]  # every 2 steps of 16 examples
    assert landscape.multipliers.tolist() == [0.5, 4.0]
    shift = ShiftRecord.from_arrays(parts["shift"])
    assert shift.layers.tolist() == ["conv2"]
    assert shift.step.tolist() == [0]


def test_the_table_holds_every_measurement(whole):
    run, _ = whole
    assert names_of(run, "train") == names_of(run, "validation") == {"loss", "accuracy"}
    assert names_of(run, "landscape") >= {"beta", "gauge", "predictiveness_max"}
    assert names_of(run, "shift") == {"l2/conv2", "cosine/conv2"}
    assert names_of(run, "test") == {
        "loss_at_end",
        "accuracy_at_end",
        "accuracy_precise",
        "accuracy_evalnorm",
        "accuracy_batch",
    }
    assert names_of(run, "test", "none-b16") == {"loss_at_end", "accuracy_at_end"}
    assert names_of(run, "summary") == {
        "learning_rate",
        "batch_size",
        "seconds",
        "landscape_seconds",
        "shift_seconds",
    }
    steps = {row.step for row in rows_of(run, "batch-b8") if row.split == "train"}
    assert steps == {4, 8}
    assert {row.epoch for row in rows_of(run, "batch-b8") if row.step == 8} == {8 * 8 / 80}


def test_progress_hears_of_the_landscape_too(whole):
    _, told = whole
    (plan,) = told.plans
    assert {each.branch: each.steps for each in plan.conditions} == {
        "none-b16": 4,
        "batch-b16": 4,
        "batch-b8": 8,
    }
    assert (plan.steps_total, plan.steps_left, plan.probes) == (16, 16, 2)
    assert plan.seconds is None
    assert [branch for _, branch, *_ in told.begun] == ["none-b16", "batch-b16", "batch-b8"]
    for _, measured in told.updates:
        assert measured.keys() >= {"loss", "val_accuracy", "learning_rate", "gauge", "beta"}
    assert [branch for branch, _ in told.ended] == [branch for _, branch, *_ in told.begun]


def measured(run):
    rows = read_metrics(run.metrics)
    return sorted(map(str, (row for row in rows if not row.name.endswith("seconds"))))


def test_a_run_that_was_cut_goes_on_with_the_next_network_and_ends_the_same(whole):
    cut = RunDir(whole[1].cut)
    assert cut.finished_levels() == {(0, "none-b16", 0)}
    assert not cut.complete
    run, told = run_in(cut.path, *CHANGES)
    assert [branch for branch, _ in told.ended] == ["batch-b16", "batch-b8"]
    assert told.plans[0].steps_left == 12
    for branch in BRANCHES:
        path = run.ticket(0, branch, 0)
        assert path.read_bytes() == whole[0].ticket(0, branch, 0).read_bytes()
    assert measured(run) == measured(whole[0])


def test_measuring_changes_nothing_that_is_trained(whole, tmp_path):
    untracked, _ = run_in(tmp_path, 'arms=[{norms=["batch"]}]')

    def trained(run, branch):
        rows = [row for row in rows_of(run, branch) if row.split in ("train", "validation")]
        return [(row.step, row.split, row.name, row.value) for row in rows]

    assert trained(untracked, "batch") == trained(whole[0], "batch-b16") != []


def test_a_network_that_diverges_ends_there_and_is_a_result(tmp_path):
    run, told = run_in(tmp_path, 'arms=[{norms=["none"], learning_rates=[1e9]}]', "train.steps=12")
    assert run.complete
    found = {row.name: row.value for row in rows_of(run, "none") if row.split == "summary"}
    assert found["diverged"] == 1.0
    assert found["diverged_step"] < 12
    assert told.updates[-1][0] == found["diverged_step"]
    assert all(np.isfinite(row.value) for row in rows_of(run, "none"))
    header, _ = read_arrays(run.ticket(0, "none", 0), kind="cell")
    assert header["diverged"] is True


def test_a_regression_has_losses_only(tmp_path):
    run, told = run_in(
        tmp_path,
        "data={name='linear', batch_size=20, limit=20}",
        "model={name='dln', depth=3}",
        "train.learning_rate=1e-6",
        'arms=[{norms=["batch"]}]',
    )
    assert names_of(run, "train", "batch") == names_of(run, "validation", "batch") == {"loss"}
    assert names_of(run, "test", "batch") == {"loss_at_end"}
    assert "accuracy" not in told.updates[-1][1]
    assert told.plans[0].steps_total == 4
