from dataclasses import replace

import pytest
from estimates import estimate
from synthetic_runs import cell, write_norms

from tfticket.display import words
from tfticket.report.expectation import expectation_table
from tfticket.report.reading import read_run
from tfticket.studies.norms import tables
from tfticket.studies.norms.networks import read_study
from tfticket.studies.norms.results import BatchLoss
from tfticket.studies.norms.summary import summarize_study


@pytest.fixture(scope="module")
def summary(panels_study):
    return summarize_study(panels_study)


def summary_of(run):
    return summarize_study(read_study(read_run(run)))


def column(table, name):
    place = table.columns.index(name)
    return [row[place] for row in table.rows]


def test_each_row_has_a_cell_for_each_column(summary, batches_run, tickets_run):
    found = []
    for each in (summary, summary_of(batches_run), summary_of(tickets_run)):
        found += [
            expectation_table(each.expectations),
            tables.smoothness_table(each.norms, each),
            tables.smoothness_table(each.subnetworks, each),
            tables.raw_table(each),
            tables.accuracy_table(each),
            tables.batch_table(each.batch_losses),
            tables.cost_table(each),
        ]
    there = [table for table in found if table is not None]
    assert len(there) == 15
    for table in there:
        assert table.rows
        assert {len(row) for row in table.rows} == {len(table.columns)}


def test_ratios_stand_over_their_intervals(summary):
    table = tables.smoothness_table(summary.norms, summary)
    ratio = summary.norms[0].measures["beta"]
    assert column(table, "effective beta")[0].text == words.factor(ratio.mean)
    assert " to " in column(table, "effective beta")[0].detail
    assert column(table, "learning rate")[1].text == "0.5"
    shares = [found.measures["saturated"].mean for found in summary.conditions[2:]]
    assert [cell.text for cell in column(table, "beta saturated")] == [
        words.percent(share, 0) for share in shares
    ]


def test_small_ratios_keep_their_digits():
    assert tables.ratio_cell(estimate(0.001, 0.0042, 0.01)).text == f"0.0042{words.TIMES}"
    assert tables.ratio_cell(estimate(0.1, 0.42, 0.9)).text == f"0.42{words.TIMES}"
    assert tables.ratio_cell(None).text == words.NONE


def test_claims_are_read_in_the_unit_of_their_measure(summary):
    table = expectation_table(summary.expectations)
    assert [c.text for c in column(table, "paper")] == [
        f"5.50{words.TIMES}", f"3.60{words.TIMES}", "+3.00",
    ]  # fmt: skip
    assert column(table, "asked for")[0].text == f"≥ 3.00{words.TIMES}"
    assert column(table, "<measure")[0].detail == f"first 67{words.THIN}% of training"
    assert column(table, "<verdict")[2].text == "noted"


def test_accuracies_say_what_diverged_and_what_was_gained(summary):
    table = tables.accuracy_table(summary)
    assert [c.text for c in column(table, "diverged")] == ["", "1 of 3", "", "", "", ""]
    gain = summary.norms[0].measures["accuracy"]
    assert column(table, "against baseline, points")[2].text == words.points(gain.mean)
    assert column(table, "against baseline, points")[0].text == ""


def test_statistics_have_columns_of_their_own(batches_run):
    table = tables.accuracy_table(summary_of(batches_run))
    assert "accuracy, EvalNorm" in table.columns
    assert "test accuracy" not in table.columns
    assert "batch size" in table.columns


def test_batches_have_a_row_a_norm_and_one_for_what_is_won_back(batches_run):
    table = tables.batch_table(summary_of(batches_run).batch_losses)
    assert table.columns == ("<norm", "<points of accuracy", "batch of 8", "batch of 2", "seeds")
    assert [row[0].text for row in table.rows] == ["batch", "", "group"]
    assert tables.batch_table([]) is None


def test_a_batch_size_counts_the_seeds_that_it_has_most_of():
    losses = [
        BatchLoss("batch", 8, 64, estimate(0.01, 0.02, 0.03, seeds=3), None),
        BatchLoss("batch", 2, 64, estimate(0.09, 0.12, 0.15, seeds=2), None),
    ]
    (row,) = tables.batch_table(losses).rows
    assert [cell.text for cell in row] == [
        "batch", "change from batches of 64", f"{words.MINUS}2.00", f"{words.MINUS}12.00", "3",
    ]  # fmt: skip
    assert row[3].detail == f"{words.MINUS}15.00 to {words.MINUS}9.00"


def test_a_contrast_counts_the_seeds_of_the_measure_that_has_most(summary):
    measures = {"beta": estimate(2, 3, 4, seeds=2), "loss_band": estimate(1, 2, 3, seeds=3)}
    table = tables.smoothness_table([replace(summary.norms[0], measures=measures)], summary)
    assert [cell.text for cell in column(table, "seeds")] == ["3"]


def test_an_interval_of_accuracies_ends_where_all_are_right():
    cell = tables.accuracy_cell(estimate(0.97, 0.99, 1.01))
    assert cell.text == words.percent2(0.99)
    assert cell.detail == f"{words.percent2(0.97)} to {words.percent2(1.0)}"


def test_measuring_has_a_price(summary):
    table = tables.cost_table(summary)
    assert column(table, "share")[0].text == words.percent(2.4 / 60)


def test_trainings_of_different_length_are_marked(tmp_path):
    run = write_norms(tmp_path, [cell("none", steps=1500), cell("batch", steps=600)])
    summary = summary_of(run)
    table = tables.smoothness_table(summary.norms, summary)
    assert column(table, "<against")[0].detail == "both to iteration 600"
    gains = column(tables.accuracy_table(summary), "against baseline, points")
    assert gains[1].detail.endswith("after 600")
    assert [c.text for c in column(tables.accuracy_table(summary), "iterations")] == [
        f"1{words.THIN}500", "600",
    ]  # fmt: skip
