import json

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from outcomes import outcomes

from tfticket.errors import RunError
from tfticket.lottery.comparison import Comparison, Criteria, t_interval
from tfticket.lottery.verdict import (
    LevelOutcomes,
    Verdict,
    holm,
    judge,
    seeds_needed,
    smallest_matching,
    smallest_winning,
)

DENSE = [0.980, 0.982, 0.978]
STEPS = [4000, 4400, 3800]
BETTER, FASTER = [0.003, 0.0035, 0.0025], [1.5, 1.6, 1.4]
UNEVEN = [2.0, 0.4, 1.2]
TWIN = {"reinit": outcomes(np.subtract(DENSE, 0.02), np.multiply(STEPS, 3))}


def arm(gains, factors):
    """A ticket with these gains and speed-ups over the dense network, seed by seed."""
    n = len(gains)
    return outcomes(np.add(DENSE[:n], gains), np.divide(STEPS[:n], factors))


def level(gains, factors, *, number=1, density=0.5, controls=TWIN):
    return LevelOutcomes(number, density, arm(gains, factors), controls)


def judged(*levels, **options):
    return judge(levels, outcomes(DENSE, STEPS), **options)


@pytest.mark.parametrize(
    ("gains", "factors", "verdict", "beside"),
    [
        (BETTER, FASTER, "winning", (True, True)),
        ([-0.0005, -0.0004, -0.0006], FASTER, "winning", (True, False)),
        (BETTER, [1.0, 1.0, 1.0], "winning", (False, True)),
        (BETTER, UNEVEN, "matching", (False, True)),
        (BETTER, [0.5, 0.6, 0.4], "matching", (False, True)),
        ([-0.02, -0.021, -0.019], FASTER, "worse", (True, False)),
        ([-0.02, -0.021, -0.019], [0.5, 0.6, 0.4], "worse", (False, False)),
        ([0.01, -0.02, 0.01], FASTER, "can't tell", (True, False)),
        # Below dense for sure, but perhaps by less than the margin.
        ([-0.0019, -0.0015, -0.0017], FASTER, "can't tell", (True, False)),
    ],
)
def test_the_table_of_the_module(gains, factors, verdict, beside):
    (found,) = judged(level(gains, factors))
    assert found.verdict == verdict
    assert (found.faster, found.more_accurate) == beside
    assert found.family.winning == (verdict == "winning")
    assert found.family.matching == (verdict in ("winning", "matching"))


@pytest.mark.parametrize(
    ("ticket", "options", "lacking"),
    [
        (level(BETTER, FASTER, controls={}), {}, "reinitialized control not trained"),
        (level(BETTER, UNEVEN), {}, "not shown to be as soon"),
        (level(BETTER, [0.5, 0.6, 0.4]), {}, "learns later"),
        (level(BETTER, FASTER), {"rewound": False}, "weights not rewound"),
        (
            level(BETTER, FASTER, controls={"reinit": arm(BETTER, FASTER)}),
            {},
            "reinitialized control not shown to be behind",
        ),
        (
            level(BETTER, UNEVEN, controls={"random": TWIN["reinit"]}),
            {},
            "not shown to be as soon; reinitialized control not trained",
        ),
        (level(BETTER, FASTER), {}, ""),
        (level([-0.1, -0.11, -0.12], FASTER), {}, ""),
    ],
)
def test_a_ticket_that_matches_says_what_it_lacks(ticket, options, lacking):
    (found,) = judged(ticket, **options)
    assert found.lacking == lacking
    if lacking:
        assert found.verdict is Verdict.MATCHING
        assert not found.family.winning


def test_the_twin_may_be_behind_in_accuracy_or_in_speed():
    less_accurate = outcomes(np.subtract(DENSE, 0.02), np.divide(STEPS, FASTER))
    slower = outcomes(np.add(DENSE, BETTER), np.multiply(STEPS, 3))
    for twin in (less_accurate, slower):
        (found,) = judged(level(BETTER, FASTER, controls={"reinit": twin}))
        assert found.verdict is Verdict.WINNING


def test_ahead_of_a_twin_by_either_is_tested_at_half_the_error_each():
    # A gain over the twin with a one-sided p-value between 1.25 and 2.5 %.
    apart = np.array([0.010, 0.0135, 0.0065])
    twin = outcomes(np.add(DENSE, BETTER) - apart, np.divide(STEPS, FASTER))
    (found,) = judged(level(BETTER, FASTER, controls={"reinit": twin}))
    assert 0.0125 < found.twin.gain.p_value(0.0) < 0.025
    assert found.twin.speedup.p_value(1.0) > 0.1
    assert found.verdict is Verdict.MATCHING
    (wide,) = judged(
        level(BETTER, FASTER, controls={"reinit": twin}), criteria=Criteria(confidence=0.9)
    )
    assert wide.verdict is Verdict.WINNING


def test_one_seed_never_tells():
    (single,) = judged(level([0.5], [10.0]))
    assert single.verdict is Verdict.CANT_TELL
    assert (single.faster, single.more_accurate) == (False, False)
    assert single.seeds_needed is single.more_seeds is None
    assert not single.family.matching
    json.dumps(single.to_dict(), allow_nan=False)


def test_margins_decide():
    worse = [-0.01, -0.0105, -0.0095]
    assert judged(level(worse, FASTER))[0].verdict is Verdict.WORSE
    wide = judged(level(worse, FASTER), criteria=Criteria(margin=0.02))
    assert wide[0].verdict is Verdict.WINNING
    later = [0.8, 0.81, 0.79]
    assert judged(level(BETTER, later))[0].verdict is Verdict.MATCHING
    patient = judged(level(BETTER, later), criteria=Criteria(time_margin=0.5))
    assert patient[0].verdict is Verdict.WINNING


def test_a_level_is_held_against_dense_and_controls():
    reinit = outcomes([0.975, 0.977, 0.974], [6000, 6600, 5400])
    (found,) = judged(level(BETTER, [2, 2, 2], controls={"reinit": reinit, "random": {}}))
    assert list(found.against_controls) == ["reinit"]
    assert found.twin is found.against_controls["reinit"]
    assert found.twin.speedup.mean == pytest.approx(2.95, abs=0.1)
    written = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert written["verdict"] == "winning"
    assert written["against_controls"]["reinit"]["gain"]["seeds"] == 3
    assert written["family"]["winning"] is True
    with pytest.raises(RunError, match="seed in common"):
        judge([LevelOutcomes(1, 0.5, {7: arm(BETTER, FASTER)[0]})], outcomes(DENSE, STEPS))


def test_two_seeds_that_agree_to_the_last_digit_are_no_proof():
    dense, ticket = outcomes(DENSE[:2], [400, 400]), outcomes(DENSE[:2], [300, 300])
    twin = {"reinit": outcomes([0.5, 0.5], [9000, 9000])}
    (fine,) = judge([LevelOutcomes(1, 0.8, ticket, twin)], dense)
    assert fine.verdict is Verdict.WINNING
    blunt = Criteria(accuracy_resolution=1 / 360)
    (coarse,) = judge([LevelOutcomes(1, 0.8, ticket, twin)], dense, criteria=blunt)
    assert coarse.verdict is Verdict.CANT_TELL


# All levels together.


def test_the_smallest_winning_ticket_is_the_sparsest_that_survives():
    found = judged(
        level(BETTER, FASTER, number=1, density=0.8),
        level(BETTER, FASTER, number=2, density=0.64, controls={}),
        level([-0.03, -0.031, -0.029], FASTER, number=3, density=0.51),
    )
    assert smallest_winning(found).level == 1
    assert smallest_matching(found).level == 2
    assert smallest_winning(found[1:]) is smallest_matching(found[2:]) is None
    assert smallest_winning([]) is smallest_matching([]) is None


def test_a_level_that_wins_alone_may_not_win_among_many():
    barely = [0.0021, 0.0001, 0.0010]  # the interval just lies above minus the margin
    (alone,) = judged(level(barely, FASTER))
    assert alone.verdict is Verdict.WINNING
    assert alone.family.winning
    many = judged(*(level(barely, FASTER, number=n, density=0.8**n) for n in range(1, 6)))
    assert {found.verdict for found in many} == {Verdict.WINNING}
    assert smallest_winning(many) is None
    assert many[0].family.p_winning == pytest.approx(5 * alone.family.p_winning)
    # Levels that can't win aren't tested, and cost the others nothing.
    few = judged(
        level(barely, FASTER, number=9, density=0.1),
        *(level(barely, FASTER, number=n, density=0.8**n, controls={}) for n in range(1, 6)),
    )
    assert smallest_winning(few).level == 9


def test_intervals_of_the_family_hold_for_all_levels_at_once():
    one = judged(level(BETTER, FASTER))[0]
    many = judged(*(level(BETTER, FASTER, number=n, density=0.8**n) for n in range(1, 6)))
    assert one.family.gain == one.against_dense.gain
    assert many[0].family.gain.confidence == pytest.approx(1 - 0.05 / 5)
    assert many[0].family.gain.lower < many[0].against_dense.gain.lower
    assert many[0].family.speedup.upper > many[0].against_dense.speedup.upper


def test_a_further_look_asks_for_more():
    barely = [0.0021, 0.0001, 0.0010]
    assert judged(level(barely, FASTER))[0].verdict is Verdict.WINNING
    (second,) = judged(level(barely, FASTER), criteria=Criteria(looks=2))
    assert second.verdict is Verdict.CANT_TELL
    assert second.against_dense.gain.confidence == pytest.approx(0.975)


@given(st.lists(st.none() | st.floats(0, 1), max_size=8))
def test_holm_is_the_step_down_procedure(p_values):
    adjusted = holm(p_values)
    tested = [place for place, p in enumerate(p_values) if p is not None]
    for alpha in (0.01, 0.05, 0.3):
        # By hand: reject the smallest while p <= alpha / (number of those left).
        rejected = set()
        for rank, place in enumerate(sorted(tested, key=lambda place: p_values[place])):
            if p_values[place] * (len(tested) - rank) > alpha:
                break
            rejected.add(place)
        assert {place for place, p in enumerate(adjusted) if p <= alpha} == rejected


# How many seeds it would take.


def test_nothing_more_is_needed_when_all_is_settled():
    for gains, factors in [
        (BETTER, FASTER),
        (BETTER, [0.5, 0.6, 0.4]),
        ([-0.02, -0.021, -0.019], UNEVEN),
    ]:
        (found,) = judged(level(gains, factors))
        assert found.seeds_needed == 3
        assert found.more_seeds == 0


def test_more_seeds_counts_those_at_hand():
    (found,) = judged(level([0.002, -0.004, 0.004], FASTER))
    assert found.verdict is Verdict.CANT_TELL
    assert found.more_seeds == found.seeds_needed - 3 > 0


def test_no_number_of_seeds_puts_a_ticket_ahead_of_its_equal():
    (found,) = judged(level(BETTER, FASTER, controls={"reinit": arm(BETTER, FASTER)}))
    assert found.seeds_needed is None
    # Without the control there is nothing more that seeds could tell.
    (alone,) = judged(level(BETTER, FASTER, controls={}))
    assert alone.more_seeds == 0


def repeated(values, n):
    """`n` values of the same mean and sample standard deviation as `values`."""
    unit = np.tile([1.0, -1.0], n)[:n]
    unit = (unit - unit.mean()) / unit.std(ddof=1)
    return np.mean(values) + np.std(values, ddof=1) * unit


def comparison(gains, logs):
    gain, speedup = t_interval(gains), t_interval(logs).exp()
    return Comparison(tuple(range(len(gains))), gain, gain, speedup, speedup)


def settled(gains, logs, twin_gains, n):
    against = comparison(repeated(gains, n), repeated(logs, n))
    ahead = comparison(repeated(twin_gains, n), repeated([-1, 0, 1], n))
    matching = against.gain.p_value(-0.002) <= 0.025
    worse = against.gain.upper < 0 and against.gain.mean <= -0.002
    timed = against.speedup.p_value(1 / 1.1) <= 0.025
    later = against.speedup.upper < 1 / 1.1
    twin = 2 * min(ahead.gain.p_value(0), ahead.speedup.p_value(1)) <= 0.025
    return worse or (matching and ((timed and twin) or later))


triples = st.lists(st.floats(-0.02, 0.02), min_size=3, max_size=3)


@given(triples, st.lists(st.floats(-1, 1), min_size=3, max_size=3), triples)
def test_the_seeds_needed_settle_it_and_one_less_does_not(gains, logs, twin_gains):
    assume(np.std(gains) > 1e-5 and np.std(logs) > 1e-3 and np.std(twin_gains) > 1e-5)
    needed = seeds_needed(comparison(gains, logs), comparison(twin_gains, [-1, 0, 1]))
    assume(needed is not None and needed <= 60)
    assert settled(gains, logs, twin_gains, needed)
    if needed > 3:
        assert not settled(gains, logs, twin_gains, needed - 1)
