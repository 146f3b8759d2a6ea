import math

import pytest
from estimates import estimate

from tfticket.display.words import MINUS, NONE
from tfticket.report.estimate import EXTREMES, Estimate
from tfticket.report.expectation import (
    POINTS,
    POINTS_LOST,
    TIMES,
    Expectation,
    Measured,
    Verdict,
    all_met,
    beside_paper,
    check,
    counted,
    expectation_table,
)

ALONE = Estimate.of({0: 4.0})


def expect(ours, unit=TIMES, remark="", **table):
    (found,) = check([{"claim": "it is so", **table}],
                     lambda _: Measured(ours, "speed", unit, remark=remark))  # fmt: skip
    return found


@pytest.mark.parametrize(
    ("ours", "at_least", "at_most", "verdict"),
    [
        (estimate(3.1, 4, 5), 3.0, None, Verdict.MET),
        (estimate(2.9, 4, 5), 3.0, None, Verdict.NOT_SIGNIFICANT),
        (estimate(1, 2, 2.9), 3.0, None, Verdict.NOT_MET),
        (estimate(-2, -1, -0.1), None, 0.0, Verdict.MET),
        (estimate(0.1, 1, 2), None, 0.0, Verdict.NOT_MET),
        (estimate(0.1, 1, 2), 0.0, 3.0, Verdict.MET),
        (estimate(0.1, 1, 4), 0.0, 3.0, Verdict.NOT_SIGNIFICANT),
        (estimate(-math.inf, 9, math.inf, seeds=1), 3.0, None, Verdict.NOT_SIGNIFICANT),
        (estimate(3.1, 4, 5), None, None, Verdict.NOTED),
        (None, 3.0, None, Verdict.NOT_MEASURED),
        (None, None, None, Verdict.NOT_MEASURED),
    ],
)
def test_a_bound_is_held_against_the_whole_interval(ours, at_least, at_most, verdict):
    assert expect(ours, at_least=at_least, at_most=at_most).verdict is verdict


@pytest.mark.parametrize(
    ("values", "bound", "verdict"),
    [
        ((3.0, 4.0), {"at_least": 3.0}, Verdict.MET),
        ((3.0, 4.0), {"at_least": 3.5}, Verdict.NOT_MET),
        ((3.0, 4.0), {"at_most": 4.0}, Verdict.MET),
        ((3.0, 4.0), {"at_most": 3.5}, Verdict.NOT_MET),
        ((3.0,), {"at_least": 3.0}, Verdict.MET),
        ((3.0,), {"at_most": 2.9}, Verdict.NOT_MET),
    ],
)
def test_where_every_seed_must_meet_it_the_worst_one_counts(values, bound, verdict):
    ours = Estimate.of_extremes(dict(enumerate(values)))
    assert ours.how == EXTREMES
    assert expect(ours, **bound).verdict is verdict


def test_what_is_not_significant_says_on_which_side_the_mean_is():
    assert expect(estimate(2, 4, 5), at_least=3).remark == "the mean meets it"
    assert expect(estimate(2, 2.5, 5), at_least=3).remark == "the mean doesn't meet it"
    assert expect(ALONE, at_least=3).remark == "one seed, which meets it"
    assert expect(ALONE, at_most=3, remark="early").remark == (
        "one seed, which doesn't meet it; early"
    )


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
    assert beside_paper(estimate(3, 4, 5), value, neutral=1.0) == text


def test_a_number_without_a_neutral_one_is_above_or_below():
    assert beside_paper(estimate(3, 4, 5), 2.0, neutral=None) == "above the paper"
    assert beside_paper(estimate(3, 4, 5), 6.0, neutral=None) == "below the paper"


def test_expectations_with_a_bound_are_counted():
    met, missed = expect(estimate(3.1, 4, 5), at_least=3), expect(estimate(1, 2, 2.9), at_least=3)
    unknown, noted = expect(estimate(2, 4, 5), at_least=3), expect(estimate(2, 4, 5), value=4)
    absent = expect(None, at_least=3)
    assert counted([met, noted, met, missed, unknown, absent]) == [
        "Of 5 expectations: 2 met, 1 not met, 1 not significant, 1 not measured."
    ]
    assert counted([noted, expect(None)]) == []
    assert all_met([met, noted])
    assert not all_met([met, unknown])
    assert not all_met([noted])


def test_a_loss_is_negative_and_its_bounds_turn():
    ours = Estimate.of_extremes({0: 0.004, 1: -0.001})
    found = expect(ours, POINTS_LOST, at_most=0.005, value=0.01)
    assert found.verdict is Verdict.MET
    (row,) = expectation_table([found]).rows
    assert [cell.text for cell in row] == [
        "it is so", "speed", f"{MINUS}1.00", f"≥ {MINUS}0.50", f"{MINUS}0.15", "2", "met",
    ]  # fmt: skip
    assert row[4].detail == f"{MINUS}0.40 to +0.10"
    assert found.to_dict()["ours"]["max"] == 0.004


def test_the_table_has_no_column_that_nothing_fills():
    columns = expectation_table([expect(estimate(3, 4, 5))]).columns
    assert columns == ("<claim", "<measure", "here", "seeds", "<verdict")
    table = expectation_table([expect(None, POINTS, at_least=0.0, at_most=0.1, source="table 2")])
    assert table.columns == ("<claim", "<where", "<measure", "asked for", "<verdict")
    assert table.rows[0][3].text == "≥ 0.00, ≤ +10.00"
    assert expectation_table([]) is None


def test_json_is_the_table_of_the_recipe_and_what_came_out():
    found = expect(None, at_least=3.0, remark="no finished network").to_dict()
    assert found == {
        "measure": "speed", "claim": "it is so", "at_least": 3.0, "ours": None,
        "reading": "not measured", "why": "no finished network",
    }  # fmt: skip
    assert isinstance(expect(ALONE), Expectation)
    assert NONE not in expectation_table([expect(ALONE)]).rows[0]
