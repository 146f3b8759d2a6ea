"""The figures of results: the hypothesis, accuracy, early stop, both at once, connectivity.

Each function draws one figure from what was read, or returns None when the run doesn't hold it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from tfticket.display import charts
from tfticket.display.charts import WIDE, Axis, Figure, Panel, Rows, density_axis, rows
from tfticket.display.palette import DASHED, DOTTED, LEVELS, Look, css
from tfticket.display.words import number, percent
from tfticket.lottery.comparison import Comparison
from tfticket.lottery.metric import Metric
from tfticket.lottery.over_seeds.levels import LevelSummary
from tfticket.lottery.over_seeds.verdicts import Verdicts
from tfticket.lottery.search_results import branch_looks
from tfticket.report.estimate import Estimate
from tfticket.report.reading import RunFiles

_DENSE = {"dense": Look("muted", None, DOTTED)}
_COARSE = (0.1, 0.2, 0.3, 0.5, 0.7, 1, 1.5, 2, 3, 5, 10)
_FINE = (0.6, 0.7, 0.8, 0.9, 1, 1.1, 1.2, 1.4, 1.6, 1.8, 2)

Measure = Callable[[LevelSummary], Estimate]


def hypothesis(summary: Verdicts) -> Figure | None:
    """Draw speed and the metric against density, for tickets and their controls.

    Speed is relative to the dense network of the same seed; its band is the interval over seeds.
    """
    if summary.dense is None or not _has_levels(summary):
        return None
    return charts.beside(
        _speeds(summary), _by_density(summary, lambda level: level.value, width=WIDE / 2)
    )


def value_at_end(summary: Verdicts) -> Figure | None:
    """Draw the metric on test data after the last step against density, dense at the left.

    Band: minimum to maximum over seeds. Whiskers: interval of the mean.
    """
    if not _has_levels(summary):
        return None
    return _by_density(summary, lambda level: level.value_at_end)


def early_stop(summary: Verdicts) -> Figure | None:
    """Draw the iteration of minimum validation loss against density, as above."""
    if not _has_levels(summary):
        return None
    spreads = [level.early_stop_step for level in summary.levels]
    tops = [(spread.largest, spread.upper) for spread in spreads]
    axis = charts.fitted("early-stop iteration", tops, zero=True)
    return _by_density(summary, lambda level: level.early_stop_step, axis=axis, scale=1)


def plane(summary: Verdicts) -> Figure | None:
    """Draw the gain over the dense network against the speed-up, level by level.

    Whiskers, on the tickets only: the intervals of both.
    """
    if summary.dense is None or not summary.verdicts:
        return None
    path: Rows = []
    scale = summary.metric.scale
    for branch in summary.branches:
        found = [comparison for _, comparison in _against_dense(summary, branch)]
        path += rows(
            x=[1.0, *(c.speedup.mean for c in found)],
            y=[0.0, *(scale * c.gain.mean for c in found)],
            name=branch,
        )
    crosses = [
        {"x": speed.mean, "left": speed.lower, "right": speed.upper, "y": scale * gain.mean,
         "low": scale * gain.lower, "high": scale * gain.upper, "name": "ticket"}
        for _, comparison in _against_dense(summary, "ticket")
        for speed, gain in [(comparison.speedup, comparison.gain)]
        if gain.seeds > 1
    ]  # fmt: skip
    panel = _plane_panel(summary, np.array([[row["x"], row["y"]] for row in path]))
    shade = {"type": "rect", "color": css("green"), "opacity": 0.08}
    return panel.draw(
        panel.marks(rows(x=[1], y=[0]), shade, x2={"value": "width"}, y2={"value": 0}),
        panel.rule(y=0),
        panel.rule(x=1),
        panel.line(path),
        panel.whiskers(crosses, width=0.8, opacity=0.45),
        panel.whiskers(crosses, level=True, width=0.8, opacity=0.45),
        panel.points([row for row in path if row["x"] != 1 or row["y"] != 0]),
        panel.points(rows(x=[1], y=[0], name="dense")),
    )  # fmt: skip


def connectivity(scan: Mapping[str, Any] | None) -> Figure | None:
    """Draw instability against the step at which two copies part, with the 2 % rule of stability.

    Frankle et al. (2020, arXiv:1912.05671), section 3.

    Args:
        scan: `k`, a list of steps; `instability`, for each its values over pairs; `recommended`.
    """
    if not scan or not scan.get("k") or len(scan["k"]) != len(scan.get("instability", ())):
        return None
    steps, recommended = list(scan["k"]), scan.get("recommended")
    values = [100 * np.atleast_1d(np.asarray(pairs, float)) for pairs in scan["instability"]]
    panel = Panel(
        Axis("step k at which the copies part", (-0.3, len(steps) - 0.7),
             ticks={place: number(step) for place, step in enumerate(steps)}),
        charts.fitted("instability (points of error)", [*values, [2.5]], zero=True),
        {"": Look("blue", "circle")},
        named=(),
    )  # fmt: skip
    pairs = [(place, value) for place, of_step in enumerate(values) for value in of_step]
    x, y = zip(*pairs, strict=True)
    marked = [steps.index(recommended)] if recommended in steps else []
    return panel.draw(
        panel.rule(y=2),
        *(panel.rule(x=place, color="green", dash=DASHED) for place in marked),
        panel.line(rows(x=range(len(steps)), y=[of_step.mean() for of_step in values], name="")),
        panel.points(rows(x=x, y=y, name=""), opacity=0.5),
        panel.remark("stable below 2 %", x=len(steps) - 1, y=2, align="right", dy=-5),
    )


def _has_levels(summary: Verdicts) -> bool:
    return any(level.level > 0 for level in summary.levels)


def _against_dense(summary: Verdicts, branch: str) -> list[tuple[float, Comparison]]:
    """Density and comparison with the dense network, of each pruned level of a branch."""
    return [
        (level.density, comparison)
        for level in summary.branch(branch)
        if level.level > 0 and (comparison := summary.compare(level)) is not None
    ]


def _speeds(summary: Verdicts) -> Figure:
    found: Rows = []
    for branch in summary.branches:
        compared = _against_dense(summary, branch)
        speeds = [comparison.speedup for _, comparison in compared]
        found += rows(
            x=[100.0, *(100 * density for density, _ in compared)],
            y=[1.0, *(speed.mean for speed in speeds)],
            low=[1.0, *(speed.lower for speed in speeds)],
            high=[1.0, *(speed.upper for speed in speeds)],
            name=branch,
        )
    means = [row["y"] for row in found]
    axis = _ratio_axis(min(means) / 1.25, max(means) * 1.25)
    panel = _density_panel(summary, axis, WIDE / 2)
    return panel.draw(
        panel.band(found), _across(panel, 1), panel.line(found), panel.points(found),
        *_winning(panel, summary),
    )  # fmt: skip


def _ratio_axis(low: float, high: float) -> Axis:
    """Logarithmic, with ticks at plain factors."""
    ticks = charts.plain(_FINE if high < 2.5 * low else _COARSE, low, high)
    return Axis("times as fast as dense, logarithmic", (low, high), log=True, ticks=ticks)


def _by_density(
    summary: Verdicts, measure: Measure, *, axis: Axis | None = None, scale: float | None = None,
    width: float = charts.NARROW,
) -> Figure:  # fmt: skip
    """Means of each branch with the range over seeds as a band and the interval as whiskers."""
    scale = summary.metric.scale if scale is None else scale
    panel = _density_panel(summary, axis or _metric_axis(summary, measure), width)
    found: Rows = []
    whiskers: Rows = []
    for place, branch in enumerate(summary.branches):
        levels = summary.branch(branch)
        if levels[0].level > 0 and summary.dense is not None:
            # A control without a dense network of its own is that of the ticket until it is pruned.
            levels = [summary.dense, *levels]
        for level in levels:
            spread, x = measure(level), 100 * level.density
            low, high = spread.smallest, spread.largest
            row = {"x": x, "y": scale * spread.mean, "name": branch}
            found.append({**row, "low": scale * low, "high": scale * high})
            if spread.seeds > 1 and (level.level > 0 or branch == "ticket"):
                # Whiskers of several branches at one density would hide one another.
                low, high = scale * spread.lower, scale * spread.upper
                whiskers.append({**row, "x": x * 1.012**-place, "low": low, "high": high})
    dense = [] if summary.dense is None else [_across(panel, scale * measure(summary.dense).mean)]
    return panel.draw(
        panel.band(found), *dense, panel.whiskers(whiskers), panel.line(found),
        panel.points(found), *_winning(panel, summary),
    )  # fmt: skip


def _density_panel(summary: Verdicts, axis: Axis, width: float) -> Panel:
    dense = {} if summary.dense is None else _DENSE
    return Panel(
        density_axis(level.density for level in summary.levels), axis,
        branch_looks(summary.branches) | dense, width=width,
        height=250 if width > charts.NARROW else charts.TALL,
    )  # fmt: skip


def _across(panel: Panel, height: float) -> Figure:
    """The dense network, which has no density to speak of: a line from side to side."""
    return panel.line(rows(x=panel.x.domain, y=height, name="dense"), width=1)


def _winning(panel: Panel, summary: Verdicts) -> list[Figure]:
    winning = summary.smallest_winning
    if winning is None:
        return []
    x = 100 * winning.density
    return [
        panel.rule(x=x, color="green", dash=DASHED),
        panel.remark("smallest winning ticket", x=x, color="green", dy=-6),
    ]


def _plane_panel(summary: Verdicts, points: np.ndarray) -> Panel:
    """Room for all means; a control that collapses may leave at the bottom, as in `value`."""
    speeds, gains = points.T
    metric = summary.metric
    tickets = [metric.scale * verdict.against_dense.gain.mean for verdict in summary.verdicts]
    top, low = max(0.0, float(gains.max())), min(0.0, *tickets)
    least, room = (1, 0.2) if metric.is_share else (0, 1e-3)
    bottom = max(min(0.0, float(gains.min())), top - max(3 * (top - low), least))
    margin = 0.1 * (top - bottom) or room
    left, right = min(1.0, float(speeds.min())) / 1.2, max(1.0, float(speeds.max())) * 1.2
    return Panel(
        _ratio_axis(left, right),
        Axis(
            f"{metric.difference} against dense{' (points)' if metric.is_share else ''}",
            (bottom - margin, top + 1.8 * margin),
        ),
        branch_looks(summary.branches) | {"dense": Look("ink", "circle")},
    )


def _metric_axis(summary: Verdicts, measure: Measure) -> Axis:
    """Keeps a control that collapses, or an interval of two seeds, from flattening the rest."""
    spreads = [(level, measure(level)) for level in summary.levels]
    metric = summary.metric
    if metric.direction == "min":
        best = min(spread.smallest for _, spread in spreads)
        high = max(spread.largest for _, spread in spreads)
        tickets = max(spread.largest for level, spread in spreads if level.branch == "ticket")
        worst = min(high, best + 3 * (tickets - best)) if tickets > best else high
        margin = 0.06 * (worst - best) or 1e-3
        return Axis(f"test {metric.axis}", (best - 1.6 * margin, worst + margin))
    top = max(spread.largest for _, spread in spreads)
    low = min(spread.smallest for _, spread in spreads)
    tickets = min(spread.smallest for level, spread in spreads if level.branch == "ticket")
    bottom = max(low, top - max(3 * (top - tickets), 0.01))
    margin = 0.06 * (top - bottom) or 0.005
    domain = (bottom - margin, top + 1.6 * margin)
    if metric.is_share:
        domain = (100 * max(0.0, domain[0]), 100 * min(1.0, domain[1]))
    return Axis(f"test {metric.axis}", domain)


_CURVES = 6
_WINDOW = 5  # evaluations in a running mean
_MANY = 40  # evaluations above which a curve is smoothed


def learning_curves(files: RunFiles, summary: Verdicts, *, name: str) -> Figure | None:
    """Draw validation `loss` or the metric along training, mean over seeds, for a choice of levels.

    A thick line is the running mean of five evaluations where there are many, the thin one what
    was measured. A dot marks the mean early-stop iteration.
    """
    levels = [level for level in summary.branch("ticket") if _curves(files, level, name)]
    if not levels:
        return None
    shown = charts.spread_out(levels, _CURVES + 1)
    colors = ["ink", *LEVELS] if shown[0].level == 0 else list(LEVELS)
    metric = summary.metric
    scale = metric.scale if name == metric.name else 1
    used: dict[str, Look] = {}
    drawn: list[tuple[str, np.ndarray, np.ndarray, np.ndarray]] = []
    dots: Rows = []
    for level, color in zip(shown, colors, strict=False):
        curves = _curves(files, level, name)
        steps = curves[0][0]
        values = scale * np.mean([np.interp(steps, *curve) for curve in curves], axis=0)
        label = "dense" if level.level == 0 else percent(level.density)
        if label in used:  # two densities that round to one
            label = f"{label}, level {level.level}"
        used[label] = Look(color, "circle")
        smooth = _running_mean(values)
        drawn.append((label, steps, values, smooth))
        stop = level.early_stop_step.mean
        dots += rows(x=[stop], y=np.interp(stop, steps, smooth), name=label)
    axis = _curve_axis(np.concatenate([smooth for *_, smooth in drawn]), name, metric)
    panel = Panel(charts.step_axis(max(steps[-1] for _, steps, *_ in drawn)), axis, used)
    return panel.draw(*panel.curves(drawn), panel.points(dots))


def _curve_axis(values: np.ndarray, name: str, metric: Metric) -> Axis:
    """The first evaluations are far off; what matters happens near the best values."""
    title = f"validation {metric.axis if name == metric.name else name}"
    if name == "loss" or metric.direction == "min":
        return charts.fitted(title, [values], quantiles=(0, 0.93))
    if not metric.is_share:
        return charts.fitted(title, [values], quantiles=(0.07, 1))
    return charts.fitted(title, [values], quantiles=(0.07, 1), limits=(0, 100))


def _curves(files: RunFiles, level: LevelSummary, name: str) -> list[tuple[np.ndarray, np.ndarray]]:
    found = []
    for seed in level.value.values:
        curve = files.curves.get((seed, level.branch, level.level), {}).get(("validation", name))
        if curve is not None and len(curve.steps) > 1:
            found.append((curve.steps, curve.values))
    return found


def _running_mean(values: np.ndarray) -> np.ndarray:
    """A centered mean over `_WINDOW` values, narrower at the ends; few values as they are."""
    if len(values) <= _MANY:
        return values
    ones = np.ones(_WINDOW)
    return np.convolve(values, ones, "same") / np.convolve(np.ones(len(values)), ones, "same")
