import pytest
from synthetic_runs import SELECTION, write_noisy

from tfticket.errors import RunError
from tfticket.studies.summaries import summarize


def test_gains_are_paired_by_seed(tmp_path):
    found = summarize(write_noisy(tmp_path)).to_dict()
    by_method = {each["method"]: each for each in found["trainings"]}
    assert by_method["cross_entropy"]["gain"] is None
    gain = by_method["coteaching"]["gain"]
    assert (gain["mean"], gain["seeds"]) == (pytest.approx(0.105), 2)
    measured = by_method["coteaching"]["measures"]["accuracy_last"]
    assert measured["by_seed"] == {"0": 0.8, "1": 0.83}
    assert (found["complete"], found["missing"], found["seeds"]) == (True, [], [0, 1])


def test_only_seeds_that_both_have_are_compared(tmp_path):
    run = write_noisy(tmp_path, unfinished=[("cross_entropy", 1)])
    found = summarize(run)
    gain = found.trainings[1].gain
    assert (gain.mean, gain.seeds) == (pytest.approx(0.1), 1)
    assert found.missing == ("cross_entropy: seed 1 not finished",)


def test_a_selection_that_methods_share_counts_once(tmp_path):
    methods = {"cross_entropy": (0.7, 0.7), "coteaching": (0.8, 0.8), "incv": (0.8, 0.9)}
    run = write_noisy(tmp_path, methods, measures={"coteaching": SELECTION, "incv": SELECTION})
    found = summarize(run).selections
    assert [(one.noise, one.seed) for one in found] == [("symmetric0.5", 0), ("symmetric0.5", 1)]
    assert found[0].error == pytest.approx(0.007)
    assert found[0].holds
    assert found[0].sets == {"selected": 0.5, "candidates": 0.375, "removed": 0.125}
    assert [one["selected"] for one in found[0].rounds] == [80, 20]


def test_selections_stand_in_the_order_of_the_recipe(tmp_path):
    noises = {"symmetric": 0.5, "pair": 0.4}
    run = write_noisy(tmp_path, {"held_out": (0, 0)}, noises=noises,
                    measures={"held_out": SELECTION})  # fmt: skip
    found = summarize(run).selections
    assert [one.noise for one in found] == ["symmetric0.5"] * 2 + ["pair0.4"] * 2
    assert [one.holds for one in found] == [True, True, False, False]


def test_a_damaged_list_is_refused(tmp_path):
    write_noisy(tmp_path)
    (tmp_path / "cells.json").write_text("{}")
    with pytest.raises(RunError, match="must list the trainings"):
        summarize(tmp_path)
