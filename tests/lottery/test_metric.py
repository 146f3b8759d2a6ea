import json
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from outcomes import outcomes

from tfticket.errors import RunError
from tfticket.lottery.comparison import Criteria, Outcome, compare
from tfticket.lottery.metric import ACCURACY, Metric, known_direction
from tfticket.lottery.over_seeds.headline import headline
from tfticket.lottery.speed import LossCurve
from tfticket.lottery.verdict import LevelOutcomes, Verdict, judge

SCORE, COST = Metric("score", "max"), Metric("cost", "min")
ERROR = Metric.of("mean_squared_error")
VALUES = st.lists(st.floats(0.1, 2), min_size=4, max_size=4)
SPEEDS = st.lists(st.sampled_from([1000, 2000, 4000]), min_size=4, max_size=4)


def judged(dense, tickets, twin, steps, *, sign=1, **criteria):
    """Verdict on one level, of values that `sign` turns."""

    def made(values, at):
        return outcomes(sign * np.array(values), at)

    slow = [8000] * len(dense)
    level = LevelOutcomes(1, 0.5, made(tickets, steps), {"reinit": made(twin, slow)})
    return judge([level], made(dense, [2000] * len(dense)), criteria=Criteria(**criteria))[0]


@given(VALUES, VALUES, VALUES, SPEEDS, st.floats(0, 0.9))
def test_negating_a_metric_and_its_direction_changes_nothing(dense, ticket, twin, steps, margin):
    for margin_is in ("absolute", "relative"):
        options = {"margin": margin, "margin_is": margin_is}
        up = judged(dense, ticket, twin, steps, metric=SCORE, **options)
        down = judged(dense, ticket, twin, steps, sign=-1, metric=COST, **options)
        assert up == down


def test_a_lower_error_is_a_gain_and_a_higher_one_a_loss():
    dense, ticket = outcomes([0.5, 0.6], [100, 100]), outcomes([0.4, 0.45], [100, 100])
    found = compare(ticket, dense, criteria=Criteria(metric=ERROR))
    assert found.gain.mean == pytest.approx((0.1 + 0.15) / 2)
    assert compare(ticket, dense).gain.mean == pytest.approx(-(0.1 + 0.15) / 2)
    assert found.reverse().gain.mean == -found.gain.mean


def test_a_rise_of_an_error_above_the_margin_is_worse_and_a_fall_matches():
    dense, twin = [1.0, 1.1, 1.2, 1.3], [2.0, 2.1, 2.2, 2.3]
    near = [0.001, -0.001, 0.0015, 0.0]
    for shift, expected in ((0.1, Verdict.WORSE), (0.03, Verdict.WINNING), (-0.1, Verdict.WINNING)):
        ticket = [d + shift + n for d, n in zip(dense, near, strict=True)]
        found = judged(dense, ticket, twin, [2000] * 4, margin=0.05, metric=ERROR)
        assert found.verdict is expected
        assert found.more_accurate == (shift < 0)


def test_a_relative_margin_is_a_share_of_the_dense_mean():
    dense = outcomes([2.0, 4.0], [100, 100])
    share = Criteria(margin=0.1, metric=ERROR, margin_is="relative")
    found = share.against(dense)
    assert (found.margin, found.margin_is) == (pytest.approx(0.1 * 3.0), "absolute")
    assert found.against(dense) == found
    negative = {seed: replace(found, value=-found.value) for seed, found in dense.items()}
    assert share.against(negative).margin == share.against(dense).margin


def test_json_names_the_metric_only_where_it_is_not_the_accuracy():
    written = Criteria().to_dict()
    assert list(written) == [
        "margin", "time_margin", "confidence", "looks", "accuracy_resolution",
        "interval_confidence",
    ]  # fmt: skip
    other = Criteria(metric=ERROR, margin_is="relative").to_dict()
    assert set(other) - set(written) == {"metric", "direction", "margin_is"}
    json.dumps(other, allow_nan=False)


def test_a_sentence_about_an_error_has_no_points():
    def outcome(value, *losses):
        return Outcome(value, value, 300, (LossCurve((100, 200, 300), losses),))

    dense = {seed: outcome(0.30 + seed / 100, 0.9, 0.6, 0.3) for seed in range(3)}
    ticket = {seed: outcome(0.25 + seed / 99, 0.5, 0.3, 0.2) for seed in range(3)}
    twin = {seed: outcome(0.50 + seed / 98, 1.5, 1.2, 1.0) for seed in range(3)}
    level = LevelOutcomes(1, 0.5, ticket, {"reinit": twin})
    for metric, sign in ((ERROR, 1), (SCORE, -1)):
        levels = [level] if sign == 1 else [_negated(level)]
        against = dense if sign == 1 else {s: _negative(found) for s, found in dense.items()}
        text = headline(
            judge(levels, against, criteria=Criteria(margin=0.01, metric=metric)), metric=metric
        )
        assert text.startswith("Smallest winning ticket: 50.0")
        assert "points" not in text
        assert ", it is worse by 0.2501 and learns" in text
        assert "+0.04990 against the dense network" in text
    assert "Test score +0.04990" in text


def _negative(found):
    return replace(found, value=-found.value, value_at_end=-found.value_at_end)


def _negated(level):
    controls = {
        name: {seed: _negative(each) for seed, each in found.items()}
        for name, found in level.controls.items()
    }
    tickets = {seed: _negative(found) for seed, found in level.ticket.items()}
    return replace(level, ticket=tickets, controls=controls)


def test_the_first_word_says_which_side_is_positive():
    dense, ticket = [1.0, 1.1, 1.2, 1.3], [0.9, 1.0, 1.1, 1.21]
    found = judged(dense, ticket, [2.0] * 4, [2000] * 4, margin=0.05, metric=ERROR)
    text = headline([found], metric=ERROR)
    assert "Gain in test mean squared error +0.09750 against the dense network (95 % CI +" in text
    assert "positive is better" in text


@pytest.mark.parametrize(
    ("name", "direction"),
    [
        ("accuracy", "max"),
        ("sparse_categorical_accuracy", "max"),
        ("mean_iou", "max"),
        ("mse", "min"),
        ("loss", "min"),
        ("fitness", None),
    ],
)
def test_directions_of_the_metrics_of_keras_are_known(name, direction):
    assert known_direction(name) == direction


def test_values_are_written_in_the_unit_of_the_metric():
    assert ACCURACY.say(0.9123) == "91.23\N{NARROW NO-BREAK SPACE}%"
    assert ACCURACY.say_gain(-0.0123) == "\N{MINUS SIGN}1.23"
    assert [ERROR.say(value) for value in (0.25314, 3012.4, 0.0, 1.5e-7)] == [
        "0.2531", "3\N{NARROW NO-BREAK SPACE}012", "0.000", "1.5e\N{MINUS SIGN}07",
    ]  # fmt: skip
    assert [ERROR.say_gain(gain) for gain in (0.25, -0.25, 0.0)] == [
        "+0.2500", "\N{MINUS SIGN}0.2500", "0.000",
    ]  # fmt: skip
    assert ERROR.against("dense") == "gain in mean squared error against dense"
    assert ACCURACY.against("dense") == "accuracy against dense, points"
    assert (ERROR.say_margin(0.05), ACCURACY.say_margin(0.002)) == ("0.05", "0.2 points")


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: Metric("score", 0), ValueError, "'max', 'min'. Received: 0"),
        (lambda: Metric("accuracy", "min"), ValueError, "since higher is better. Received"),
        (lambda: Metric.of("mse", "max"), ValueError, "since lower is better"),
        (lambda: Metric.of("mean_squared_eror"), ValueError, "mean 'mean_squared_error'"),
        (
            lambda: Criteria(margin=-0.1, metric=ERROR),
            RunError,
            "squared error of at least 0. .*=-0.1",
        ),
        (lambda: Criteria(margin=math.nan, metric=ERROR), RunError, "margin=nan"),
        (lambda: Criteria(margin=1.5), RunError, r"lie in \[0, 1\)"),
        (
            lambda: Criteria(margin=1.0, metric=ERROR, margin_is="relative"),
            RunError,
            r"in \[0, 1\)",
        ),
        (lambda: Criteria(margin_is="share"), ValueError, "'absolute', 'relative'"),
    ],
)
def test_what_makes_no_sense_is_refused(make, error, message):
    with pytest.raises(error, match=message):
        make()
