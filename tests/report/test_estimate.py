import json
import math

import pytest
from estimates import interval

from tfticket.lottery.comparison import t_interval
from tfticket.report.estimate import DIFFERENCE, MEAN, POINT, RATIO, Estimate

ONE, TWO = {0: 0.8, 1: 0.9, 2: 0.7}, {1: 0.6, 2: 0.5, 3: 0.1}


def test_a_mean_has_the_interval_of_its_seeds():
    found = Estimate.of(ONE, confidence=0.9)
    assert interval(found) == t_interval([0.8, 0.9, 0.7], confidence=0.9)
    assert (found.smallest, found.largest, found.how) == (0.7, 0.9, MEAN)


def test_differences_and_ratios_are_paired_by_seed():
    found = Estimate.of_difference(ONE, TWO)
    assert interval(found) == t_interval([0.9 - 0.6, 0.7 - 0.5])
    assert (list(found.values), found.how) == ([1, 2], DIFFERENCE)
    ratio = Estimate.of_ratio(ONE, TWO)
    assert interval(ratio) == t_interval([math.log(0.9 / 0.6), math.log(0.7 / 0.5)]).exp()
    assert ratio.how == RATIO
    assert Estimate.of_difference({0: 1.0}, {1: 1.0}) is None
    assert Estimate.of_ratio({0: 1.0, 1: 0.0}, {0: 0.0, 1: 1.0}) is None


def test_bounds_may_be_the_seeds_themselves_or_none():
    extremes = Estimate.of_extremes(ONE)
    assert (extremes.lower, extremes.mean, extremes.upper) == (0.7, pytest.approx(0.8), 0.9)
    point = Estimate.of_point(0.25, seeds=3)
    assert (point.lower, point.upper, point.seeds, point.how) == (0.25, 0.25, 3, POINT)


def test_the_other_way_round_turns_bounds_and_seeds():
    found = Estimate.of_difference(ONE, TWO).reverse()
    other = Estimate.of_difference(TWO, ONE)
    assert found.values == other.values
    assert (found.mean, found.lower, found.upper) == (other.mean, other.lower, other.upper)
    ratio = Estimate.of_ratio(ONE, TWO).reverse()
    assert ratio.values[1] == pytest.approx(0.6 / 0.9)
    assert ratio.mean == pytest.approx(Estimate.of_ratio(TWO, ONE).mean)


def test_a_single_seed_includes_nothing():
    assert not Estimate.of({0: 0.5}).includes(0.5)
    assert Estimate.of(ONE).includes(0.8)
    assert not Estimate.of(ONE).includes(0.1)


def test_json_is_strict():
    one = json.loads(json.dumps(Estimate.of({0: 0.5}).to_dict(), allow_nan=False))
    assert (one["lower"], one["by_seed"], one["how"]) == (None, {"0": 0.5}, MEAN)
    assert "by_seed" not in Estimate.of_comparison(t_interval([0.1, 0.2])).to_dict()
