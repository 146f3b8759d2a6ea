"""Estimates made up for tests, and estimates without their seeds."""

from dataclasses import fields

from tfticket.lottery.comparison import Interval
from tfticket.report.estimate import Estimate


def estimate(lower, mean, upper, seeds=3, **others):
    """An estimate with these bounds."""
    return Estimate(mean, lower, upper, 0.1, seeds, 0.95, **others)


def interval(found):
    """The interval of an estimate, to be compared with one that was computed by hand."""
    return Interval(**{field.name: getattr(found, field.name) for field in fields(Interval)})
