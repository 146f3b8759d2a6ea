"""Measures of norms as the cells of a table."""

from __future__ import annotations

from collections.abc import Sequence

from tfticket.lottery.comparison import Interval
from tfticket.report import words
from tfticket.report.judging import Spread
from tfticket.report.tables import Cell
from tfticket.studies.norms.names import bounds, quantity
from tfticket.studies.norms.networks import Branch
from tfticket.studies.norms.results import BranchSummary


def ratio(found: Interval | None) -> Cell:
    """A ratio and its interval; a dash when it wasn't measured."""
    if found is None:
        return Cell(words.NONE)
    small = 0 < found.mean < 0.1
    text = f"{quantity(found.mean, digits=2)}{words.TIMES}" if small else words.factor(found.mean)
    return Cell(text, bounds(found) if found.seeds > 1 else "")


def points(difference: Interval | None, remark: str = "") -> Cell:
    """A difference of rates in points, its interval, and a remark; else empty."""
    if difference is None:
        return Cell("")
    details = (words.points_interval(difference), remark)
    return Cell(words.points(difference.mean), ", ".join(part for part in details if part))


def accuracy(spread: Spread | None) -> Cell:
    """A rate in percent and its interval over seeds."""
    if spread is None:
        return Cell(words.NONE)
    low, high = spread.interval.lower, min(1.0, spread.interval.upper)
    text = f"{words.percent2(low)[:-2]} to {words.percent2(high)[:-2]}"
    return Cell(words.percent2(spread.mean), text if spread.interval.seeds > 1 else "")


def number(spread: Spread | None) -> Cell:
    """A mean, and beneath it the lowest and highest seed."""
    if spread is None:
        return Cell(words.NONE)
    low, high = quantity(spread.smallest), quantity(spread.largest)
    return Cell(quantity(spread.mean), f"{low} to {high}" if low != high else "")


def percent(spread: Spread | None) -> Cell:
    """A mean rate in percent; else empty."""
    return Cell(words.percent(spread.mean) if spread else "")


def share(found: BranchSummary | None, name: str) -> Cell:
    """A branch's mean share of moments, in whole percent."""
    if found is None or name not in found.measures:
        return Cell(words.NONE)
    return Cell(words.percent(found.measures[name].mean, 0))


def varying(branches: Sequence[Branch], *, subnetwork: bool = True) -> list[str]:
    """Headings of what varies among branches beside the normalization."""
    found = []
    if len({b.learning_rate for b in branches}) > 1:
        found.append("learning rate")
    if len({b.batch_size for b in branches}) > 1:
        found.append("batch size")
    if len({b.steps for b in branches}) > 1:
        found.append("iterations")
    if subnetwork and len({b.subnetwork for b in branches}) > 1:
        found.append("<subnetwork")
    return found


def varied(branch: Branch, headings: Sequence[str]) -> list[Cell]:
    """What a branch has under the headings of `varying`."""
    cells = {
        "learning rate": Cell(f"{branch.learning_rate:g}"),
        "batch size": Cell(str(branch.batch_size)),
        "iterations": Cell(words.number(branch.steps)),
        "<subnetwork": Cell(branch.subnetwork),
    }
    return [cells[name] for name in headings]
