"""Beyond one number: beta at every step size, changes without units, sharpness, usable steps.

As in `panels`, None when the run doesn't hold it; to be called inside `canvas.settings()`.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from tfticket.norms.landscape import SmoothnessRecord
from tfticket.report.canvas import LEVELS, LIGHT, WIDE, grid, log_axis, new_axes, step_axis
from tfticket.report.norms.cells import Branch, Study, tracked
from tfticket.report.norms.series import is_wide, labels, line_style, over_seeds
from tfticket.report.norms.words import quantity
from tfticket.report.words import TIMES, percent

MOMENTS = (0.0, 0.1, 0.33, 0.66, 1.0)
"""Shares of training at which whole curves are shown."""

_COLUMNS = 3
_MOST = 9


def beta_curves(study: Study) -> Figure | None:
    """Beta against the step size at a few moments, a panel a norm.

    Dotted: what a gradient that is gone at that distance gives, ||g_0|| / (k ||d||): 1 / step size
    along the gradient.
    """
    branches = tracked(study)[:_MOST]
    if not branches or len(_multipliers(study, branches[0])) < 2:
        return None
    columns = min(_COLUMNS, len(branches))
    rows = -(-len(branches) // columns)
    figure, axes = grid(rows, columns, width=WIDE, height=0.8 + 2.5 * rows)
    flat = [each for row in axes for each in row]
    for each, branch in zip(flat, branches, strict=False):
        _beta_panel(each, study, branch)
    for each in flat[len(branches) :]:
        each.set_visible(False)
    low = min(each.get_ylim()[0] for each in flat[: len(branches)])
    high = max(each.get_ylim()[1] for each in flat[: len(branches)])
    for place, each in enumerate(flat[: len(branches)]):
        each.set_ylim(low, high)
        log_axis(each.yaxis)
        if place % columns:
            each.tick_params(labelleft=False, which="both")
        else:
            each.set_ylabel("beta")
    handles = flat[0].get_legend_handles_labels()[0]
    figure.legend(loc="outside upper left", ncols=len(handles), handles=handles)
    return figure


def _beta_panel(axes: Axes, study: Study, branch: Branch) -> None:
    records = study.landscapes(branch)
    k = _multipliers(study, branch)
    steps, curves = over_seeds(records, lambda record: record.beta_curve)
    for share, color in zip(MOMENTS, LEVELS, strict=False):
        moment = int(np.argmin(np.abs(steps - share * branch.steps)))
        axes.plot(k, curves[moment], color=LIGHT[color], marker="o", markersize=2.6,
                  label=f"at {percent(share, 0)}")  # fmt: skip
    bound = np.median([np.median(r.gradient_norm / r.direction_norm) for r in records.values()])
    axes.plot(k, bound / k, color=LIGHT["muted"], linestyle=":", linewidth=1.1,
              label="gradient gone")  # fmt: skip
    axes.set_yscale("log")
    multiplier_axis(axes, k)
    axes.set_title(branch.label)


def multiplier_axis(axes: Axes, k: np.ndarray) -> None:
    """Ticks at a few of the multipliers."""
    low, high = float(k[0]), float(k[-1])
    usual = (0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30) if high > 20 * low else (0.25, 0.5, 1, 2, 4, 8)
    wanted = [tick for tick in usual if low <= tick <= high]
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(FixedLocator(wanted or [low, high]))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.set_xlabel("multiple of the step")


def relative_change(study: Study) -> Figure | None:
    """Relative change of the gradient against relative distance: without units, so comparable.

    Lines: medians over the moments of training and over seeds; bands: quarter to three quarters.
    """
    branches = tracked(study)
    if not branches:
        return None
    figure, axes = new_axes()
    for branch in branches:
        style = line_style(branch.label, labels(branches))
        records = study.landscapes(branch).values()
        distance = _quantiles([record.relative_distance for record in records])
        change = _quantiles([record.relative_change for record in records])
        axes.fill_between(
            distance[1], change[0], change[2], color=style["color"], alpha=0.13, linewidth=0
        )
        axes.plot(distance[1], change[1], label=branch.label, **style | {"marker": "o"},
                  markersize=3)  # fmt: skip
    log_axis(axes.xaxis)
    log_axis(axes.yaxis)
    axes.set_xlabel("distance moved, relative to the weights")
    axes.set_ylabel("change of the gradient, relative")
    figure.legend(loc="outside upper left", ncols=4)
    return figure


def _quantiles(values: list[np.ndarray]) -> np.ndarray:
    """First quartile, median and third quartile over moments and seeds, shape (3, K)."""
    found = np.concatenate(values)
    found = found[np.isfinite(found).all(axis=1)]
    if not found.size:
        return np.full((3, values[0].shape[1]), np.nan)
    return np.quantile(found, [0.25, 0.5, 0.75], axis=0)


def gauge(study: Study) -> Figure | None:
    """Learning rate times sharpness over 2, along training, with its line at 1."""
    drawn = _along(study, lambda record: record.gauge)
    if drawn is None:
        return None
    figure, axes = drawn
    axes.axhline(1, color=LIGHT["ink"], linewidth=1, linestyle="--")
    axes.set_ylabel(f"learning rate {TIMES} sharpness / 2")
    return figure


def sharpness(study: Study) -> Figure | None:
    """Curvature along the step, at its shortest multiple, along training."""
    drawn = _along(study, lambda record: record.sharpness)
    if drawn is None:
        return None
    drawn[1].set_ylabel("sharpness along the step")
    return drawn[0]


def usable(study: Study) -> Figure | None:
    """The largest multiple of the step up to which the batch's loss doesn't rise."""
    drawn = _along(study, lambda record: record.usable)
    if drawn is None:
        return None
    figure, axes = drawn
    axes.axhline(1, color=LIGHT["ink"], linewidth=1, linestyle="--")
    axes.set_ylabel("usable multiple of the step")
    return figure


def _along(
    study: Study, value: Callable[[SmoothnessRecord], np.ndarray]
) -> tuple[Figure, Axes] | None:
    """A line a norm along training: running median of the medians over seeds."""
    branches = tracked(study)
    if not branches:
        return None
    figure, axes = new_axes()
    drawn = []
    for branch in branches:
        steps, found = over_seeds(study.landscapes(branch), value)
        smooth = running_median(found)
        style = line_style(branch.label, labels(branches))
        axes.plot(steps, found, color=style["color"], linewidth=0.5, alpha=0.3)
        axes.plot(steps, smooth, label=branch.label, **style)
        drawn.append(smooth)
    if is_wide(drawn):
        log_axis(axes.yaxis)
    else:
        _window(axes, np.concatenate(drawn))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: quantity(value)))
    step_axis(axes, max(branch.steps for branch in branches))
    figure.legend(loc="outside upper left", ncols=4)
    return figure, axes


def _window(axes: Axes, values: np.ndarray) -> None:
    values = values[np.isfinite(values)]
    if values.size:
        high = max(1.2, 1.15 * float(values.max()))
        axes.set_ylim(min(0.0, 1.1 * float(values.min())), high)


def running_median(values: np.ndarray) -> np.ndarray:
    """A centered median over a tenth of the moments; few of them as they are."""
    half = len(values) // 20
    if half < 1:
        return values
    padded = np.pad(values, half, constant_values=np.nan)
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * half + 1)
    return np.ma.median(np.ma.masked_invalid(windows), axis=1).filled(np.nan)


def _multipliers(study: Study, branch: Branch) -> np.ndarray:
    return next(iter(study.landscapes(branch).values())).multipliers
