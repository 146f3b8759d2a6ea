import json

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tfticket.lottery.comparison import Criteria, Outcome, compare
from tfticket.lottery.verdict import Verdict, judge, seeds_needed, smallest_winning, verdict_of

DENSE = [0.980, 0.982, 0.978]
STEPS = [4000, 4400, 3800]


def arm(accuracies, steps):
    return {
        seed: Outcome(accuracy, accuracy, step)
        for seed, (accuracy, step) in enumerate(zip(accuracies, steps, strict=True))
    }


def against_dense(gains, factors):
    """The comparison of a ticket with these gains and speed-ups, seed by seed."""
    return compare(
        arm(np.add(DENSE[: len(gains)], gains), np.divide(STEPS[: len(gains)], factors)),
        arm(DENSE[: len(gains)], STEPS[: len(gains)]),
    )


@pytest.mark.parametrize(
    ("gains", "factors", "verdict"),
    [
        ([0.003, 0.0035, 0.0025], [1.5, 1.6, 1.4], "winning"),
        ([-0.0005, -0.0004, -0.0006], [1.5, 1.6, 1.4], "winning"),
        ([0.003, 0.0035, 0.0025], [1.5, 0.8, 1.4], "matching"),
        ([0.003, 0.0035, 0.0025], [0.5, 0.6, 0.4], "matching"),
        ([-0.02, -0.021, -0.019], [1.5, 1.6, 1.4], "worse"),
        ([-0.02, -0.021, -0.019], [0.5, 0.6, 0.4], "worse"),
        ([0.01, -0.02, 0.01], [1.5, 1.6, 1.4], "can't tell"),
        # Below dense for sure, but perhaps by less than the margin.
        ([-0.0019, -0.0015, -0.0017], [1.5, 1.6, 1.4], "can't tell"),
    ],
)
def test_the_table_of_the_module(gains, factors, verdict):
    assert verdict_of(against_dense(gains, factors)) == verdict


def test_one_seed_never_tells():
    single = against_dense([0.5], [10.0])
    assert verdict_of(single) is Verdict.CANT_TELL
    assert seeds_needed(single) is None


def test_the_margin_decides_between_matching_and_worse():
    comparison = against_dense([-0.01, -0.0105, -0.0095], [1.5, 0.8, 1.4])
    assert verdict_of(comparison, margin=0.002) is Verdict.WORSE
    assert verdict_of(comparison, margin=0.02) is Verdict.MATCHING


def test_nothing_more_is_needed_when_all_is_settled():
    for gains, factors in [
        ([0.003, 0.0035, 0.0025], [1.5, 1.6, 1.4]),
        ([0.003, 0.0035, 0.0025], [0.5, 0.6, 0.4]),
        ([-0.02, -0.021, -0.019], [1.5, 0.6, 1.4]),
    ]:
        assert seeds_needed(against_dense(gains, factors)) == 3


def test_no_number_of_seeds_shows_a_speedup_of_one():
    comparison = against_dense([0.003, 0.0035, 0.0025], [2.0, 0.5, 1.0])
    assert verdict_of(comparison) is Verdict.MATCHING
    assert seeds_needed(comparison) is None


def repeated(values, n):
    """`n` values of the same mean and sample standard deviation as `values`."""
    unit = np.tile([1.0, -1.0], n)[:n]
    unit = (unit - unit.mean()) / unit.std(ddof=1)
    return np.mean(values) + np.std(values, ddof=1) * unit


def settled(gains, log_factors, n, margin):
    gains, factors = repeated(gains, n), np.exp(repeated(log_factors, n))
    comparison = compare(arm(0.5 + gains, 1e4 / factors), arm([0.5] * n, [1e4] * n))
    verdict = verdict_of(comparison, margin=margin)
    later = comparison.speedup.upper < 1
    return verdict in ("winning", "worse") or (verdict == "matching" and later)


@given(
    st.lists(st.floats(-0.02, 0.02), min_size=3, max_size=3),
    st.lists(st.floats(-1, 1), min_size=3, max_size=3),
)
def test_the_seeds_needed_settle_it_and_one_less_does_not(gains, log_factors):
    assume(np.std(gains) > 1e-5 and np.std(log_factors) > 1e-3)
    comparison = against_dense(gains, np.exp(log_factors))
    needed = seeds_needed(comparison)
    assume(needed is not None and needed <= 60)
    assert settled(gains, log_factors, needed, 0.002)
    if needed > 3:
        assert not settled(gains, log_factors, needed - 1, 0.002)


def test_a_level_is_judged_against_dense_and_controls():
    dense, ticket = arm(DENSE, STEPS), arm([0.983, 0.986, 0.981], [2000, 2300, 1900])
    verdict = judge(
        7,
        0.21,
        ticket=ticket,
        dense=dense,
        controls={"reinit": arm([0.975, 0.977, 0.974], [6000, 6600, 5400]), "random": {}},
    )
    assert verdict.verdict is Verdict.WINNING
    assert verdict.more_seeds == 0
    assert list(verdict.against_controls) == ["reinit"]
    assert verdict.against_controls["reinit"].speedup.mean == pytest.approx(2.9, abs=0.1)
    written = json.loads(json.dumps(verdict.to_dict(), allow_nan=False))
    assert written["verdict"] == "winning"
    assert written["against_controls"]["reinit"]["gain"]["seeds"] == 3


def test_more_seeds_counts_those_at_hand():
    dense = arm(DENSE, STEPS)
    ticket = arm(np.add(DENSE, [0.002, -0.004, 0.004]), np.divide(STEPS, [1.5, 1.6, 1.4]))
    verdict = judge(3, 0.5, ticket=ticket, dense=dense)
    assert verdict.verdict is Verdict.CANT_TELL
    assert verdict.more_seeds == verdict.seeds_needed - 3 > 0


def test_resolution_keeps_two_equal_seeds_from_passing_as_proof():
    dense, ticket = arm(DENSE[:2], [400, 400]), arm(DENSE[:2], [300, 300])
    fine = Criteria(accuracy_resolution=1e-6, step_resolution=1)
    coarse = Criteria(accuracy_resolution=1 / 360, step_resolution=100)
    assert judge(1, 0.8, ticket=ticket, dense=dense, criteria=fine).verdict is Verdict.WINNING
    assert judge(1, 0.8, ticket=ticket, dense=dense, criteria=coarse).verdict is Verdict.CANT_TELL


def test_the_smallest_winning_ticket_is_the_sparsest_that_wins():
    def level(number, density, gain):
        return judge(
            number,
            density,
            ticket=arm(np.add(DENSE, [gain, gain + 1e-4, gain - 1e-4]), np.divide(STEPS, 2)),
            dense=arm(DENSE, STEPS),
        )

    levels = [level(1, 0.8, 0.001), level(2, 0.64, 0.002), level(3, 0.51, -0.03)]
    assert smallest_winning(levels).level == 2
    assert smallest_winning(levels[2:]) is None
    assert smallest_winning([]) is None
