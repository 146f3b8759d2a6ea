import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from outcomes import outcomes
from scipy import stats

from tfticket.errors import RunError
from tfticket.lottery.comparison import Criteria, Interval, Outcome, compare, t_interval


@given(
    st.lists(st.floats(-1, 1), min_size=2, max_size=12),
    st.sampled_from([0.8, 0.95, 0.99]),
)
def test_the_interval_is_that_of_scipy(values, confidence):
    interval = t_interval(values, confidence=confidence)
    error = stats.sem(values)
    if error == 0:
        assert interval.lower == interval.upper == interval.mean
        return
    expected = stats.t.interval(confidence, len(values) - 1, loc=np.mean(values), scale=error)
    assert (interval.lower, interval.upper) == pytest.approx(expected, abs=1e-9)
    assert interval.seeds == len(values)


def test_one_seed_gives_a_mean_and_nothing_else():
    interval = t_interval([0.3])
    assert interval.mean == 0.3
    assert (interval.lower, interval.upper) == (-math.inf, math.inf)
    written = json.loads(json.dumps(interval.to_dict(), allow_nan=False))
    assert written["mean"] == 0.3
    assert written["lower"] is written["upper"] is written["spread"] is None
    assert interval.exp().to_dict()["lower"] is None


@pytest.mark.parametrize("values", [[], [0.1, math.nan], [[0.1, 0.2]]])
def test_an_interval_of_nothing_is_refused(values):
    with pytest.raises(RunError, match=r"one finite number a seed\. Received"):
        t_interval(values)


def test_seeds_are_compared_in_pairs():
    # The seeds differ wildly, the pairs don't: an unpaired interval would show nothing.
    dense = outcomes([0.90, 0.95, 0.99], [1000, 4000, 16000])
    ticket = outcomes([0.905, 0.956, 0.994], [500, 2000, 8000], at_end=[0.89, 0.94, 0.98])
    result = compare(ticket, dense)
    assert result.seeds == (0, 1, 2)
    assert result.gain.mean == pytest.approx(0.005)
    assert result.gain.lower > 0.002
    assert result.gain_at_end.mean == pytest.approx(-0.01)
    assert result.speedup.mean == pytest.approx(2.0)
    assert (result.early_stop_speedup.lower, result.early_stop_speedup.upper) == (2.0, 2.0)
    # The intervals of the speed-up never get narrower than the evaluations are apart.
    assert 1.9 < result.speedup.lower < 2.0 < result.speedup.upper < 2.1


def test_the_mean_speedup_is_geometric_and_its_inverse_is_the_slowdown():
    dense = outcomes([0.9, 0.9], [1000, 1000])
    ticket = outcomes([0.9, 0.9], [250, 1000])
    there, back = compare(ticket, dense).speedup, compare(dense, ticket).speedup
    assert there.mean == pytest.approx(2.0)
    assert there.mean == pytest.approx(1 / back.mean)
    assert (there.lower, there.upper) == pytest.approx((1 / back.upper, 1 / back.lower))


def test_only_common_seeds_count():
    _, first, second = outcomes([0.9, 0.9, 0.8], [100, 100, 100]).values()
    _, _, slow = outcomes([0.1, 0.1, 0.8], [100, 100, 200]).values()
    ticket, dense = {1: first, 2: second}, {0: slow, 2: slow}
    result = compare(ticket, dense)
    assert result.seeds == (2,)
    assert result.speedup.mean == pytest.approx(2.0)
    with pytest.raises(RunError, match="seed in common"):
        compare(ticket, {0: dense[0]})


def test_rounding_bounds_the_spread_from_below():
    same = outcomes([0.9] * 3, [300] * 3, spacing=100)
    assert compare(same, same).gain.spread == 0
    blunt = compare(same, same, criteria=Criteria(accuracy_resolution=0.01))
    assert blunt.gain.spread == pytest.approx(0.01 / math.sqrt(6))
    # Both steps are known to a hundred of 300.
    assert blunt.speedup.spread == pytest.approx(math.sqrt(2) * (100 / 300) / math.sqrt(12))
    assert blunt.speedup.lower < 1 < blunt.speedup.upper


def test_an_early_stop_at_the_start_counts_as_one_step():
    result = compare(outcomes([0.1] * 2, [0, 0]), outcomes([0.9] * 2, [100, 100]))
    assert result.early_stop_speedup.mean == pytest.approx(100)


def test_a_seed_with_several_draws_has_the_mean_of_their_speeds():
    def drawn(*steps):
        curves = (outcomes([0.9], [step])[0].curves[0] for step in steps)
        return {0: Outcome(0.9, 0.9, 100, tuple(curves))}

    assert compare(drawn(100), drawn(200, 800)).speedup.mean == pytest.approx(4.0)
    assert compare(drawn(200, 800), drawn(100)).speedup.mean == pytest.approx(0.25)


def test_the_other_way_round_is_the_comparison_the_other_way_round():
    first = outcomes([0.90, 0.92, 0.95], [1000, 2000, 4000])
    second = outcomes([0.91, 0.91, 0.91], [500, 800, 1100])
    there, back = compare(first, second).reverse(), compare(second, first)
    assert there.seeds == back.seeds
    for name in ("gain", "gain_at_end", "speedup", "early_stop_speedup"):
        one, other = getattr(there, name), getattr(back, name)
        assert (one.mean, one.lower, one.upper) == pytest.approx(
            (other.mean, other.lower, other.upper)
        )
    alone = compare({0: first[0]}, {0: second[0]}).reverse()
    assert (alone.speedup.lower, alone.speedup.upper) == (0.0, math.inf)


@given(
    st.lists(st.floats(-1, 1), min_size=2, max_size=9),
    st.floats(-1, 1),
    st.sampled_from([0.8, 0.95, 0.99]),
)
def test_p_values_are_those_of_scipy_and_agree_with_intervals(values, bound, confidence):
    interval = t_interval(values, confidence=0.9)
    if interval.spread < 1e-6:
        return
    expected = stats.ttest_1samp(values, bound, alternative="greater").pvalue
    assert interval.p_value(bound) == pytest.approx(expected, abs=1e-9)
    wider = interval.at(confidence)
    assert wider.confidence == confidence
    assert wider.p_value(wider.lower) == pytest.approx((1 - confidence) / 2, abs=1e-9)
    ratio = interval.exp()
    assert ratio.p_value(math.exp(bound)) == pytest.approx(expected, abs=1e-9)
    assert ratio.at(confidence).upper == pytest.approx(math.exp(wider.upper))


def test_what_one_seed_or_no_spread_can_show():
    assert t_interval([0.3]).p_value(0.0) == 1.0
    assert t_interval([0.3]).at(0.99) == Interval(
        0.3, -math.inf, math.inf, pytest.approx(math.nan, nan_ok=True), 1, 0.99
    )
    assert t_interval([0.3, 0.3]).p_value(0.2) == 0.0
    assert t_interval([0.3, 0.3]).p_value(0.3) == 1.0


def test_each_further_look_spends_half_of_the_error_that_is_left():
    looks = [Criteria(looks=n) for n in range(1, 30)]
    assert looks[0].interval_confidence == pytest.approx(0.95)
    assert looks[1].interval_confidence == pytest.approx(0.975)
    # Two-sided at the first look; one-sided over all looks together.
    assert looks[0].alpha == pytest.approx(0.025)
    assert sum(criteria.alpha for criteria in looks) == pytest.approx(0.05)
    first, second = outcomes([0.9, 0.92], [400, 500]), outcomes([0.9, 0.91], [400, 300])
    wide = compare(first, second, criteria=looks[1]).gain
    assert wide.lower < compare(first, second).gain.lower


@pytest.mark.parametrize(
    "arguments",
    [
        {"margin": -0.1},
        {"margin": 1.0},
        {"confidence": 1.0},
        {"confidence": 0.0},
        {"accuracy_resolution": -1.0},
        {"time_margin": -0.1},
        {"looks": 0},
    ],
)
def test_criteria_outside_their_ranges_are_refused(arguments):
    with pytest.raises(RunError, match="Received"):
        Criteria(**arguments)
