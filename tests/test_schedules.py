import dataclasses
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfticket.schedules import (
    IterativePruning,
    OneShot,
    PolynomialDecay,
    PruningSchedule,
    early_steps,
)

SHARES = st.floats(0.01, 0.6)
SCHEDULES = st.one_of(
    st.builds(IterativePruning, SHARES, st.integers(1, 30)),
    st.builds(OneShot, SHARES),
    st.builds(PolynomialDecay, SHARES, st.integers(1, 30), st.floats(1, 5)),
)


def test_iterative_pruning_is_the_paper_s_p_to_the_one_over_n():
    schedule = IterativePruning(0.2, 20)
    remaining = [1 - schedule.sparsity(level) for level in (0, 1, 7, 15, 20)]
    assert remaining == pytest.approx([1.0, 0.8, 0.2097, 0.0352, 0.0115], abs=5e-5)
    assert [schedule.rate(level) for level in (1, 20)] == [0.2, 0.2]


def test_one_shot_does_it_all_at_level_one():
    schedule = OneShot(0.9)
    assert schedule.levels == 1
    assert (schedule.sparsity(0), schedule.sparsity(1), schedule.rate(1)) == (
        0.0,
        0.9,
        pytest.approx(0.9),
    )


def test_polynomial_decay_is_zhu_and_gupta_s_cubic():
    schedule = PolynomialDecay(0.8, 4)
    assert [schedule.sparsity(level) for level in range(5)] == pytest.approx(
        [0.8 * (1 - (1 - level / 4) ** 3) for level in range(5)]
    )
    assert PolynomialDecay(0.8, 4, power=1).sparsity(2) == pytest.approx(0.4)


@given(SCHEDULES)
def test_every_schedule_grows_from_zero_by_its_rates(schedule):
    assert isinstance(schedule, PruningSchedule)
    assert schedule.sparsity(0) == 0.0
    remaining = 1.0
    for level in range(1, schedule.levels + 1):
        assert 0.0 <= schedule.rate(level) < 1.0
        remaining *= 1.0 - schedule.rate(level)
        assert schedule.sparsity(level) == pytest.approx(1.0 - remaining, abs=1e-9)
        assert schedule.sparsity(level - 1) <= schedule.sparsity(level) < 1.0


@given(SCHEDULES)
def test_levels_beyond_the_schedule_are_refused(schedule):
    for level in (-1, schedule.levels + 1):
        with pytest.raises(ValueError, match=rf"in \[0, {schedule.levels}\].*level={level}"):
            schedule.sparsity(level)
    for level in (0, schedule.levels + 1):
        with pytest.raises(ValueError, match=rf"in \[1, {schedule.levels}\].*level={level}"):
            schedule.rate(level)


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (lambda: IterativePruning(20, 5), r"`rate_per_level`.*not in percent.*=20"),
        (lambda: IterativePruning(0.0, 5), "rate_per_level=0.0"),
        (lambda: IterativePruning(float("nan"), 5), "rate_per_level=nan"),
        (lambda: IterativePruning(0.2, 0), "`levels` must be at least 1"),
        (lambda: OneShot(1.0), "final_sparsity=1.0"),
        (lambda: PolynomialDecay(90, 3), "final_sparsity=90"),
        (lambda: PolynomialDecay(0.9, 0), "levels=0"),
        (lambda: PolynomialDecay(0.9, 3, power=0.5), "`power` must be at least 1"),
    ],
)
def test_arguments_out_of_range(make, problem):
    with pytest.raises(ValueError, match=problem):
        make()


def test_schedules_are_plain_frozen_data():
    schedule = IterativePruning(0.2, 5)
    assert schedule == IterativePruning(0.2, 5)
    with pytest.raises(dataclasses.FrozenInstanceError):
        schedule.levels = 6


@pytest.mark.parametrize("interval", [1, 2, 4, 10, 30, 50, 100, 500])
def test_early_steps_leave_no_gap_of_more_than_half(interval):
    early = early_steps(interval)
    assert all(step % interval for step in early)
    regular = range(interval, 20 * interval + 1, interval)
    steps = sorted({*early, *regular})
    assert steps[0] == max(1, round(interval / 10))
    for before, after in itertools.pairwise(steps):
        assert after - before == 1 or after / before < 1.6
        assert after - before <= interval
    # A factor of 5 can be told from the end of the first interval back.
    assert interval < 10 or sum(step < interval for step in early) >= 5
