import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from tfticket.errors import RunError
from tfticket.lottery.comparison import Criteria, Outcome, compare, t_interval


def outcomes(accuracies, steps, at_end=None):
    at_end = accuracies if at_end is None else at_end
    return {
        seed: Outcome(accuracy, end, step)
        for seed, (accuracy, end, step) in enumerate(zip(accuracies, at_end, steps, strict=True))
    }


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
    assert result.speedup.lower == pytest.approx(2.0)
    assert result.speedup.upper == pytest.approx(2.0)


def test_the_mean_speedup_is_geometric_and_its_inverse_is_the_slowdown():
    dense = outcomes([0.9, 0.9], [1000, 1000])
    ticket = outcomes([0.9, 0.9], [250, 1000])
    there, back = compare(ticket, dense).speedup, compare(dense, ticket).speedup
    assert there.mean == pytest.approx(2.0)
    assert there.mean == pytest.approx(1 / back.mean)
    assert (there.lower, there.upper) == pytest.approx((1 / back.upper, 1 / back.lower))


def test_only_common_seeds_count():
    ticket = {1: Outcome(0.9, 0.9, 100), 2: Outcome(0.8, 0.8, 100)}
    dense = {0: Outcome(0.1, 0.1, 100), 2: Outcome(0.8, 0.8, 200)}
    result = compare(ticket, dense)
    assert result.seeds == (2,)
    assert result.speedup.mean == pytest.approx(2.0)
    with pytest.raises(RunError, match="seed in common"):
        compare(ticket, {0: dense[0]})


def test_rounding_bounds_the_spread_from_below():
    same = outcomes([0.9] * 3, [300] * 3)
    sharp = compare(same, same)
    assert sharp.gain.spread == sharp.speedup.spread == 0
    blunt = compare(same, same, criteria=Criteria(accuracy_resolution=0.01, step_resolution=100))
    assert blunt.gain.spread == pytest.approx(0.01 / math.sqrt(6))
    # Both steps are known to +- 50 of 300.
    assert blunt.speedup.spread == pytest.approx(math.sqrt(2) * (100 / 300) / math.sqrt(12))
    assert blunt.speedup.lower < 1 < blunt.speedup.upper


def test_a_network_that_never_improved_has_a_speed():
    result = compare(outcomes([0.1] * 2, [0, 0]), outcomes([0.9] * 2, [100, 100]))
    assert result.speedup.mean == pytest.approx(100)


@pytest.mark.parametrize(
    "arguments",
    [
        {"margin": -0.1},
        {"margin": 1.0},
        {"confidence": 1.0},
        {"confidence": 0.0},
        {"accuracy_resolution": -1.0},
        {"step_resolution": -1.0},
    ],
)
def test_criteria_outside_their_ranges_are_refused(arguments):
    with pytest.raises(RunError, match="Received"):
        Criteria(**arguments)
