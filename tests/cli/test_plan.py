from dataclasses import replace
from pathlib import Path

import pytest
from plans import network, search

from tfticket.cli.plan import done_line, duration, plan_lines, ranges
from tfticket.runs.plan import Plan, Survivors

LEVELS = (
    Survivors({"a/kernel": 100, "output/kernel": 10}, 110),
    Survivors({"a/kernel": 80, "output/kernel": 9}, 110),
)
BRANCHES = {"ticket": (0, 1), "reinit": (1,)}
PLAN = search(LEVELS, BRANCHES, steps=1000, seconds=90.0, size_bytes=12_345_678)


def test_a_plan_says_levels_steps_time_and_space():
    assert plan_lines(PLAN) == [
        "Seeds 0, 1; 1,000 steps a level.",
        "",
        "  level  density   weights  a/kernel  output/kernel",
        "      0  100.00 %      110       100             10",
        "      1   80.91 %       89        80              9",
        "",
        "  ticket: levels 0-1",
        "  reinit: levels 1",
        "",
        "6,000 steps, about 2 min, about 12 MB on disk.",
    ]


def test_a_plan_says_the_structure_and_what_is_only_expected():
    levels = (LEVELS[0], replace(LEVELS[1], exact=False))
    lines = plan_lines(search(levels, BRANCHES, steps=1000, structure="channel"))
    assert lines[0] == "Seeds 0, 1; 1,000 steps a level; structure channel."
    assert lines[5] == "  These counts are expected; the exact ones depend on the scores."


def test_a_resumed_plan_says_what_is_left():
    left = replace(PLAN, steps_left=2000, seconds=None)
    assert plan_lines(left)[-1] == "2,000 of 6,000 steps left, about 12 MB on disk."


def test_what_is_done_is_said_of_the_run_that_would_go_on():
    run = Path("runs/tiny/default")
    assert done_line(PLAN, run, 0) == "Nothing is done yet in runs/tiny/default."
    left = replace(PLAN, steps_left=2000)
    assert done_line(left, run, 4) == (
        "Done in runs/tiny/default: 4 of 6 networks, 4,000 of 6,000 steps."
    )


def test_many_kernels_are_not_listed():
    counts = {f"layer{n}/kernel": 10 for n in range(20)}
    plan = search([Survivors(counts, 200)], {"ticket": (0,)})
    assert plan_lines(plan)[2] == "  level  density   weights"


NORMS = Plan(
    title="Tiny",
    seeds=(0, 1),
    conditions=(network("batch-lr0.1", 2, 1200), network("group-lr0.1", 1, 600)),
    probes=30,
    steps_left=3000,
    seconds=90.0,
    size_bytes=3_000_000,
)


def test_a_plan_of_norms_says_networks_steps_time_and_space():
    assert plan_lines(NORMS) == [
        "Seeds 0, 1; 3 networks, the landscape measured 30 times in each.",
        "",
        "  network      seeds  steps",
        "  batch-lr0.1      2  1,200",
        "  group-lr0.1      1    600",
        "",
        "3,000 steps, about 2 min, about 3 MB on disk.",
    ]


def test_a_search_for_tickets_is_part_of_the_plan():
    conditions = (network("batch-dense", 1, 600), network("batch-ticket", 1, 600, 1200))
    lines = plan_lines(replace(NORMS, conditions=conditions, probes=0))
    assert lines[0] == "Seeds 0, 1; 2 networks."
    assert lines[2:5] == [
        "  network       seeds  steps  steps of its search",
        "  batch-dense       1    600                    0",
        "  batch-ticket      1    600                1,200",
    ]


def test_ranges():
    assert ranges([3, 1, 2, 7]) == "1-3, 7"
    assert ranges([]) == ""


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.4, "0 s"),
        (59.4, "59 s"),
        (61, "1 min"),
        (3599, "1 h 00 min"),
        (7500, "2 h 05 min"),
        (172_800, "2.0 days"),
    ],
)
def test_duration_has_two_leading_units(seconds, text):
    assert duration(seconds) == text
