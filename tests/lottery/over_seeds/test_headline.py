import numpy as np
import pytest
from outcomes import outcomes

from tfticket.lottery.over_seeds.headline import headline, hypothesis
from tfticket.lottery.verdict import LevelOutcomes, judge

DENSE, STEPS = np.array([0.980, 0.982, 0.978]), np.array([4000, 4400, 3800])
STEADY = np.array([0.0, 0.0001, -0.0001])
TWIN = {"reinit": outcomes(DENSE - 0.01, STEPS * 2)}
THIN = "\N{NARROW NO-BREAK SPACE}"
MINUS = "\N{MINUS SIGN}"


def judged(*levels, seeds=3):
    """Verdicts on levels of (number, gains, speed-ups, controls)."""
    given = [
        LevelOutcomes(
            number,
            0.8**number,
            outcomes((DENSE + gains)[:seeds], (STEPS / factor)[:seeds]),
            *controls,
        )
        for number, gains, factor, *controls in levels
    ]
    return judge(given, outcomes(DENSE[:seeds], STEPS[:seeds]))


def test_the_smallest_winning_ticket_is_named_with_its_twin():
    text = headline(judged((1, STEADY + 0.001, 1.5, TWIN), (2, STEADY + 0.003, 2.0, TWIN)))
    assert text.startswith(f"Smallest winning ticket: 64.0{THIN}% of the weights (level 2). ")
    assert "Test accuracy +0.30 points against the dense network (95 % CI +0.28 to +0.32" in text
    assert "3 seeds); learns 2.00 times as fast (1.9" in text
    assert text.endswith("Reinitialized, it loses 1.30 points and learns 4.00 times slower.")


def test_a_level_that_would_win_alone_is_not_named():
    barely = np.array([0.0021, 0.0001, 0.0010])
    text = headline(judged(*((n, barely, 1.5, TWIN) for n in range(1, 6))))
    assert text.startswith("No winning ticket is established. ")
    assert "would win if it were the only level that was tried, but not with 5 levels" in text


def test_matching_is_not_winning():
    text = headline(judged((3, STEADY, np.array([2.0, 0.6, 1.2]), TWIN)))
    assert text.startswith("No winning ticket is established. The smallest matching ticket has")
    assert f"51.2{THIN}% of the weights (level 3), but doesn't win: not shown to be as soon" in text
    assert "more seed" in text


def test_a_missing_control_is_named():
    text = headline(judged((1, STEADY, 2.0)))
    assert text.endswith("but doesn't win: reinitialized control not trained.")


def test_one_seed_is_one_seed():
    text = headline(judged((1, STEADY + 0.002, 2.0), seeds=1))
    assert f"In the only seed, 80.0{THIN}% of the weights (level 1) reach +0.20 points" in text
    assert text.endswith("One seed can't tell that from luck: run at least two more.")
    worse = headline(judged((1, STEADY - 0.02, 2.0), seeds=1))
    assert "every ticket is less accurate" in worse


def test_seeds_that_disagree_cannot_tell():
    text = headline(judged((1, np.array([0.01, -0.02, 0.01]), 1.5), (2, STEADY - 0.1, 1.0)))
    assert "Not significant over these seeds at level 1. About" in text
    assert text.endswith("would settle it.")


def test_all_worse():
    text = headline(judged((1, STEADY - 0.05, 1.5), (2, STEADY - 0.1, 1.0)))
    assert text == (
        "No winning ticket is established. All tickets are worse than the dense network."
    )


@pytest.mark.parametrize(("has_dense", "start"), [(True, "Only the dense"), (False, "No network")])
def test_nothing_to_judge(has_dense, start):
    assert headline([], has_dense=has_dense).startswith(start)
    assert hypothesis([]) == ""


def test_the_hypothesis_in_a_sentence():
    text = hypothesis(
        judged(
            (1, STEADY, 1.5),
            (3, STEADY, 2.5),
            (5, STEADY, 1.6, TWIN),
            (7, STEADY, np.array([1.1, 0.9, 1.0])),
        )
    )
    assert text.startswith(
        f"Tickets learn fastest at 51.2{THIN}% of the weights, 2.49 times as fast"
    )
    assert f", and are back at its speed at 21.0{THIN}% (0.99 times)" in text
    assert f"; reinitialized, the ticket of 32.8{THIN}% loses 1.00 points and learns 3.2" in text
    assert text.endswith(" times slower.")


def test_the_hypothesis_where_there_is_less_to_say():
    assert hypothesis(judged((1, STEADY, 2.0), seeds=1)) == ""
    slow = hypothesis(judged((1, STEADY, 0.5), (2, STEADY, 0.4)))
    assert slow == "No level is shown to learn faster than the dense network."
    fast = hypothesis(judged((1, STEADY, 2.0), (2, STEADY, 1.5)))
    assert fast.endswith(f"and are still faster at 64.0{THIN}%.")
    assert hypothesis(judged((1, STEADY, 2.0))).count(",") == 1
