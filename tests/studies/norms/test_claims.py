from dataclasses import replace

from synthetic_runs import cell, write_norms

from tfticket.report.estimate import Estimate
from tfticket.report.expectation import Verdict
from tfticket.report.reading import read_run
from tfticket.studies.norms.networks import find, read_study
from tfticket.studies.norms.results import contrast
from tfticket.studies.norms.summary import summarize_study


def check(study, **claim):
    table = {"claim": "it is so", "norm": "batch", "against": "none"} | claim
    files = replace(study.files, recipe={**study.files.recipe, "expect": [table]})
    (found,) = summarize_study(replace(study, files=files)).expectations
    return found


def test_a_claim_is_measured_as_the_contrast_is(panels_study):
    none, _, batch, *_ = panels_study.conditions
    for measure in ("loss_band", "predictiveness", "beta", "relative_beta", "accuracy",
                    "shift_cosine"):  # fmt: skip
        found = check(panels_study, measure=measure, first=0.667)
        expected = contrast(panels_study, batch, none, first=0.667)
        assert found.estimate == expected.measures[measure]
        assert found.verdict is Verdict.NOTED


def test_a_claim_may_be_about_another_learning_rate(panels_study):
    low, high = (check(panels_study, measure="beta", learning_rate=rate) for rate in (0.1, 0.5))
    assert low.estimate != high.estimate
    absent = check(panels_study, measure="beta", learning_rate=0.7)
    assert absent.estimate is None
    assert absent.remark == "no finished network with norm = batch"


def test_the_recipe_s_own_condition_is_preferred(panels_study):
    assert find(panels_study, "batch", {}).learning_rate == 0.1
    assert find(panels_study, "batch", {"learning_rate": 0.5}).learning_rate == 0.5
    assert find(panels_study, "group-lr0.5-b128-dense", {}).norm == "group"
    assert find(panels_study, "layer", {}) is None


def test_accuracy_lost_by_small_batches(batches_run):
    study = read_study(read_run(batches_run))
    found = check(study, measure="accuracy_drop", batch_size=2, at_least=0.05, against=None)
    by_size = {branch.batch_size: study.of(branch) for branch in study.conditions
               if branch.norm == "batch"}  # fmt: skip
    large, small = (
        {seed: network.results["accuracy_at_end"] for seed, network in by_size[size].items()}
        for size in (64, 2)
    )
    assert found.estimate == Estimate.of_difference(large, small)
    assert found.verdict is Verdict.MET
    smallest = check(study, measure="accuracy_drop", against=None)
    assert smallest.estimate == found.estimate
    assert check(study, measure="accuracy_drop", norm="layer").estimate is None


def test_what_was_not_measured_says_so(batches_run):
    study = read_study(read_run(batches_run))
    found = check(study, measure="beta", norm="group", against="batch", at_least=1.0)
    assert found.verdict is Verdict.NOT_MEASURED
    assert found.remark == "effective beta in no common seed"
    assert found.to_dict()["ours"] is None


def test_trainings_of_different_length_are_said(tmp_path):
    cells = [cell("none", steps=1500), cell("batch", steps=600)]
    study = read_study(read_run(write_norms(tmp_path, cells)))
    assert check(study, measure="accuracy").remark == "both after 600 iterations"
