"""Internal covariate shift, layer by layer along training (arXiv:1805.11604, definition 2.1).

As in `panels`, None when the run doesn't hold it; to be called inside `canvas.settings()`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tfticket.report.canvas import LEVELS, LIGHT, WIDE, grid, log_axis, step_axis
from tfticket.report.norms.cells import Branch, Study, usual_batch_size
from tfticket.report.norms.depth import running_median
from tfticket.report.norms.series import is_wide, over_seeds

_MOST_LINES = len(LEVELS)
_MOST_COLUMNS = 4
_MOST_ROWS = 3


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
    rates = sorted({branch.learning_rate for branch in branches})[-_MOST_ROWS:]
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
