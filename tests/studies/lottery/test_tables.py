import pytest
import synthetic_runs

from tfticket.display import words
from tfticket.report.expectation import expectation_table
from tfticket.studies.lottery import page
from tfticket.studies.lottery.summary import summarize


@pytest.fixture(scope="module")
def summary(run):
    return summarize(run)


def column(table, name):
    place = table.columns.index(name)
    return [row[place] for row in table.rows]


def all_tables(run):
    summary = summarize(run)
    return [
        page.verdict_table(summary),
        page.control_table(summary),
        expectation_table(summary.expectations),
        page.results_table(summary),
    ]


def test_each_row_has_a_cell_for_each_column(run, unfinished_run):
    for table in all_tables(run) + all_tables(unfinished_run):
        assert table.rows
        assert {len(row) for row in table.rows} == {len(table.columns)}


def test_the_verdicts(summary):
    table = page.verdict_table(summary)
    assert [cell.text for cell in column(table, "<verdict")] == [
        str(verdict.verdict) for verdict in summary.verdicts
    ]
    assert column(table, "<verdict")[-1].tag == summary.verdicts[-1].verdict.name.lower()
    gain = summary.verdicts[0].against_dense.gain
    assert column(table, "accuracy against dense, points")[0].text == words.points(gain.mean)
    for cell in column(table, "<"):
        strip = cell.strip
        assert 0 <= strip.lower <= strip.mean <= strip.upper <= 1
        assert 0 <= strip.margin < strip.zero <= 1


def test_one_seed_has_no_interval_to_draw(tmp_path):
    run = synthetic_runs.write_lottery(tmp_path, seeds=(0,), levels=2, controls=(), steps=600)
    table = page.verdict_table(summarize(run))
    assert [cell.strip for cell in column(table, "<")] == [None, None]
    assert {cell.text for cell in column(table, "more needed")} == {"at least 2"}
    assert page.control_table(summarize(run)) is None


def test_each_control_has_its_columns(summary):
    table = page.control_table(summary)
    assert table.columns[2:] == (
        "against random, points",
        "times as fast",
        "against reinit, points",
        "times as fast",
    )
    found = summary.verdicts[2].against_controls["reinit"]
    assert table.rows[2][4].text == words.points(found.gain.mean)
    assert table.rows[2][5].text == words.factor(found.speedup.mean)


def without(run, *networks):
    """The run without the measurements of some networks, each `seed,branch,level,`."""
    lines = (run / "metrics.csv").read_text().splitlines(keepends=True)
    kept = [line for line in lines if not line.startswith(networks)]
    (run / "metrics.csv").write_text("".join(kept))
    return run


def test_a_control_that_skips_a_level_leaves_a_dash(tmp_path):
    run = synthetic_runs.write_lottery(
        tmp_path, seeds=(0, 1), levels=2, controls=("random", "reinit"), steps=600
    )
    table = page.control_table(summarize(without(run, "0,reinit,1,", "1,reinit,1,")))
    assert [cell.text for cell in table.rows[0][4:]] == [words.NONE, words.NONE]
    assert words.NONE not in [cell.text for cell in table.rows[1]]


def test_a_level_without_controls_is_left_out(tmp_path):
    run = synthetic_runs.write_lottery(tmp_path, seeds=(0, 1), levels=2, steps=600)
    table = page.control_table(summarize(without(run, "0,reinit,1,", "1,reinit,1,")))
    assert [row[0].text for row in table.rows] == ["2"]


def test_all_networks_are_listed(summary):
    table = page.results_table(summary)
    assert len(table.rows) == len(summary.levels)
    assert table.rows[0][0].text == "dense"
    assert column(table, "accuracy, early stop")[0].text == words.percent(
        summary.dense.value.mean, 2
    )


def test_claims_are_in_the_unit_of_their_measure(summary):
    table = expectation_table(summary.expectations)
    assert [cell.text for cell in column(table, "paper")] == [
        f"1.61{words.TIMES}",
        "+0.30",
        f"2.51{words.TIMES}",
        f"3.6{words.THIN}%",
        f"98.00{words.THIN}%",
    ]
    assert " to " in column(table, "here")[-1].detail
