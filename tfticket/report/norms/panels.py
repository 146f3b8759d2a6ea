"""The three panels of the paper's figure 4: loss band, gradient predictiveness, effective beta.

Santurkar et al. (arXiv:1805.11604), figure 4. Each function draws one figure, or returns None when
the run doesn't hold it; all are to be called inside `canvas.settings()`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tfticket.norms.landscape import SmoothnessRecord
from tfticket.report.canvas import LIGHT, WIDE, grid, log_axis, step_axis
from tfticket.report.norms.cells import Branch, Study, tracked
from tfticket.report.norms.comparisons import BASELINES
from tfticket.report.norms.paper import figure_of
from tfticket.report.norms.series import (
    is_wide,
    labels,
    line_style,
    over_seeds,
)

PANELS = ("loss_band", "predictiveness", "beta")
_TITLES = {
    "loss_band": "loss along the step",
    "predictiveness": "change of the gradient",
    "beta": "effective beta",
}
_MOST_ROWS = 6
_FAR = 8.0  # ratio of typical values above which an axis is logarithmic
_PEAK = 50.0  # the same of the highest to a typical one
_MANY = 160  # moments above which dots are small
_TRIMMED = 0.995  # share of the values that an axis makes room for


def figure4(study: Study) -> Figure | None:
    """The baseline and batch norm, or the first other norm, over each other.

    Bands reach from the lowest to the highest value along the step, medians over seeds.
    """
    pair = main_pair(tracked(study))
    if not pair:
        return None
    figure, axes = grid(1, 3, width=WIDE, height=3.5)
    for here, measure in zip(axes[0], PANELS, strict=True):
        drawn = [_draw(here, study, branch, measure, pair) for branch in pair]
        scale([here], measure, drawn)
        here.set_title(_TITLES[measure])
        step_axis(here, _last(pair))
    handles = axes[0][0].get_legend_handles_labels()[0]
    figure.legend(loc="outside upper left", ncols=4, handles=handles)
    return figure


def over_paper(study: Study) -> Figure | None:
    """The same two, a row each, over the paper's own curves in gray; None for other experiments."""
    paper, pair = figure_of(study.files), main_pair(tracked(study))
    pair = [branch for branch in pair if branch.norm in ("none", "batch")]
    if not paper or not pair:
        return None
    figure, axes = grid(len(pair), 3, width=WIDE, height=0.9 + 2.0 * len(pair))
    for column, measure in enumerate(PANELS):
        drawn = []
        for row, branch in enumerate(pair):
            curve = paper[measure][branch.norm]
            edges = np.stack([curve.low, curve.high], axis=1)
            _gray(axes[row][column], curve.share * branch.steps, edges, measure)
            drawn += [edges, _draw(axes[row][column], study, branch, measure, pair)]
        _finish_column([row[column] for row in axes], measure, drawn, _last(pair))
    _name_rows(axes, pair)
    return figure


def rows(study: Study) -> Figure | None:
    """All norms when there are more than two: a row a norm, the baseline behind each in gray."""
    branches = tracked(study)
    baseline = _baseline(branches)
    others = [branch for branch in branches if branch is not baseline][:_MOST_ROWS]
    if len(branches) < 3:
        return None
    figure, axes = grid(len(others), 3, width=WIDE, height=0.8 + 1.5 * len(others))
    for column, measure in enumerate(PANELS):
        drawn = []
        for row, branch in enumerate(others):
            here = axes[row][column]
            if baseline is not None:
                steps, edges = _edges(study, baseline, measure)
                _gray(here, steps, edges, measure)
                drawn.append(edges)
            drawn.append(_draw(here, study, branch, measure, branches))
        _finish_column([row[column] for row in axes], measure, drawn, _last(branches))
    _name_rows(axes, others)
    return figure


def main_pair(branches: Sequence[Branch]) -> list[Branch]:
    """The baseline and the norm to hold against it, as far as they are there."""
    baseline = _baseline(branches)
    others = [branch for branch in branches if branch is not baseline]
    main = next((b for b in others if b.norm == "batch"), others[0] if others else None)
    return [branch for branch in (baseline, main) if branch is not None]


def _baseline(branches: Sequence[Branch]) -> Branch | None:
    by_norm = {branch.norm: branch for branch in reversed(branches)}
    return next((by_norm[name] for name in BASELINES if name in by_norm), None)


def band_of(record: SmoothnessRecord, measure: str) -> np.ndarray:
    """Lower and upper edge of a panel's band, shape (T, 2); of beta the same twice."""
    if measure == "loss_band":
        return record.loss_band
    if measure == "predictiveness":
        return record.gradient_predictiveness
    return np.stack([record.effective_beta] * 2, axis=1)


def _edges(study: Study, branch: Branch, measure: str) -> tuple[np.ndarray, np.ndarray]:
    return over_seeds(study.landscapes(branch), lambda record: band_of(record, measure))


def _draw(
    axes: Axes, study: Study, branch: Branch, measure: str, among: Sequence[Branch]
) -> np.ndarray:
    steps, found = _edges(study, branch, measure)
    color = line_style(branch.label, labels(among))["color"]
    if measure == "beta":
        _beta_line(axes, study, branch, color)
    else:
        axes.fill_between(
            steps, *found.T, color=color, alpha=0.5, linewidth=0.4, label=branch.label
        )
    return found


def _beta_line(axes: Axes, study: Study, branch: Branch, color: str) -> None:
    """A line through all moments; a dot where beta is a measurement, hollow where saturated."""
    steps, edges = _edges(study, branch, "beta")
    _, saturated = over_seeds(study.landscapes(branch), lambda r: r.saturated.astype(float))
    beta, bound = edges[:, 0], saturated >= 0.5
    axes.plot(steps, beta, color=color, linewidth=0.8, alpha=0.5)
    size = 2.8 if len(steps) <= _MANY else 1.7
    axes.plot(steps[~bound], beta[~bound], "o", color=color, markersize=size, label=branch.label)
    axes.plot(
        steps[bound], beta[bound], "o", markersize=size, markerfacecolor=LIGHT["paper"],
        markeredgecolor=LIGHT["muted"], markeredgewidth=0.7,
    )  # fmt: skip


def _gray(axes: Axes, steps: np.ndarray, edges: np.ndarray, measure: str) -> None:
    if measure == "beta":
        axes.plot(steps, edges[:, 0], color=LIGHT["muted"], linewidth=0.8, alpha=0.6)
    else:
        axes.fill_between(steps, *edges.T, color=LIGHT["muted"], alpha=0.3, linewidth=0)


def _finish_column(
    axes: Sequence[Axes], measure: str, drawn: Sequence[np.ndarray], last: int
) -> None:
    scale(axes, measure, drawn)
    axes[0].set_title(_TITLES[measure])
    for here in axes[:-1]:
        here.tick_params(labelbottom=False)
    for here in axes:
        step_axis(here, last)
        if here is not axes[-1]:
            here.set_xlabel("")


def _last(branches: Sequence[Branch]) -> int:
    return max(branch.steps for branch in branches)


def _name_rows(axes: Sequence[Sequence[Axes]], branches: Sequence[Branch]) -> None:
    for row, branch in zip(axes, branches, strict=True):
        row[0].set_ylabel(branch.label)


def scale(axes: Sequence[Axes], measure: str, drawn: Sequence[np.ndarray]) -> None:
    """One vertical scale for all: logarithmic for losses and wide ranges, else from zero."""
    highs = np.concatenate([found[:, 1] for found in drawn])
    highs = highs[np.isfinite(highs)]
    values = np.concatenate([found.ravel() for found in drawn])
    positive = values[np.isfinite(values) & (values > 0)]
    tops = [float(np.nanmedian(found[:, 1])) for found in drawn if np.isfinite(found).any()]
    logarithmic = bool(positive.size) and (
        measure == "loss_band"
        or is_wide(drawn)
        or max(tops) > _FAR * min(tops)
        or float(highs.max()) > _PEAK * float(np.median(highs))
    )
    for here in axes:
        if logarithmic:
            low, high = np.quantile(positive, [1 - _TRIMMED, _TRIMMED])
            here.set_ylim(low / 1.15, high * 1.15)
            log_axis(here.yaxis)
        elif highs.size:
            here.set_ylim(0, 1.08 * float(np.quantile(highs, _TRIMMED)))
