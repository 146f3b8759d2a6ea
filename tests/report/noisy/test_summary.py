import pytest
from report.synthetic_noisy import write_run

from tfticket.errors import RunError
from tfticket.report.summary import summarize


def headline(path, accuracies):
    return summarize(write_run(path, accuracies)).headline


def test_gains_are_paired_by_seed(tmp_path):
    found = summarize(write_run(tmp_path)).to_dict()
    by_method = {each["method"]: each for each in found["trainings"]}
    assert by_method["cross_entropy"]["gain"] is None
    gain = by_method["coteaching"]["gain"]
    assert (gain["mean"], gain["seeds"]) == (pytest.approx(0.105), 2)
    measured = by_method["coteaching"]["measures"]["accuracy_last"]
    assert measured["by_seed"] == {"0": 0.8, "1": 0.83}
    assert (found["complete"], found["missing"]) == (True, [])


def test_the_headline_says_who_wins_also_when_it_is_cross_entropy(tmp_path):
    clear = {"cross_entropy": (0.7, 0.7, 0.71), "jocor": (0.8, 0.8, 0.81)}
    said = headline(tmp_path / "clear", clear)
    assert said.startswith("symmetric0.5: jocor is best, with 80.3")
    assert said.endswith("points to cross-entropy.")
    unclear = {"cross_entropy": (0.7, 0.8), "jocor": (0.8, 0.75)}
    assert headline(tmp_path / "unclear", unclear).endswith("seeds can't tell them apart.")
    lost = {"cross_entropy": (0.7, 0.8), "jocor": (0.6, 0.7)}
    assert "plain cross-entropy wins" in headline(tmp_path / "lost", lost)
    alone = headline(tmp_path / "alone", {"jocor": (0.6, 0.7)})
    assert alone.endswith("65.0\N{NARROW NO-BREAK SPACE}% test accuracy.")


def test_an_unfinished_run_says_what_is_missing(tmp_path):
    found = summarize(write_run(tmp_path, complete=False))
    assert found.missing == ("3 of 4 trainings are finished.",)
    (tmp_path / "cells.json").unlink()
    assert summarize(tmp_path).headline == "Nothing is trained yet."


def test_a_damaged_list_is_refused(tmp_path):
    write_run(tmp_path)
    (tmp_path / "cells.json").write_text("{}")
    with pytest.raises(RunError, match="must list the trainings"):
        summarize(tmp_path)
