import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfticket.errors import RunError
from tfticket.lottery.speed import LossCurve, Reached, steps_to_common_loss

STEPS = (10, 20, 40, 80, 100)
curves = st.lists(st.floats(0.01, 3), min_size=5, max_size=5).map(
    lambda losses: LossCurve(STEPS, tuple(losses))
)


def steps(first, second):
    return tuple(reached.step for reached in steps_to_common_loss(first, second))


def test_the_target_is_the_lowest_loss_that_both_reach():
    dense = LossCurve(STEPS, (0.9, 0.7, 0.5, 0.41, 0.4))
    ticket = LossCurve(STEPS, (0.8, 0.4, 0.3, 0.35, 0.6))  # 0.3 is its own; the dense needs 0.4
    assert steps(dense, ticket) == (100, 20)


@given(curves, curves)
def test_both_reach_it_and_swapping_them_swaps_the_steps(first, second):
    one, other = steps(first, second)
    assert (other, one) == steps(second, first)
    target = max(min(first.losses), min(second.losses))
    for curve, step in ((first, one), (second, other)):
        assert curve.losses[STEPS.index(step)] <= target
        assert all(loss > target for s, loss in zip(STEPS, curve.losses, strict=True) if s < step)


def test_only_steps_of_both_count():
    # A ticket that begins at step 40 isn't ahead because the dense network was evaluated before.
    dense = LossCurve(STEPS, (0.2, 0.9, 0.5, 0.4, 0.3))
    late = LossCurve((80, 100, 120), (0.5, 0.3, 0.1))
    assert steps(dense, late) == (100, 100)
    with pytest.raises(RunError, match=r"steps 10 to 100 and 5 to 7, none of them in common"):
        steps_to_common_loss(dense, LossCurve((5, 7), (1.0, 1.0)))


def test_a_network_that_diverged_is_last():
    fine = LossCurve(STEPS, (0.9, 0.7, 0.5, 0.3, 0.4))
    broken = LossCurve(STEPS, (0.5, math.nan, math.nan, math.inf, math.nan))
    lost = LossCurve(STEPS, (math.nan,) * 5)
    assert steps(fine, broken) == (40, 10)
    assert steps(fine, lost) == (80, 100)
    assert steps(lost, fine) == (100, 80)
    assert steps(lost, lost) == (100, 100)


def test_the_spacing_of_evaluations_bounds_what_is_known():
    assert Reached(100, 80).uncertainty == pytest.approx(0.2 / math.sqrt(12))
    assert Reached(10, 0).uncertainty == pytest.approx(1 / math.sqrt(12))
    assert LossCurve(STEPS, (3.0, 2.0, 1.0, 0.5, 0.4)).reached(0.6) == Reached(80, 40)


@pytest.mark.parametrize(
    ("at", "losses"), [((), ()), ((1, 2), (0.1,)), ((2, 1), (0.1, 0.2)), ((1, 1), (0.1, 0.2))]
)
def test_what_is_no_curve_is_refused(at, losses):
    with pytest.raises(RunError, match="one loss for each of its steps, which rise"):
        LossCurve(at, losses)


def test_for_two_networks_of_one_distribution_the_log_ratio_is_centered_on_0():
    rng = np.random.default_rng(0)
    grid = np.unique(np.geomspace(10, 3000, 40).astype(int))

    def dense():
        pace, floor = np.exp(rng.normal(0, 0.2)), 0.1 + rng.normal(0, 0.005)
        noise = rng.normal(0, 0.004, grid.size)
        return LossCurve(tuple(grid), tuple(floor + 2 * (grid * pace) ** -0.6 + noise))

    pairs = [steps(dense(), dense()) for _ in range(2000)]
    logs = np.log([a / b for a, b in pairs])
    assert abs(logs.mean()) < 3 * logs.std() / math.sqrt(len(logs))
    assert abs(np.median(logs)) < 0.05
    assert logs.std() > 0.2, "nothing is hidden by a coarse ruler"
