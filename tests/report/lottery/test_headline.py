import numpy as np
import pytest

from tfticket.lottery.comparison import Outcome
from tfticket.lottery.verdict import judge
from tfticket.report.lottery.headline import headline

DENSE, STEPS = np.array([0.980, 0.982, 0.978]), np.array([4000, 4400, 3800])


def arm(accuracies, steps):
    return {
        seed: Outcome(accuracy, accuracy, step)
        for seed, (accuracy, step) in enumerate(zip(accuracies, steps, strict=True))
    }


def level(number, gains, factor, *, seeds=3, controls=None):
    return judge(
        number,
        0.8**number,
        ticket=arm((DENSE + gains)[:seeds], (STEPS / factor)[:seeds]),
        dense=arm(DENSE[:seeds], STEPS[:seeds]),
        controls=controls,
    )


STEADY = np.array([0.0, 0.0001, -0.0001])


def test_the_smallest_winning_ticket_is_named_with_its_control():
    reinit = arm(DENSE - 0.01, STEPS * 2)
    text = headline(
        [level(1, STEADY + 0.001, 1.5), level(2, STEADY + 0.003, 2.0, controls={"reinit": reinit})]
    )
    assert text.startswith(
        "Smallest winning ticket: 64.0\N{NARROW NO-BREAK SPACE}% of the weights (level 2)."
    )
    assert "0.30 points above the dense network's" in text
    assert "3 seeds" in text
    assert "learns 2.00 times as fast. Against reinit, its control, it gains 1.30 points" in text
    assert text.endswith("learns 4.00 times as fast.")


def test_a_ticket_that_loses_to_its_control_says_so():
    better = arm(DENSE + 0.01, STEPS / 8)
    text = headline([level(1, STEADY, 2.0, controls={"random": better})])
    assert "Against random, its control, it loses 1.00 points and learns 4.00 times slower." in text


def test_a_win_without_controls_says_so():
    assert headline([level(1, STEADY, 2.0)]).endswith("No control was run beside it.")


def test_matching_is_not_winning():
    uneven = np.array([2.0, 0.9, 1.5])
    text = headline([level(3, STEADY, uneven)])
    assert text.startswith("No ticket is shown to win. The smallest that matches")
    assert "51.2\N{NARROW NO-BREAK SPACE}% of the weights (level 3)" in text
    assert "more seed" in text


def test_one_seed_is_one_seed():
    text = headline([level(1, STEADY + 0.002, 2.0, seeds=1)])
    assert "In the only seed 80.0" in text
    assert "0.20 points above" in text
    assert text.endswith("One seed can't tell that from luck: run at least two more.")
    worse = headline([level(1, STEADY - 0.02, 2.0, seeds=1)])
    assert "every ticket is less accurate" in worse


def test_seeds_that_disagree_cannot_tell():
    text = headline([level(1, np.array([0.01, -0.02, 0.01]), 1.5), level(2, STEADY - 0.1, 1.0)])
    assert "The seeds at hand can't tell for level 1." in text
    assert "would settle the first of them" in text


def test_all_worse():
    text = headline([level(1, STEADY - 0.05, 1.5), level(2, STEADY - 0.1, 1.0)])
    assert text == "No ticket is shown to win. All tickets are worse than the dense network."


@pytest.mark.parametrize(("has_dense", "start"), [(True, "Only the dense"), (False, "No network")])
def test_nothing_to_judge(has_dense, start):
    assert headline([], has_dense=has_dense).startswith(start)
