import io
import itertools
from dataclasses import replace
from pathlib import Path

import pytest
from plans import network, search

from tfticket.cli.progress import (
    Lines,
    StepClock,
    done_line,
    measurements,
    plan_lines,
)
from tfticket.runs.plan import Plan, Survivors, Trial
from tfticket.runs.progress import Progress, Silence

PLAN = search([Survivors({"a/kernel": 100}, 100)] * 2, {"ticket": (0, 1)}, seeds=(0,))

MEASURED = {"loss": 0.5, "accuracy": 0.75, "val_loss": 0.6, "val_accuracy": 0.7}


class Clock:
    """Time that goes on only when it is told to."""

    def __init__(self):
        self.time = 0.0

    def __call__(self):
        return self.time


def tell(progress: Progress, clock: Clock, seconds_a_step: float):
    """A run of two levels, evaluated every 50 steps."""
    progress.plan(PLAN)
    for level in (0, 1):
        progress.begin(Trial(0, "ticket", level), 100, 1.0 - 0.2 * level)
        for step in (50, 100):
            clock.time += 50 * seconds_a_step
            progress.update(step, MEASURED)
        progress.end(
            Trial(0, "ticket", level),
            {"accuracy_at_early_stop": 0.71, "early_stop_step": 50, "seconds": 9},
        )
    progress.message("done")


def test_the_time_left_is_measured_after_the_first_evaluation():
    clock = Clock()
    steps = StepClock(1000, clock)
    assert steps.seconds_left is None
    clock.time = 20.0  # compilation
    steps.advance(100)
    assert steps.seconds_left is None
    clock.time = 30.0
    steps.advance(100)
    assert steps.seconds_left == pytest.approx(80.0)


def test_the_planned_time_holds_until_it_is_measured():
    clock = Clock()
    steps = StepClock(1000, clock, planned_seconds=600.0)
    assert steps.seconds_left == 600.0
    clock.time = 100.0
    assert steps.seconds_left == 500.0
    steps.advance(100)
    assert steps.seconds_left == pytest.approx(540.0)
    clock.time = 200.0
    steps.advance(100)
    assert steps.seconds_left == pytest.approx(800.0)


def test_an_evaluation_that_took_long_tells_the_rate_where_nothing_is_planned():
    clock = Clock()
    steps = StepClock(1000, clock)
    clock.time = 50.0
    steps.advance(100)
    assert steps.seconds_left == pytest.approx(450.0)


def test_the_time_left_falls_until_the_next_evaluation_is_due():
    clock = Clock()
    steps = StepClock(1000, clock)
    for clock.time in (10.0, 20.0):
        steps.advance(100)
    assert steps.seconds_left == pytest.approx(80.0)
    clock.time = 25.0
    assert steps.seconds_left == pytest.approx(75.0)
    clock.time = 1000.0
    assert steps.seconds_left == pytest.approx(70.0)


def test_plain_lines_tell_each_level_and_now_and_then_a_step():
    clock, stream = Clock(), io.StringIO()
    tell(Lines(stream, clock), clock, seconds_a_step=0.2)
    lines = stream.getvalue().splitlines()
    assert lines[0] == "Seed 0; 100 steps a level."
    shown = "validation accuracy 70.00 %  validation loss 0.6000  accuracy 75.00 %  loss 0.5000"
    assert [line for line in lines if "step 100/100" in line] == [
        f"seed 0  ticket    level  0  density 100.00 %  step 100/100  {shown}  20 s left",
        f"seed 0  ticket    level  1  density  80.00 %  step 100/100  {shown}  0 s left",
    ]
    ended = "seed 0  ticket    level  0  density 100.00 %  test accuracy 71.00 %  at step 50  9.0 s"
    assert f"{ended}  20 s left" in lines
    assert lines[-1] == "done"


def test_plain_lines_are_few_when_steps_are_quick():
    clock, stream = Clock(), io.StringIO()
    tell(Lines(stream, clock), clock, seconds_a_step=0.001)
    assert "loss" not in stream.getvalue()


def test_plain_lines_are_rarer_the_longer_a_run_takes():
    clock, stream = Clock(), io.StringIO()
    lines = Lines(stream, clock)
    lines.begin(Trial(0, "ticket", 0), 10**6, 1.0)
    said = []
    for second in range(1, 2001):
        clock.time = float(second)
        before = len(stream.getvalue())
        lines.update(second, {})
        said += [second] if len(stream.getvalue()) > before else []
    assert said[:3] == [3, 6, 9]  # no silence longer than some seconds in the first minute
    assert {later - now for now, later in itertools.pairwise(said[-5:])} == {60}


def test_silence_says_nothing(capfd):
    tell(Silence(), Clock(), seconds_a_step=1.0)
    assert capfd.readouterr() == ("", "")


NORMS = Plan("Tiny", (0,), (network("batch-lr0.1", 1, 100),), 100, None, 0, probes=4)


def told_of_norms(measured, summary):
    clock, stream = Clock(), io.StringIO()
    lines = Lines(stream, clock)
    lines.plan(NORMS)
    lines.begin(Trial(0, "batch-lr0.1", 0), 100, 1.0)
    clock.time += 60
    lines.update(50, measured)
    lines.end(Trial(0, "batch-lr0.1", 0), summary)
    return stream.getvalue().splitlines()


def test_a_network_of_a_study_of_norms_has_no_level_and_tells_its_landscape():
    measured = {**MEASURED, "learning_rate": 0.1, "gauge": 0.834, "beta": 12.34}
    *_, step, end = told_of_norms(measured, {"accuracy_at_end": 0.5, "seconds": 61.0})
    assert step == (
        "seed 0  batch-lr0.1  step 50/100  validation accuracy 70.00 %  validation loss 0.6000  "
        "accuracy 75.00 %  loss 0.5000  lr 0.1  lr*sharpness/2 0.83  beta 12.3  60 s left"
    )
    assert end == "seed 0  batch-lr0.1  test accuracy 50.00 %  61.0 s  60 s left"


def test_a_regression_has_losses_only():
    assert measurements({"loss": 28_737.2, "val_loss": 3.5}) == [
        "validation loss 3.5000",
        "loss 28,737",
    ]
    end = told_of_norms(MEASURED, {"loss_at_end": 1234.5, "seconds": 1.0})[-1]
    assert end == "seed 0  batch-lr0.1  test loss 1,234  1.0 s  60 s left"


def test_a_network_that_diverged_says_so():
    end = told_of_norms(MEASURED, {"diverged": 1.0, "diverged_step": 50.0, "accuracy_at_end": 0.1})
    assert end[-1] == "seed 0  batch-lr0.1  diverged by step 50  60 s left"


def test_networks_that_are_trained_at_the_same_time_say_which_they_are():
    clock, stream = Clock(), io.StringIO()
    lines = Lines(stream, clock)
    lines.plan(PLAN)
    one, other = lines.part("seed 0"), lines.part("seed 1")
    one.begin(Trial(0, "ticket", 0), 100, 1.0)
    other.begin(Trial(1, "ticket", 0), 100, 1.0)
    for step in (50, 100):
        for part in (one, other):
            clock.time += 20
            part.update(step, MEASURED)
    one.end(Trial(0, "ticket", 0), {"seconds": 80})
    dense = "ticket    level  0  density 100.00 %"
    shown = "validation accuracy 70.00 %  validation loss 0.6000  accuracy 75.00 %  loss 0.5000"
    assert stream.getvalue().splitlines()[-5:] == [
        f"seed 0  {dense}  step 50/100  {shown}",
        f"seed 1  {dense}  step 50/100  {shown}  40 s left",
        f"seed 0  {dense}  step 100/100  {shown}  20 s left",
        f"seed 1  {dense}  step 100/100  {shown}  0 s left",
        f"seed 0  {dense}  80.0 s  0 s left",
    ]


def test_a_search_of_several_at_the_same_time_says_its_structure():
    stream = io.StringIO()
    lines = Lines(stream, Clock())
    lines.plan(PLAN)
    for name in ("structure channel, seed 3", "seed 3, none"):
        part = lines.part(name)
        part.begin(Trial(3, "ticket", 1), 100, 0.8)
        part.end(Trial(3, "ticket", 1), {"seconds": 80})
    channel, plain = stream.getvalue().splitlines()[-2:]
    assert channel == f"structure channel  {plain}"
    assert plain.startswith("seed 3  ticket")


LEVELS = (
    Survivors({"a/kernel": 100, "output/kernel": 10}, 110),
    Survivors({"a/kernel": 80, "output/kernel": 9}, 110),
)
BRANCHES = {"ticket": (0, 1), "reinit": (1,)}
WHOLE_PLAN = search(LEVELS, BRANCHES, steps=1000, seconds=90.0, size_bytes=12_345_678)


def test_a_plan_says_levels_steps_time_and_space():
    assert plan_lines(WHOLE_PLAN) == [
        "Seeds 0, 1; 1,000 steps a level.",
        "",
        "  level  density   weights  a/kernel  output/kernel",
        "      0  100.00 %      110       100             10",
        "      1   80.91 %       89        80              9",
        "",
        "  ticket: levels 0 to 1",
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
    left = replace(WHOLE_PLAN, steps_left=2000, seconds=None)
    assert plan_lines(left)[-1] == "2,000 of 6,000 steps left, about 12 MB on disk."


def test_what_is_done_is_said_of_the_run_that_would_go_on():
    run = Path("runs/tiny/default")
    assert done_line(WHOLE_PLAN, run, 0) == "Nothing is done yet in runs/tiny/default."
    left = replace(WHOLE_PLAN, steps_left=2000)
    assert done_line(left, run, 4) == (
        "Done in runs/tiny/default: 4 of 6 networks, 4,000 of 6,000 steps."
    )


def test_many_kernels_are_not_listed():
    counts = {f"layer{n}/kernel": 10 for n in range(20)}
    plan = search([Survivors(counts, 200)], {"ticket": (0,)})
    assert plan_lines(plan)[2] == "  level  density   weights"


NORMS_PLAN = Plan(
    title="Tiny",
    seeds=(0, 1),
    conditions=(network("batch-lr0.1", 2, 1200), network("group-lr0.1", 1, 600)),
    probes=30,
    steps_left=3000,
    seconds=90.0,
    size_bytes=3_000_000,
)


def test_a_plan_of_norms_says_networks_steps_time_and_space():
    assert plan_lines(NORMS_PLAN) == [
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
    lines = plan_lines(replace(NORMS_PLAN, conditions=conditions, probes=0))
    assert lines[0] == "Seeds 0, 1; 2 networks."
    assert lines[2:5] == [
        "  network       seeds  steps  steps of its search",
        "  batch-dense       1    600                    0",
        "  batch-ticket      1    600                1,200",
    ]
