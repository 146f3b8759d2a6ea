import json
import math
import shutil

import numpy as np
import pytest
from tiny_noisy import SELECTION, recipe

from tfticket.files import read_arrays
from tfticket.metrics import read_metrics
from tfticket.runner import runner
from tfticket.runner.executor import Serial
from tfticket.runs.progress import Silence
from tfticket.runs.rundir import RunDir
from tfticket.runs.session import writing
from tfticket.studies.report import render
from tfticket.studies.summaries import summarize

pytestmark = pytest.mark.slow

CHANGES = (
    'methods=["cross_entropy", {name="coteaching", gradual=1}, {name="incv", warmup=1, gradual=0}]',
    SELECTION,
)
ONE_ITERATION = "selection={epochs=20, iterations=1}"
BRANCHES = {"cross_entropy", "coteaching", "incv"}


class Told(Silence):
    def __init__(self):
        self.plans, self.begun, self.updates, self.ended = [], [], [], []
        self.done = self.step = 0

    def plan(self, plan):
        self.plans.append(plan)

    def begin(self, trial, steps, density):
        self.begun.append((trial.branch, steps))
        self.step = 0

    def update(self, step, measured):
        self.done += step - self.step
        self.step = step
        self.updates.append((step, dict(measured)))

    def end(self, trial, summary):
        self.ended.append((trial.branch, dict(summary)))


class PullsThePlug(Told):
    """Copies what lies on the disk in the middle of the third training."""

    def __init__(self, run, cut):
        super().__init__()
        self.run, self.cut = run, cut

    def update(self, step, measured):
        super().update(step, measured)
        if self.begun[-1][0] == "incv" and not self.cut.exists():
            shutil.copytree(self.run, self.cut)


class Untimed(Serial):
    timed = False


def run_in(path, *changes, progress=None, executor=None):
    given, told = recipe(*changes), progress or Told()
    with writing(RunDir(path), given, toml=b"") as run:
        runner.run(given, run, progress=told, executor=executor)
    return run, told


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    runs = tmp_path_factory.mktemp("runs")
    progress = PullsThePlug(runs / "whole", runs / "cut")
    return run_in(runs / "whole", *CHANGES, progress=progress)


def rows_of(run, branch, split):
    found = [row for row in read_metrics(run.metrics) if (row.branch, row.split) == (branch, split)]
    return {name: [r.value for r in found if r.name == name] for name in {r.name for r in found}}


def test_a_run_says_what_its_branches_are_and_finishes_each(whole):
    run, told = whole
    cells = json.loads(run.cells.read_text())["cells"]
    assert {cell["branch"]: cell["noise"] for cell in cells} == dict.fromkeys(
        BRANCHES, "symmetric0.3"
    )
    assert run.finished_levels() == {(0, branch, 0) for branch in BRANCHES}
    assert run.complete
    (plan,) = told.plans
    # A selection counts for the first that needs it: 2 folds of 5 steps, then 2 of 10, 20 times.
    assert {each.branch: (each.steps, each.searched) for each in plan.conditions} == {
        "cross_entropy": (20, 0),
        "coteaching": (20, 600),
        "incv": (20, 0),
    }
    assert (plan.steps_total, plan.steps_left) == (660, 660)
    assert plan.seconds > 0


def test_clean_test_data_is_measured_at_each_interval_and_nobody_is_told(whole):
    run, told = whole
    for branch in BRANCHES:
        clean = rows_of(run, branch, "clean")
        assert len(clean["accuracy"]) == len(clean["ensemble_accuracy"]) == 2
        test = rows_of(run, branch, "test")
        assert test["accuracy_last"] == test["accuracy_at_end"] == clean["accuracy"][-1:]
        assert test["accuracy_by_validation"][0] in clean["accuracy"]
        assert test.keys() == {
            "accuracy_last",
            "accuracy_at_end",
            "ensemble_accuracy_last",
            "accuracy_by_validation",
        }
        assert len(rows_of(run, branch, "validation")["accuracy"]) == 2
    assert [step for step, measured in told.updates if measured] == [10, 20] * 3


def test_all_steps_of_the_plan_are_told_of_and_so_is_each_network_that_selects(whole):
    _, told = whole
    assert told.done == told.plans[0].steps_total
    selecting = [branch for branch, _ in told.begun if branch not in BRANCHES]
    assert selecting[0] == "symmetric0.3, selecting by network 1 of 4"
    assert len(selecting) in (3, 4, 5)  # it may be stable after one iteration


def test_the_table_holds_the_quality_of_what_was_trained_on(whole):
    run, _ = whole
    plain = rows_of(run, "cross_entropy", "train")
    assert plain["label_recall"] == [1.0, 1.0]
    assert plain["label_precision"] == pytest.approx([0.7, 0.7], abs=1e-6)
    assert plain["forget_rate"] == [0.0, 0.0]
    ramp = rows_of(run, "coteaching", "train")["forget_rate"]
    summary = rows_of(run, "coteaching", "summary")
    assert ramp[0] == 0.0
    assert ramp[1] == pytest.approx(summary["estimated_rate"][0], abs=1e-6)
    assert summary["noise_rate"] == pytest.approx([0.3])
    selected = rows_of(run, "incv", "summary")
    assert selected["selected"][0] + selected["candidates"][0] + selected["removed"][
        0
    ] == pytest.approx(1)
    assert selected["selected_precision"][0] > 0.75


def test_the_file_of_a_training_holds_its_receipt_and_what_was_estimated(whole):
    run, _ = whole
    header, arrays = read_arrays(run.ticket(0, "incv", 0), kind="noisy_cell")
    assert header["receipt"]["wrong"] == 60
    assert header["selection"]["examples"] == 200
    assert arrays["confusion"].sum() == 200
    np.testing.assert_allclose(np.nansum(arrays["realized"], axis=1), 1)
    header, arrays = read_arrays(run.ticket(0, "cross_entropy", 0), kind="noisy_cell")
    assert (header["method"], arrays) == ("cross_entropy", {})


def measured(run):
    rows = read_metrics(run.metrics)
    return sorted(map(str, (row for row in rows if row.name != "seconds")))


def test_a_run_that_was_cut_goes_on_and_ends_the_same(whole):
    cut = RunDir(whole[1].cut)
    assert not cut.complete
    assert cut.finished_levels() == {(0, branch, 0) for branch in ("cross_entropy", "coteaching")}
    run, told = run_in(cut.path, *CHANGES, executor=Untimed())
    assert [branch for branch, _ in told.begun] == ["incv"]
    assert told.plans[0].steps_left == 20
    assert measured(run) == measured(whole[0])


def test_theory_is_compared_where_nothing_is_trained(tmp_path):
    run, _ = run_in(tmp_path / "theory", 'methods=["held_out"]', ONE_ITERATION, executor=Untimed())
    summary = rows_of(run, "held_out", "summary")
    # (1 - e)^2 + e^2 / 9 and its share of right labels, of the realized matrix.
    assert summary["predicted_accuracy"][0] == pytest.approx(0.5, abs=0.02)
    assert summary["predicted_precision"][0] == pytest.approx(0.98, abs=0.02)
    assert 0 < summary["observed_accuracy"][0] < 1
    assert rows_of(run, "held_out", "clean") == {}
    page = render(run.path).read_text(encoding="utf-8")
    assert "Theory and networks" in page


def test_the_report_compares_with_cross_entropy(whole):
    run, _ = whole
    page = render(run.path).read_text(encoding="utf-8")
    for branch in BRANCHES:
        assert branch in page
    summary = summarize(run.path)
    assert "symmetric noise of 30" in summary.headline
    gains = {found["method"]: found["gain"] for found in summary.to_dict()["trainings"]}
    test = {branch: rows_of(run, branch, "test")["accuracy_last"][0] for branch in BRANCHES}
    assert gains["cross_entropy"] is None
    assert math.isclose(gains["incv"]["mean"], test["incv"] - test["cross_entropy"])
