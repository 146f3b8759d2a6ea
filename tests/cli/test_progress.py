import io
import itertools

import pytest

from tfticket.cli.progress import Lines, StepClock, measurements
from tfticket.recipe.progress import (
    NormsPlan,
    Plan,
    PlannedCell,
    PlannedLevel,
    Progress,
    Silence,
)

PLAN = Plan(
    title="Tiny",
    seeds=(0,),
    levels=(PlannedLevel(0, {"a/kernel": 100}, 100),),
    branches={"ticket": (0,)},
    steps_per_level=100,
    steps_total=200,
    steps_left=200,
    seconds=None,
    size_bytes=0,
)

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
        progress.begin(0, "ticket", level, 100, 1.0 - 0.2 * level)
        for step in (50, 100):
            clock.time += 50 * seconds_a_step
            progress.update(step, MEASURED)
        progress.end(
            0,
            "ticket",
            level,
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
    lines.begin(0, "ticket", 0, 10**6, 1.0)
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


NORMS = NormsPlan(
    title="Tiny",
    seeds=(0,),
    cells=(PlannedCell("batch-lr0.1", 1, 100),),
    probes=4,
    steps_total=100,
    steps_left=100,
    seconds=None,
    size_bytes=0,
)


def told_of_norms(measured, summary):
    clock, stream = Clock(), io.StringIO()
    lines = Lines(stream, clock)
    lines.plan(NORMS)
    lines.begin(0, "batch-lr0.1", 0, 100, 1.0)
    clock.time += 60
    lines.update(50, measured)
    lines.end(0, "batch-lr0.1", 0, summary)
    return stream.getvalue().splitlines()


def test_a_network_of_a_study_of_norms_has_no_level_and_tells_its_landscape():
    measured = {**MEASURED, "learning_rate": 0.1, "gauge": 0.834, "beta": 12.34}
    *_, step, end = told_of_norms(measured, {"accuracy_at_end": 0.5, "seconds": 61.0})
    assert step == (
        "seed 0  batch-lr0.1  step 50/100  validation accuracy 70.00 %  validation loss 0.6000  "
        "accuracy 75.00 %  loss 0.5000  lr 0.1  lr*sharpness/2 0.83  beta 12.3  1 min left"
    )
    assert end == "seed 0  batch-lr0.1  test accuracy 50.00 %  61.0 s  1 min left"


def test_a_regression_has_losses_only():
    assert measurements({"loss": 28_737.2, "val_loss": 3.5}) == [
        "validation loss 3.5000",
        "loss 28,737",
    ]
    end = told_of_norms(MEASURED, {"loss_at_end": 1234.5, "seconds": 1.0})[-1]
    assert end == "seed 0  batch-lr0.1  test loss 1,234  1.0 s  1 min left"


def test_a_network_that_diverged_says_so():
    end = told_of_norms(MEASURED, {"diverged": 1.0, "diverged_step": 50.0, "accuracy_at_end": 0.1})
    assert end[-1] == "seed 0  batch-lr0.1  diverged by step 50  1 min left"


def test_networks_that_are_trained_at_the_same_time_say_which_they_are():
    clock, stream = Clock(), io.StringIO()
    lines = Lines(stream, clock)
    lines.plan(PLAN)
    one, other = lines.part("seed 0"), lines.part("seed 1")
    one.begin(0, "ticket", 0, 100, 1.0)
    other.begin(1, "ticket", 0, 100, 1.0)
    for step in (50, 100):
        for part in (one, other):
            clock.time += 20
            part.update(step, MEASURED)
    one.end(0, "ticket", 0, {"seconds": 80})
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
        part.begin(3, "ticket", 1, 100, 0.8)
        part.end(3, "ticket", 1, {"seconds": 80})
    channel, plain = stream.getvalue().splitlines()[-2:]
    assert channel == f"structure channel  {plain}"
    assert plain.startswith("seed 3  ticket")
