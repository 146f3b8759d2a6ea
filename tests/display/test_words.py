import math

import pytest

from tfticket.display import words
from tfticket.lottery.comparison import Interval, t_interval

THIN, MINUS, TIMES = words.THIN, words.MINUS, words.TIMES


@pytest.mark.parametrize(
    ("say", "value", "text"),
    [
        (words.number, 266200, f"266{THIN}200"),
        (words.number, -3.0, f"{MINUS}3"),
        (words.number, -0.2, "0"),
        (words.number, math.nan, "—"),
        (words.percent, 1.0, f"100{THIN}%"),
        (words.percent, 0.0, f"0{THIN}%"),
        (words.percent, 0.0358, f"3.6{THIN}%"),
        (words.percent, 0.0047, f"0.47{THIN}%"),
        (words.percent, 0.9999, f"100.0{THIN}%"),
        (words.percent, math.inf, "—"),
        (words.rate, 0.2, f"20{THIN}%"),
        (words.rate, 0.125, f"12.5{THIN}%"),
        (words.points, 0.0031, "+0.31"),
        (words.points, -0.0031, f"{MINUS}0.31"),
        (words.points, -0.000001, "0.00"),
        (words.points, math.nan, "—"),
        (words.factor, 2.514, f"2.51{TIMES}"),
        (words.factor, 12.3, f"12{TIMES}"),
        (words.factor, math.inf, "—"),
        (words.duration, 48.2, f"48{THIN}s"),
        (words.duration, 700, f"12{THIN}min"),
        (words.duration, 12000, f"3{THIN}h 20{THIN}min"),
        (words.size, 812, f"812{THIN}B"),
        (words.size, 83144, f"83.1{THIN}kB"),
        (words.size, 1066384, f"1.07{THIN}MB"),
        (words.microseconds, 8.26, f"8.3{THIN}µs"),
        (words.microseconds, 1234.0, f"1.2{THIN}ms"),
        (words.ranges, [5, 1, 3, 4, 5], "1, 3 to 5"),
        (words.ranges, [], ""),
    ],
)
def test_numbers_as_they_are_read(say, value, text):
    assert say(value) == text


def test_plural():
    assert [words.plural(n, "seed") for n in (0, 1, 2)] == ["0 seeds", "1 seed", "2 seeds"]


def test_the_bounds_of_one_seed_are_not_said():
    assert words.interval(t_interval([0.1]), words.points) == ""
    assert words.interval(t_interval([0.1]).exp(), words.factor) == ""


def test_bounds():
    assert (
        words.interval(Interval(0, -0.001, 0.002, 1, 3, 0.95), words.points)
        == f"{MINUS}0.10 to +0.20"
    )
    assert (
        words.interval(Interval(1, 0.5, 2, 1, 3, 0.95), words.factor)
        == f"0.50{TIMES} to 2.00{TIMES}"
    )
