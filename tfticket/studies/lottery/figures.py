"""The figures of results: the hypothesis, accuracy, early stop, both at once, connectivity.

Each function draws one figure from what was read, or returns None when the run doesn't hold it.
All are to be called inside `canvas.settings()`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from tfticket.lottery.comparison import Comparison
from tfticket.report.canvas import (
    LEVELS,
    LIGHT,
    WIDE,
    branch_style,
    density_axis,
    grid,
    new_axes,
    percent_axis,
    spread_out,
)
from tfticket.report.estimate import Estimate
from tfticket.report.reading import RunFiles
from tfticket.report.words import number, percent
from tfticket.studies.lottery.levels import LevelSummary
from tfticket.studies.lottery.summary import Summary

_COARSE = (0.1, 0.2, 0.3, 0.5, 0.7, 1, 1.5, 2, 3, 5, 10)
_FINE = (0.6, 0.7, 0.8, 0.9, 1, 1.1, 1.2, 1.4, 1.6, 1.8, 2)


def hypothesis(summary: Summary) -> Figure | None:
    """Speed and accuracy against density, for tickets and their controls: the hypothesis at a look.

    Speed is relative to the dense network of the same seed; its band is the interval over seeds.
    """
    if summary.dense is None or not _has_levels(summary):
        return None
    figure, ((speed, accurate),) = grid(1, 2, width=WIDE, height=3.9)
    for branch in summary.branches:
        _speeds(speed, summary, branch)
        _branch(accurate, summary, branch, lambda level: level.accuracy)
    speed.axhline(1, color=LIGHT["muted"], linewidth=1, linestyle=":", label="dense")
    _dense_line(accurate, summary, lambda level: level.accuracy)
    _accuracy_window(accurate, summary, lambda level: level.accuracy)
    percent_axis(accurate, "test accuracy (%)")
    _ratio_axis(speed)
    speed.set_ylabel("times as fast as dense, logarithmic")
    for axes in (speed, accurate):
        _finish_by_density(axes, summary)
    return figure


def accuracy_at_end(summary: Summary) -> Figure | None:
    """Test accuracy after the last step against density, dense at the left.

    Band: minimum to maximum over seeds. Whiskers: interval of the mean.
    """
    if not _has_levels(summary):
        return None
    figure, axes = new_axes()
    for branch in summary.branches:
        _branch(axes, summary, branch, lambda level: level.accuracy_at_end)
    _dense_line(axes, summary, lambda level: level.accuracy_at_end)
    _accuracy_window(axes, summary, lambda level: level.accuracy_at_end)
    percent_axis(axes, "test accuracy (%)")
    _finish_by_density(axes, summary)
    return figure


def early_stop(summary: Summary) -> Figure | None:
    """Iteration of minimum validation loss against density; bands and whiskers as above."""
    if not _has_levels(summary):
        return None
    figure, axes = new_axes()
    for branch in summary.branches:
        _branch(axes, summary, branch, lambda level: level.early_stop_step)
    _dense_line(axes, summary, lambda level: level.early_stop_step)
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: number(value)))
    axes.set_ylabel("early-stop iteration")
    _finish_by_density(axes, summary)
    return figure


def plane(summary: Summary) -> Figure | None:
    """Accuracy gained over the dense network against speed-up, a path through the levels.

    Whiskers, on the tickets only: the intervals of both.
    """
    if summary.dense is None or not summary.verdicts:
        return None
    figure, axes = new_axes()
    axes.axhline(0, color=LIGHT["muted"], linewidth=1, linestyle=":")
    axes.axvline(1, color=LIGHT["muted"], linewidth=1, linestyle=":")
    points = []
    for branch in summary.branches:
        found = [comparison for _, comparison in _against_dense(summary, branch)]
        x, y = [1.0, *(c.speedup.mean for c in found)], [0.0, *(c.gain.mean for c in found)]
        axes.plot(x, y, label=branch, **branch_style(branch, summary.branches))
        points += [(a, b) for a, b in zip(x, y, strict=True) if branch == "ticket" or len(x) > 1]
        if branch == "ticket" and len(summary.seeds) > 1:
            _cross(axes, found)
    axes.plot([1], [0], "o", color=LIGHT["ink"], label="dense", zorder=5)
    _plane_window(axes, np.array(points), summary)
    axes.legend()
    return figure


def connectivity(scan: Mapping[str, Any] | None) -> Figure | None:
    """Instability against the step at which two copies part, with the 2 % rule of stability.

    Frankle et al. (2020, arXiv:1912.05671), section 3.

    Args:
        scan: `k`, a list of steps; `instability`, for each its values over pairs; `recommended`.
    """
    if not scan or not scan.get("k") or len(scan["k"]) != len(scan.get("instability", ())):
        return None
    steps, recommended = list(scan["k"]), scan.get("recommended")
    values = [np.atleast_1d(np.asarray(pairs, float)) for pairs in scan["instability"]]
    figure, axes = new_axes()
    x = np.arange(len(steps))
    for place, pairs in zip(x, values, strict=True):
        axes.plot([place] * len(pairs), pairs, "o", color=LIGHT["blue"], alpha=0.5, markersize=4)
    axes.plot(x, [pairs.mean() for pairs in values], color=LIGHT["blue"])
    axes.axhline(0.02, color=LIGHT["muted"], linestyle=":", linewidth=1)
    axes.annotate(
        "stable below 2 %",
        (x[-1], 0.02),
        ha="right",
        va="bottom",
        fontsize=8.5,
        color=LIGHT["muted"],
    )
    if recommended in steps:
        axes.axvline(steps.index(recommended), color=LIGHT["green"], linewidth=1, linestyle="--")
    axes.set_xticks(x, [number(step) for step in steps])
    axes.set_ylim(bottom=min(0, *(float(pairs.min()) for pairs in values)))
    axes.set_xlabel("step k at which the copies part")
    percent_axis(axes, "instability (points of error)")
    return figure


def _has_levels(summary: Summary) -> bool:
    return any(level.level > 0 for level in summary.levels)


def _against_dense(summary: Summary, branch: str) -> list[tuple[float, Comparison]]:
    """Density and comparison with the dense network, of each pruned level of a branch."""
    return [
        (level.density, comparison)
        for level in summary.branch(branch)
        if level.level > 0 and (comparison := summary.compare(level)) is not None
    ]


def _speeds(axes: Axes, summary: Summary, branch: str) -> None:
    found = _against_dense(summary, branch)
    speeds = [comparison.speedup for _, comparison in found]
    style = branch_style(branch, summary.branches)
    x = [1.0, *(density for density, _ in found)]
    axes.plot(x, [1.0, *(speed.mean for speed in speeds)], label=branch, **style)
    if speeds and speeds[0].seeds > 1:
        low, high = [1.0, *(s.lower for s in speeds)], [1.0, *(s.upper for s in speeds)]
        axes.fill_between(x, low, high, color=style["color"], alpha=0.14, linewidth=0)


def _ratio_axis(axes: Axes) -> None:
    """Logarithmic, with ticks at plain factors; no wide interval stretches it."""
    means = np.concatenate([line.get_ydata() for line in axes.get_lines()]).astype(float)
    low, high = means.min() / 1.25, means.max() * 1.25
    axes.set_yscale("log")
    axes.set_ylim(low, high)
    ticks = _FINE if high < 2.5 * low else _COARSE
    axes.yaxis.set_major_locator(FixedLocator([t for t in ticks if low <= t <= high]))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def _branch(
    axes: Axes, summary: Summary, branch: str, measure: Callable[[LevelSummary], Estimate]
) -> None:
    levels = summary.branch(branch)
    if branch != "ticket" and summary.dense is not None:
        # A control is the dense network as long as nothing is pruned.
        levels = [summary.dense, *levels]
    # Whiskers of several branches at one density would hide one another.
    dodge = 1.012 ** -summary.branches.index(branch)
    spreads = [measure(level) for level in levels]
    x = np.array([level.density for level in levels])
    style = branch_style(branch, summary.branches)
    color = style["color"]
    low, high = [s.smallest for s in spreads], [s.largest for s in spreads]
    axes.fill_between(x, low, high, color=color, alpha=0.14, linewidth=0)
    axes.plot(x, [s.mean for s in spreads], label=branch, **style)
    known = [(at, s) for at, s, level in zip(x, spreads, levels, strict=True)
             if s.seeds > 1 and (level.level > 0 or branch == "ticket")]  # fmt: skip
    if known:
        half = [s.upper - s.mean for _, s in known]
        axes.errorbar(
            [at * dodge for at, _ in known], [s.mean for _, s in known], half, fmt="none",
            ecolor=color, elinewidth=0.9, capsize=1.8, alpha=0.8,
        )  # fmt: skip


def _dense_line(axes: Axes, summary: Summary, measure: Callable[[LevelSummary], Estimate]) -> None:
    if summary.dense is not None:
        axes.axhline(
            measure(summary.dense).mean,
            color=LIGHT["muted"],
            linewidth=1,
            linestyle=":",
            label="dense",
        )


def _finish_by_density(axes: Axes, summary: Summary) -> None:
    density_axis(axes, [level.density for level in summary.levels])
    winning = summary.smallest_winning
    if winning is not None:
        axes.axvline(winning.density, color=LIGHT["green"], linewidth=1, linestyle="--")
        axes.annotate(
            "smallest winning ticket",
            (winning.density, 1),
            xycoords=("data", "axes fraction"),
            xytext=(0, 3),
            textcoords="offset points",
            ha="center",
            fontsize=8.5,
            color=LIGHT["green"],
        )
    axes.legend(loc="best")


def _cross(axes: Axes, found: list[Comparison]) -> None:
    for each in found:
        speed, gain = each.speedup, each.gain
        if gain.seeds > 1:
            color = LIGHT["blue"]
            axes.plot([speed.lower, speed.upper], [gain.mean] * 2, color=color, lw=0.8, alpha=0.45)
            axes.plot([speed.mean] * 2, [gain.lower, gain.upper], color=color, lw=0.8, alpha=0.45)


def _plane_window(axes: Axes, points: np.ndarray, summary: Summary) -> None:
    """Room for all means; a control that collapses may leave at the bottom, as in `accuracy`."""
    speeds, gains = points.T
    tickets = [verdict.against_dense.gain.mean for verdict in summary.verdicts]
    top, low = max(0.0, float(gains.max())), min(0.0, *tickets)
    bottom = max(min(0.0, float(gains.min())), top - max(3 * (top - low), 0.01))
    margin = 0.1 * (top - bottom) or 0.002
    left, right = min(1.0, float(speeds.min())) / 1.2, max(1.0, float(speeds.max())) * 1.2
    axes.set_xscale("log")
    axes.set_xlim(left, right)
    axes.set_ylim(bottom - margin, top + 1.8 * margin)
    corner = Rectangle((1, 0), right, 1, color=LIGHT["green"], alpha=0.08, linewidth=0, zorder=0)
    axes.add_patch(corner)
    ticks = _FINE if right < 2.5 * left else _COARSE
    axes.xaxis.set_major_locator(FixedLocator([t for t in ticks if left <= t <= right]))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.set_xlabel("times as fast as dense, logarithmic")
    percent_axis(axes, "accuracy against dense (points)")


def _accuracy_window(
    axes: Axes, summary: Summary, measure: Callable[[LevelSummary], Estimate]
) -> None:
    """Keeps a control that collapses, or an interval of two seeds, from flattening the rest."""
    spreads = [(level, measure(level)) for level in summary.levels]
    top = max(spread.largest for _, spread in spreads)
    low = min(spread.smallest for _, spread in spreads)
    tickets = min(spread.smallest for level, spread in spreads if level.branch == "ticket")
    bottom = max(low, top - max(3 * (top - tickets), 0.01))
    margin = 0.06 * (top - bottom) or 0.005
    axes.set_ylim(max(0, bottom - margin), min(1.0, top + 1.6 * margin))


_CURVES = 6
_WINDOW = 5  # evaluations in a running mean
_MANY = 40  # evaluations above which a curve is smoothed


def learning_curves(files: RunFiles, summary: Summary, *, name: str) -> Figure | None:
    """Validation `loss` or `accuracy` along training, mean over seeds, for a choice of levels.

    A thick line is the running mean of five evaluations where there are many, the thin one what
    was measured. A dot marks the mean early-stop iteration.
    """
    levels = [level for level in summary.branch("ticket") if _curves(files, level, name)]
    if not levels:
        return None
    figure, axes = new_axes()
    shown = spread_out(levels, _CURVES + 1)
    colors = [LIGHT["ink"], *(LIGHT[color] for color in LEVELS)]
    if shown[0].level != 0:
        colors = colors[1:]
    floor = []
    for level, color in zip(shown, colors, strict=False):
        steps, values = _mean_curve(_curves(files, level, name))
        label = "dense" if level.level == 0 else percent(level.density)
        smooth = _running_mean(values)
        if smooth is not values:
            axes.plot(steps, values, color=color, linewidth=0.6, alpha=0.3)
        axes.plot(steps, smooth, color=color, label=label, linewidth=1.4)
        stop = level.early_stop_step.mean
        axes.plot([stop], [np.interp(stop, steps, smooth)], "o", color=color, markersize=5)
        floor.append(smooth)
    _curve_window(axes, np.concatenate(floor), name)
    axes.set_xlim(left=0)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: number(value)))
    axes.set_xlabel("iteration")
    figure.legend(loc="outside upper left", ncols=4)
    return figure


def _curve_window(axes: Axes, values: np.ndarray, name: str) -> None:
    """The first evaluations are far off; what matters happens near the best values."""
    values = values[np.isfinite(values)]
    if name == "loss":
        low, high = float(values.min()), float(np.quantile(values, 0.93))
        axes.set_ylim(low - 0.08 * (high - low), high + 0.12 * (high - low))
        axes.set_ylabel("validation loss")
        return
    low, high = float(np.quantile(values, 0.07)), float(values.max())
    axes.set_ylim(low - 0.12 * (high - low), min(1.0, high + 0.08 * (high - low)))
    percent_axis(axes, "validation accuracy (%)")


def _curves(files: RunFiles, level: LevelSummary, name: str) -> list[tuple[np.ndarray, np.ndarray]]:
    found = []
    for seed in level.accuracy.values:
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


def _mean_curve(curves: list[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    steps = curves[0][0]
    return steps, np.mean([np.interp(steps, *curve) for curve in curves], axis=0)
