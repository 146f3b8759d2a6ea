import math

import pytest
from synthetic_norms import cell, write_run

from tfticket.lottery.comparison import Interval, t_interval
from tfticket.report.judging import Reading, beside_paper, judge
from tfticket.report.reading import read_run
from tfticket.studies.norms.claims import check_claims, find
from tfticket.studies.norms.networks import read_study
from tfticket.studies.norms.results import contrast


def interval(lower, mean, upper, seeds=3):
    return Interval(mean, lower, upper, 0.1, seeds, 0.95)


@pytest.mark.parametrize(
    ("ours", "at_least", "at_most", "reading"),
    [
        (interval(3.1, 4, 5), 3.0, None, Reading.PASS),
        (interval(2.9, 4, 5), 3.0, None, Reading.CANT_TELL),
        (interval(1, 2, 2.9), 3.0, None, Reading.FAIL),
        (interval(-2, -1, -0.1), None, 0.0, Reading.PASS),
        (interval(0.1, 1, 2), None, 0.0, Reading.FAIL),
        (interval(0.1, 1, 2), 0.0, 3.0, Reading.PASS),
        (interval(0.1, 1, 4), 0.0, 3.0, Reading.CANT_TELL),
        (interval(-math.inf, 9, math.inf, seeds=1), 3.0, None, Reading.CANT_TELL),
        (interval(3.1, 4, 5), None, None, Reading.NOTED),
        (None, 3.0, None, Reading.CANT_TELL),
    ],
)
def test_a_criterion_is_read_off_the_whole_interval(ours, at_least, at_most, reading):
    assert judge(ours, at_least=at_least, at_most=at_most)[0] is reading


def test_what_cant_be_told_says_on_which_side_the_mean_is():
    assert judge(interval(2, 4, 5), at_least=3, at_most=None)[1] == "the mean meets it"
    assert judge(interval(2, 2.5, 5), at_least=3, at_most=None)[1] == "the mean doesn't meet it"
    one = judge(t_interval([4.0]), at_least=3, at_most=None)
    assert one == (Reading.CANT_TELL, "one seed; it meets it")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (4.5, "the paper's number is inside our interval"),
        (9.0, "same direction as the paper, less"),
        (1.5, "same direction as the paper, more"),
        (0.5, "not the paper's direction"),
        (1.0, "the paper saw no difference"),
    ],
)
def test_the_paper_s_number_beside_ours(value, text):
    assert beside_paper(interval(3, 4, 5), value, neutral=1.0) == text


def check(study, **claim):
    (found,) = check_claims([{"claim": "it is so", "norm": "batch", "against": "none"} | claim],
                            study)  # fmt: skip
    return found


def test_a_claim_is_measured_as_the_contrast_is(panels_study):
    none, _, batch, *_ = panels_study.branches
    for measure in ("loss_band", "predictiveness", "beta", "relative_beta", "accuracy",
                    "shift_cosine"):  # fmt: skip
        found = check(panels_study, measure=measure, first=0.667)
        expected = contrast(panels_study, batch, none, first=0.667)
        assert found.ours == expected.measures[measure]
        assert found.reading is Reading.NOTED


def test_a_claim_may_be_about_another_learning_rate(panels_study):
    low, high = (check(panels_study, measure="beta", learning_rate=rate) for rate in (0.1, 0.5))
    assert low.ours != high.ours
    absent = check(panels_study, measure="beta", learning_rate=0.7)
    assert absent.ours is None
    assert absent.why == "not measured: no finished network with norm = batch"


def test_the_recipe_s_own_condition_is_preferred(panels_study):
    assert find(panels_study, "batch", {}).learning_rate == 0.1
    assert find(panels_study, "batch", {"learning_rate": 0.5}).learning_rate == 0.5
    assert find(panels_study, "group-lr0.5-b128-dense", {}).norm == "group"
    assert find(panels_study, "layer", {}) is None


def test_accuracy_lost_by_small_batches(batches_run):
    study = read_study(read_run(batches_run))
    found = check(study, measure="accuracy_drop", batch_size=2, at_least=0.05, against=None)
    by_size = {branch.batch_size: study.of(branch) for branch in study.branches
               if branch.norm == "batch"}  # fmt: skip
    drops = [
        by_size[64][seed].results["accuracy_at_end"] - by_size[2][seed].results["accuracy_at_end"]
        for seed in (0, 1, 2)
    ]
    assert found.ours == t_interval(drops)
    assert found.reading is Reading.PASS
    smallest = check(study, measure="accuracy_drop", against=None)
    assert smallest.ours == found.ours
    assert check(study, measure="accuracy_drop", norm="layer").ours is None


def test_what_was_not_measured_says_so(batches_run):
    study = read_study(read_run(batches_run))
    found = check(study, measure="beta", norm="group", against="batch", at_least=1.0)
    assert found.reading is Reading.CANT_TELL
    assert found.why == "not measured: effective beta in no common seed"
    assert found.to_dict()["ours"] is None


def test_trainings_of_different_length_are_said(tmp_path):
    cells = [cell("none", steps=1500), cell("batch", steps=600)]
    study = read_study(read_run(write_run(tmp_path, cells)))
    assert check(study, measure="accuracy").why == "both after 600 iterations"
