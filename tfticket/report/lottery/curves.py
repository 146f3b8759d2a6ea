"""The figure of learning curves: what happened along training, level by level.

As in `plots`, None when the run doesn't hold it; to be called inside `canvas.settings()`.
"""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from tfticket.report.canvas import LEVELS, LIGHT, new_axes, percent_axis, spread_out
from tfticket.report.lottery.levels import LevelSummary
from tfticket.report.lottery.summary import Summary
from tfticket.report.reading import RunFiles
from tfticket.report.words import number, percent

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
