"""The three panels of the paper's figure 4: loss band, gradient predictiveness, effective beta.

Santurkar et al. (arXiv:1805.11604), figure 4. Each function draws one figure, or returns None when
the run doesn't hold it; all are to be called inside `canvas.settings()`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from tfticket.norms.landscape import SmoothnessRecord
from tfticket.report.canvas import LEVELS, LIGHT, WIDE, grid, log_axis, new_axes, step_axis
from tfticket.report.words import TIMES, percent
from tfticket.studies.norms.measures import is_wide, labels, line_style, over_seeds
from tfticket.studies.norms.names import quantity
from tfticket.studies.norms.networks import Branch, Study, tracked, usual_batch_size
from tfticket.studies.norms.paper import figure_of
from tfticket.studies.norms.results import BASELINES

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


_MOST_LINES = len(LEVELS)
_MOST_COLUMNS = 4
_MOST_RATES = 3


def shift(study: Study, *, measure: str) -> Figure | None:
    """A column a norm, a row a learning rate: a line a layer, or a heat map of many layers.

    Args:
        study: The cells of a run.
        measure: `cosine` or `l2`.
    """
    branches = [b for b in study.branches if b.subnetwork == "dense" and study.shifts(b)]
    if not branches:
        return None
    size = usual_batch_size(study, branches)
    branches = [branch for branch in branches if branch.batch_size == size]
    rates = sorted({branch.learning_rate for branch in branches})[-_MOST_RATES:]
    branches = [branch for branch in branches if branch.learning_rate in rates]
    norms = list(dict.fromkeys(branch.label for branch in branches))[:_MOST_COLUMNS]
    figure, axes = grid(len(rates), len(norms), width=WIDE, height=1.0 + 2.1 * len(rates))
    drawn: list[tuple[Axes, np.ndarray]] = []
    for column, norm in enumerate(norms):
        of_norm = {branch.learning_rate: branch for branch in branches if branch.label == norm}
        lowest = max(rates.index(rate) for rate in rates if rate in of_norm)
        for row, rate in enumerate(rates):
            here = axes[row][column]
            if rate not in of_norm:
                here.set_visible(False)
                continue
            drawn.append((here, _panel(here, study, of_norm[rate], measure)))
            here.set_title(norm if len(rates) == 1 else f"{norm}, learning rate {rate:g}")
            step_axis(here, max(branch.steps for branch in branches))
            if row < lowest:
                here.set_xlabel("")
                here.tick_params(labelbottom=False)
            if column == 0 and not here.collections:
                here.set_ylabel("cosine" if measure == "cosine" else "l2 difference")
    _scale(drawn, measure)
    handles = drawn[0][0].get_legend_handles_labels()[0]
    if handles:
        figure.legend(loc="outside upper left", ncols=min(6, len(handles)), handles=handles)
    return figure


def _panel(axes: Axes, study: Study, branch: Branch, measure: str) -> np.ndarray:
    records = study.shifts(branch)
    layers = [str(name) for name in next(iter(records.values())).layers]
    steps, values = over_seeds(records, lambda r: r.cosine if measure == "cosine" else r.l2)
    if len(layers) > _MOST_LINES:
        _heat_map(axes, steps, values, layers, measure)
        return np.empty(0)
    for place, (layer, color) in enumerate(zip(layers, _colors(len(layers)), strict=True)):
        axes.plot(steps, values[:, place], color=color, linewidth=0.5, alpha=0.3)
        axes.plot(steps, running_median(values[:, place]), color=color, label=layer)
    return values


def _colors(count: int) -> list[str]:
    places = np.linspace(0, len(LEVELS) - 1, count).round().astype(int)
    return [LIGHT[LEVELS[place]] for place in places]


def _heat_map(
    axes: Axes, steps: np.ndarray, values: np.ndarray, layers: Sequence[str], measure: str
) -> None:
    """Dark: the gradient stayed (cosine 1) or, in l2, changed much."""
    shown = values.T if measure == "cosine" else np.log10(np.maximum(values.T, 1e-12))
    low, high = (-0.2, 1.0) if measure == "cosine" else (None, None)
    axes.pcolormesh(
        steps, np.arange(len(layers)), shown, cmap="Blues", shading="nearest", rasterized=True,
        vmin=low, vmax=high,
    )  # fmt: skip
    axes.set_yticks(np.arange(len(layers)), layers, fontsize=7)
    axes.invert_yaxis()
    axes.grid(visible=False)


def _scale(drawn: Sequence[tuple[Axes, np.ndarray]], measure: str) -> None:
    lines = [(axes, values) for axes, values in drawn if values.size]
    if not lines:
        return
    values = np.concatenate([each.ravel() for _, each in lines])
    values = values[np.isfinite(values)]
    for axes, _ in lines:
        if measure == "cosine":
            axes.set_ylim(min(-0.05, float(values.min()) - 0.05) if values.size else -1, 1.04)
            axes.axhline(1, color=LIGHT["muted"], linewidth=0.8, linestyle=":")
        elif is_wide([each for _, each in lines]):
            positive = values[values > 0]
            axes.set_ylim(float(positive.min()) / 1.3, float(positive.max()) * 1.3)
            log_axis(axes.yaxis)
        elif values.size:
            axes.set_ylim(0, 1.05 * float(np.quantile(values, 0.995)) or 1.0)
