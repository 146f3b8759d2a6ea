from dataclasses import replace

import numpy as np
import pytest

from tfticket.lottery.comparison import compare
from tfticket.studies.lottery.claims import check_claims
from tfticket.studies.lottery.summary import summarize


@pytest.fixture(scope="module")
def summary(run):
    return summarize(run)


def check(summary, **claim):
    full = {"claim": "it is so", "source": "figure 1", "value": 1.0, "branch": "ticket",
            "against": "dense", "density": None}  # fmt: skip
    (checked,) = check_claims([full | claim], summary)
    return checked


def test_a_gain_is_read_at_the_nearest_level(summary):
    checked = check(summary, measure="gain", value=0.003, density=0.34)
    level = min(summary.branch("ticket"), key=lambda level: abs(np.log(level.density / 0.34)))
    verdict = next(v for v in summary.verdicts if v.level == level.level)
    assert checked.density == level.density
    assert checked.ours == verdict.against_dense.gain
    assert (checked.claim, checked.source) == ("it is so", "figure 1")


def test_a_speedup_may_be_against_a_control(summary):
    checked = check(summary, measure="speedup", value=2.5, against="reinit", density=0.34)
    verdict = next(v for v in summary.verdicts if v.density == checked.density)
    assert checked.ours == verdict.against_controls["reinit"].speedup


def test_a_control_may_be_held_against_dense(summary):
    checked = check(summary, measure="gain", value=-0.002, branch="reinit", density=0.34)
    level = next(x for x in summary.branch("reinit") if x.density == checked.density)
    expected = compare(level.outcomes, summary.dense.outcomes, criteria=summary.criteria).gain
    assert checked.ours == expected


def test_the_accuracy_of_the_dense_network(summary):
    checked = check(summary, measure="accuracy", value=0.979, branch="dense")
    assert checked.ours == summary.dense.accuracy.interval
    assert checked.density == 1.0


def test_the_smallest_density_is_the_last_that_is_as_accurate(summary):
    checked = check(summary, measure="smallest_density", value=0.036)
    as_accurate = [v.density for v in summary.verdicts if v.against_dense.gain.mean >= 0]
    assert checked.ours.mean == min(as_accurate)
    assert checked.reading == "as far as this run went"
    assert checked.ours.mean == summary.verdicts[-1].density
    assert check(summary, measure="smallest_density", value=0.9).reading == "as sparse or sparser"
    none = check(summary, measure="smallest_density", value=0.5, branch="random")
    assert none.ours is None
    assert none.reading == "no random network is as accurate"


def test_a_density_that_was_passed_without_accuracy_is_not_as_sparse(summary):
    worse_later = replace(
        summary, levels=tuple(fallen(x) if x.level > 3 else x for x in summary.levels)
    )
    checked = check(worse_later, measure="smallest_density", value=0.27)
    assert checked.ours.mean == summary.verdicts[2].density
    assert checked.reading == "not as sparse"


def fallen(level):
    """The same level with no accuracy at all."""
    values = dict.fromkeys(level.accuracy.values, 0.1)
    return replace(level, accuracy=replace(level.accuracy, values=values))


def test_how_numbers_agree(summary):
    ours = check(summary, measure="gain", value=0.0, density=0.34).ours
    assert ours.mean > 0

    def reading(value):
        return check(summary, measure="gain", value=value, density=0.34).reading

    assert reading(ours.mean) == "inside our interval"
    assert reading(ours.upper + 0.001) == "same direction, less"
    assert reading(ours.lower / 10) == "same direction, more"
    assert reading(-0.5) == "not seen"


def test_the_direction_of_an_accuracy_is_high_or_low(summary):
    assert check(summary, measure="accuracy", value=0.5, branch="dense").reading == "higher"
    assert check(summary, measure="accuracy", value=0.999, branch="dense").reading == "lower"


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
    assert checked.ours is None
    assert checked.reading.startswith("not measured: ")
    assert reading in checked.reading
