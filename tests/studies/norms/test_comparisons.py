import math

import numpy as np
import pytest
from estimates import interval
from synthetic_runs import cell, write_norms

from tfticket.lottery.comparison import t_interval
from tfticket.report.estimate import Estimate
from tfticket.report.reading import read_run
from tfticket.studies.norms.networks import NormCondition, read_study
from tfticket.studies.norms.results import (
    NormSummary,
    contrast,
    contrast_norms,
    contrast_subnetworks,
    cut,
    paired,
    summarize_conditions,
)


def branch(norm="none", *, steps=100):
    return NormCondition(norm, steps, (0, 1, 2), norm, norm, 0.1, 32, "dense")


def summary(norm, **measures):
    found = {name: Estimate.of(dict(enumerate(values))) for name, values in measures.items()}
    return NormSummary(branch(norm), found, (0, 1, 2), ())


def test_a_ratio_is_the_other_over_one_s_own_seed_by_seed():
    own = summary("batch", predictiveness=[1.0, 2.0, 4.0])
    other = summary("none", predictiveness=[3.0, 8.0, 20.0])
    found = paired("predictiveness", own, other)
    expected = t_interval(np.log([3.0, 4.0, 5.0])).exp()
    assert interval(found) == expected
    assert found.mean == pytest.approx(60 ** (1 / 3))
    assert found.lower < found.mean < found.upper


def test_a_difference_is_one_s_own_minus_the_other_seed_by_seed():
    own, other = summary("batch", accuracy=[0.8, 0.9]), summary("none", accuracy=[0.7, 0.7])
    found = paired("accuracy", own, other)
    assert interval(found) == t_interval([0.8 - 0.7, 0.9 - 0.7])
    assert found.values == {0: 0.8 - 0.7, 1: 0.9 - 0.7}


def test_only_common_seeds_count_and_zeros_have_no_ratio():
    own, other = summary("batch", beta=[1.0, 0.0, 2.0]), summary("none", beta=[4.0, 1.0])
    found = paired("beta", own, other)
    assert (found.mean, found.seeds) == (4.0, 1)
    assert math.isinf(found.upper)
    assert paired("beta", summary("batch", beta=[0.0]), other) is None
    assert paired("accuracy", own, other) is None


def test_each_norm_is_held_against_none_at_its_own_learning_rate(panels_study):
    found = contrast_norms(panels_study, first=1.0)
    assert [(c.condition.name, c.against.name) for c in found] == [
        ("batch-lr0.1-b128-dense", "none-lr0.1-b128-dense"),
        ("batch-lr0.5-b128-dense", "none-lr0.5-b128-dense"),
        ("group-lr0.1-b128-dense", "none-lr0.1-b128-dense"),
        ("group-lr0.5-b128-dense", "none-lr0.5-b128-dense"),
    ]
    assert found[0].measures["loss_band"].lower > 1
    # Seed 1 of `none` diverged at 0.5: it has no accuracy to compare.
    assert found[1].measures["accuracy"].seeds == 2
    assert found[0].measures["accuracy"].seeds == 3


def test_without_none_batch_norm_is_the_baseline(tickets_run):
    study = read_study(read_run(tickets_run))
    found = contrast_norms(study, first=1.0)
    assert {c.condition.label for c in found} == {"group"}
    assert {c.against.label for c in found} == {"batch"}
    assert {c.condition.subnetwork for c in found} == {"dense", "ticket", "random"}
    assert all(c.condition.subnetwork == c.against.subnetwork for c in found)


def test_subnetworks_are_held_against_their_own_dense_network(tickets_run):
    study = read_study(read_run(tickets_run))
    found = contrast_subnetworks(study, first=1.0)
    assert [(c.condition.label, c.condition.subnetwork) for c in found] == [
        ("batch", "ticket"),
        ("batch", "random"),
        ("group", "ticket"),
        ("group", "random"),
    ]
    assert all(
        c.against.label == c.condition.label and c.against.subnetwork == "dense" for c in found
    )


def test_a_longer_training_is_compared_as_far_as_the_shorter_went(tmp_path):
    cells = [cell("none", steps=1500), cell("batch", steps=600)]
    study = read_study(read_run(write_norms(tmp_path, cells)))
    none, batch = study.conditions
    found = contrast(study, batch, none, first=0.5)
    assert found.cut == cut(none, batch) == 600
    records = study.landscapes(none)
    width = {}
    for seed, record in records.items():
        early = record.step <= 300
        width[seed] = np.diff(record.gradient_predictiveness[early]).mean()
    own = {
        seed: np.diff(record.gradient_predictiveness[record.step <= 300]).mean()
        for seed, record in study.landscapes(batch).items()
    }
    expected = np.exp(np.mean([np.log(width[seed] / own[seed]) for seed in width]))
    assert found.measures["predictiveness"].mean == pytest.approx(expected)
    gains = [
        study.of(batch)[seed].curves["validation", "accuracy"].values[-1]
        - study.of(none)[seed].curves["validation", "accuracy"].values[600 // 50 - 1]
        for seed in (0, 1, 2)
    ]
    assert found.measures["accuracy"].mean == pytest.approx(np.mean(gains))


def test_branches_without_a_finished_network_are_left_out(tmp_path):
    unfinished = [("none-lr0.1-b128-dense", seed) for seed in (0, 1, 2)]
    study = read_study(read_run(write_norms(tmp_path, unfinished=unfinished)))
    found = summarize_conditions(study, first=1.0)
    assert [each.condition.norm for each in found] == ["batch"]
    assert contrast_norms(study, first=1.0) == ()
    assert found[0].to_dict()["measures"]["accuracy"]["seeds"] == 3
