"""How often a verdict is wrong, over many studies of networks whose truth is known."""

import math

import numpy as np
import pytest

from tfticket.lottery.comparison import Outcome
from tfticket.lottery.speed import LossCurve
from tfticket.lottery.verdict import LevelOutcomes, Verdict, judge, smallest_winning

pytestmark = pytest.mark.slow

GRID = np.unique([*np.geomspace(10, 100, 8).astype(int), *range(100, 3001, 100)])
STEPS = tuple(GRID.tolist())
SEEDS = range(5)
LEVELS = 5
STUDIES = 200
ALL_EQUAL = {"gain": 0.0, "pace": 1.0, "twin_gain": 0.0, "twin_pace": 1.0}
WINS = {"gain": 0.004, "pace": 2.0, "twin_gain": -0.01, "twin_pace": 0.4}
# The pace at which steps to a common loss are 1.1 times those of the dense network.
AT_TIME_MARGIN = 0.862


def network(rng, seed, gain, pace):
    """As noisy as LeNet-300-100 on MNIST, trained for 3,000 steps."""
    pace = pace * math.exp(rng.normal(0, 0.03))
    loss = (0.08 + 2 * (GRID * pace) ** -0.6) * np.exp(rng.normal(0, 0.01, GRID.size))
    accuracy = 0.98 + 0.002 * math.sin(seed) + gain + rng.normal(0, 0.0008)
    return Outcome(accuracy, accuracy, 1000, (LossCurve(STEPS, tuple(loss.tolist())),))


def study(rng, levels):
    """The verdicts of a study with the given truth for each level."""

    def networks(gain, pace):
        return {seed: network(rng, seed, gain, pace) for seed in SEEDS}

    outcomes = [
        LevelOutcomes(
            number,
            0.64**number,
            networks(truth["gain"], truth["pace"]),
            {"reinit": networks(truth["twin_gain"], truth["twin_pace"])},
        )
        for number, truth in enumerate(levels, start=1)
    ]
    return judge(outcomes, networks(0.0, 1.0))


def shares(found):
    """Share of levels that are called winning, and of studies that name a winner."""
    by_level = [verdict.verdict is Verdict.WINNING for levels in found for verdict in levels]
    return np.mean(by_level), np.mean([smallest_winning(levels) is not None for levels in found])


def test_equal_networks_rarely_win():
    # Two independent dense networks, and a third for a twin.
    rng = np.random.default_rng(1)
    found = [study(rng, [ALL_EQUAL] * LEVELS) for _ in range(STUDIES)]
    by_level, by_study = shares(found)
    assert by_level <= 0.025
    assert by_study <= 0.05
    logs = np.array([[math.log(v.against_dense.speedup.mean) for v in levels] for levels in found])
    assert abs(logs.mean()) < 3 * logs.mean(axis=1).std() / math.sqrt(STUDIES)


@pytest.mark.parametrize(
    "truth",
    [
        WINS | {"gain": -0.002},
        WINS | {"pace": AT_TIME_MARGIN},
        WINS | {"twin_gain": 0.004, "twin_pace": 2.0},
    ],
    ids=["less accurate by the margin", "later by the margin", "twin as good"],
)
def test_a_ticket_that_fails_in_one_thing_rarely_wins(truth):
    rng = np.random.default_rng(1)
    found = [study(rng, [truth] * LEVELS) for _ in range(STUDIES)]
    by_level, by_study = shares(found)
    # At the margin itself: what is allowed, and what chance adds to so many studies.
    assert by_level <= 0.025 + 2 * math.sqrt(0.025 * 0.975 / STUDIES)
    assert by_study <= 0.05
    if truth["pace"] == AT_TIME_MARGIN:
        logs = [math.log(v.against_dense.speedup.mean) for levels in found for v in levels]
        assert math.exp(np.mean(logs)) == pytest.approx(1 / 1.1, abs=0.01)


def test_on_a_lottery_like_curve_the_named_level_is_right():
    # Faster and better, then slower; the fourth level is the last that wins.
    paces, gains = [1.5, 2.4, 2.7, 1.6, 0.7], [0.002, 0.004, 0.004, 0.003, 0.0]
    levels = [
        {"gain": gain, "pace": pace, "twin_gain": -0.003 * number, "twin_pace": 0.8**number}
        for number, (gain, pace) in enumerate(zip(gains, paces, strict=True), start=1)
    ]
    rng = np.random.default_rng(2)
    named = [smallest_winning(study(rng, levels)) for _ in range(STUDIES)]
    assert np.mean([found is not None and found.level == 4 for found in named]) >= 0.95
