from dataclasses import replace

import numpy as np
import pytest

from tfticket.display import words
from tfticket.lottery.comparison import compare
from tfticket.report.estimate import RATIO, Estimate
from tfticket.report.expectation import Verdict
from tfticket.studies.lottery.summary import summarize


@pytest.fixture(scope="module")
def summary(run):
    return summarize(run)


def check(summary, **claim):
    full = {"claim": "it is so", "source": "figure 1", "value": 1.0, "branch": "ticket",
            "against": "dense", "density": None}  # fmt: skip
    recipe = {**summary.files.recipe, "expect": [full | claim]}
    (checked,) = replace(summary, files=replace(summary.files, recipe=recipe)).expectations
    return checked


def test_a_gain_is_read_at_the_nearest_level(summary):
    checked = check(summary, measure="gain", value=0.003, density=0.34)
    level = min(summary.branch("ticket"), key=lambda level: abs(np.log(level.density / 0.34)))
    verdict = next(v for v in summary.verdicts if v.level == level.level)
    assert checked.measured.detail == f"at {words.percent(level.density)} of the weights"
    assert checked.estimate == Estimate.of_comparison(verdict.against_dense.gain)
    assert checked.to_dict()["source"] == "figure 1"


def test_a_speedup_may_be_against_a_control(summary):
    checked = check(summary, measure="speedup", value=2.5, against="reinit", density=0.34)
    verdict = min(summary.verdicts, key=lambda v: abs(np.log(v.density / 0.34)))
    speedup = verdict.against_controls["reinit"].speedup
    assert checked.estimate == Estimate.of_comparison(speedup)
    assert checked.estimate.how == RATIO


def test_a_control_may_be_held_against_dense(summary):
    checked = check(summary, measure="gain", value=-0.002, branch="reinit", density=0.34)
    level = min(summary.branch("reinit"), key=lambda level: abs(np.log(level.density / 0.34)))
    expected = compare(level.outcomes, summary.dense.outcomes, criteria=summary.criteria).gain
    assert checked.estimate == Estimate.of_comparison(expected)
    assert checked.measured.measure == "reinit: test accuracy against dense, points"


def test_the_accuracy_of_the_dense_network(summary):
    checked = check(summary, measure="accuracy", value=0.979, branch="dense")
    assert checked.estimate == summary.dense.value
    assert checked.measured.detail == f"at 100{words.THIN}% of the weights"


def test_the_smallest_density_is_the_last_that_is_as_accurate(summary):
    checked = check(summary, measure="smallest_density", value=0.036)
    as_accurate = [v.density for v in summary.verdicts if v.against_dense.gain.mean >= 0]
    assert checked.estimate.mean == min(as_accurate)
    assert checked.remark == "as far as this run went"
    assert checked.estimate.mean == summary.verdicts[-1].density
    assert check(summary, measure="smallest_density", value=0.9).remark == "as sparse or sparser"
    none = check(summary, measure="smallest_density", value=0.5, branch="random")
    assert none.estimate.mean == 1.0
    assert none.remark == "not as sparse; no random network is as accurate"


def test_a_density_that_was_passed_without_accuracy_is_not_as_sparse(summary):
    worse_later = replace(
        summary, levels=tuple(fallen(x) if x.level > 3 else x for x in summary.levels)
    )
    checked = check(worse_later, measure="smallest_density", value=0.27)
    assert checked.estimate.mean == summary.verdicts[2].density
    assert checked.remark == "not as sparse"


def fallen(level):
    """The same level with no accuracy at all."""
    values = dict.fromkeys(level.value.values, 0.1)
    return replace(level, value=replace(level.value, values=values))


def test_how_numbers_agree(summary):
    ours = check(summary, measure="gain", value=0.0, density=0.34).estimate
    assert ours.mean > 0

    def reading(value):
        return check(summary, measure="gain", value=value, density=0.34).remark

    assert reading(ours.mean) == "the paper's number is inside our interval"
    assert reading(ours.upper + 0.001) == "same direction as the paper, less"
    assert reading(ours.lower / 10) == "same direction as the paper, more"
    assert reading(-0.5) == "not the paper's direction"


def test_the_direction_of_an_accuracy_is_high_or_low(summary):
    above, below = (
        check(summary, measure="accuracy", value=value, branch="dense") for value in (0.5, 0.999)
    )
    assert (above.remark, below.remark) == ("above the paper", "below the paper")


@pytest.mark.parametrize(
    ("claim", "reading"),
    [
        ({"measure": "gain", "density": 0.01}, "the nearest level has"),
        ({"measure": "gain", "branch": "shuffle"}, "no finished shuffle network"),
        ({"measure": "speedup", "against": "shuffle"}, "no shuffle network to compare"),
        ({"measure": "smallest_density", "branch": "shuffle"}, "no shuffle and dense networks"),
    ],
)
def test_what_was_not_measured_says_so(summary, claim, reading):
    checked = check(summary, **claim)
    assert checked.estimate is None
    assert checked.verdict is Verdict.NOT_MEASURED
    assert reading in checked.remark


@pytest.mark.parametrize(
    ("claim", "verdict"),
    [
        ({"measure": "gain", "at_least": 0.0}, Verdict.MET),
        ({"measure": "gain", "at_most": 0.0}, Verdict.NOT_MET),
        ({"measure": "smallest_density", "at_most": 0.3}, Verdict.MET),
        ({"measure": "smallest_density", "at_most": 0.1}, Verdict.NOT_MET),
        ({"measure": "smallest_density", "branch": "random", "at_most": 0.9}, Verdict.NOT_MET),
    ],
)
def test_a_bound_is_met_or_not(summary, claim, verdict):
    full = {"claim": "it is so", "branch": "ticket", "density": 0.34}
    recipe = {**summary.files.recipe, "expect": [full | claim]}
    bounded = replace(summary, files=replace(summary.files, recipe=recipe))
    assert bounded.expectations[0].verdict is verdict
    assert bounded.headline.endswith(f"Of 1 expectation: 1 {verdict}.")
    assert bounded.met is (verdict is Verdict.MET)
