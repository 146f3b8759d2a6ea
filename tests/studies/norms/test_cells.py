import json
import shutil

import numpy as np
import pytest
from synthetic_runs import cell, write_norms

from tfticket.errors import RunError
from tfticket.report.reading import read_run
from tfticket.studies.norms.networks import read_study, reference_setting, tracked


def study_of(path, *args, **options):
    return read_study(read_run(write_norms(path, *args, **options)))


def test_branches_are_what_the_file_says(panels_study):
    assert [branch.name for branch in panels_study.conditions][:2] == [
        "none-lr0.1-b128-dense",
        "none-lr0.5-b128-dense",
    ]
    branch = panels_study.conditions[0]
    assert (branch.label, branch.subnetwork) == ("none", "dense")
    assert (branch.setting, branch.steps) == ((0.1, 128), 1500)
    network = panels_study.of(branch)[0]
    assert network.landscape.step[1] == 15
    assert list(network.shift.layers) == ["conv2", "conv5", "conv8", "dense1"]
    assert 0.7 < network.results["accuracy_at_end"] < 0.9
    assert not network.diverged
    assert panels_study.of(panels_study.conditions[1])[1].diverged


def test_only_finished_networks_are_read(tmp_path):
    study = study_of(tmp_path, unfinished=[("batch-lr0.1-b128-dense", 2)])
    assert [sorted(study.of(branch)) for branch in study.conditions] == [[0, 1, 2], [0, 1]]


def test_options_are_named_where_one_norm_occurs_with_several(tmp_path):
    cells = [
        cell("group", options={"groups": 8}, name="group"),
        cell("group", options={"channels_per_group": 4}, name="group_2"),
        cell("batch", options={"momentum": 0.9}, name="batch"),
    ]
    study = study_of(tmp_path, cells)
    assert [branch.label for branch in study.conditions] == [
        "group (groups 8)",
        "group (channels per group 4)",
        "batch",
    ]


def test_a_damaged_file_is_said_and_its_rows_are_kept(tmp_path):
    run = write_norms(tmp_path)
    damaged = run / "seeds/seed_1/batch-lr0.1-b128-dense/level_00.npz"
    damaged.write_bytes(damaged.read_bytes()[:99])
    study = read_study(read_run(run))
    assert "seed_1" in study.damaged[0]
    network = study.of(study.conditions[1])[1]
    assert network.landscape is None
    assert network.results["accuracy_at_end"] > 0
    assert sorted(study.landscapes(study.conditions[1])) == [0, 2]


def test_a_run_that_has_just_begun_has_no_branches(tmp_path):
    (tmp_path / "recipe.json").write_text(json.dumps({"kind": "norms"}))
    study = read_study(read_run(tmp_path))
    assert study.conditions == ()
    assert reference_setting(study) is None
    assert tracked(study) == []


@pytest.mark.parametrize("text", ["{", "[]", '{"cells": [{"branch": "a"}]}'])
def test_a_list_of_cells_that_says_nothing_is_refused(tmp_path, panels_run, text):
    run = shutil.copytree(panels_run, tmp_path / "run")
    (run / "cells.json").write_text(text)
    with pytest.raises(RunError, match=r"cells\.json"):
        read_study(read_run(run))


def test_the_main_figures_are_of_the_recipe_s_own_condition(panels_study, tmp_path):
    assert reference_setting(panels_study) == (0.1, 128)
    assert [branch.label for branch in tracked(panels_study)] == ["none", "batch", "group"]
    # Two norms at a rate count more than one at the usual rate.
    cells = [
        cell("none", learning_rate=0.1),
        cell("none", learning_rate=0.5),
        cell("batch", learning_rate=0.5),
    ]
    assert reference_setting(study_of(tmp_path, cells)) == (0.5, 128)


def test_untracked_networks_have_no_records(batches_run):
    study = read_study(read_run(batches_run))
    assert all(study.landscapes(branch) == {} for branch in study.conditions)
    assert all(study.shifts(branch) == {} for branch in study.conditions)
    rates = np.array([branch.learning_rate for branch in study.conditions])
    assert rates.max() == pytest.approx(0.1)
