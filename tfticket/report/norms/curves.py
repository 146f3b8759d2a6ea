"""The figure of learning curves, a line a normalization.

As in `panels`, None when the run doesn't hold it; to be called inside `canvas.settings()`.
"""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tfticket.report.canvas import WIDE, grid, log_axis, percent_axis, step_axis
from tfticket.report.norms.cells import Branch, Study, usual_batch_size
from tfticket.report.norms.depth import running_median
from tfticket.report.norms.series import is_wide, labels, line_style
from tfticket.report.reading import Curve

_MOST_PANELS = 4
_MANY = 40  # evaluations above which a curve is smoothed
_SPLITS = ("validation", "train")


def learning_curves(study: Study, *, name: str) -> Figure | None:
    """`loss` or `accuracy` on the validation data along training, a panel a learning rate.

    Without validation data, on the training data. Medians over seeds that didn't diverge.
    """
    branches = _shown(study, name)
    if not branches:
        return None
    rates = sorted({branch.learning_rate for branch in branches})[-_MOST_PANELS:]
    figure, axes = grid(1, len(rates), width=WIDE if len(rates) > 1 else 5.6, height=3.5)
    drawn = [_panel(here, study, [b for b in branches if b.learning_rate == rate], branches, name)
             for here, rate in zip(axes[0], rates, strict=True)]  # fmt: skip
    _scale(axes[0], np.concatenate(drawn), name)
    if len(rates) > 1:
        for here, rate in zip(axes[0], rates, strict=True):
            here.set_title(f"learning rate {rate:g}")
    handles = {text: handle for here in axes[0]
               for handle, text in zip(*here.get_legend_handles_labels(), strict=True)}  # fmt: skip
    figure.legend(loc="outside upper left", ncols=4, handles=list(handles.values()))
    return figure


def panel_count(study: Study) -> int:
    """How many panels `learning_curves` has, for the loss."""
    return min(_MOST_PANELS, len({branch.learning_rate for branch in _shown(study, "loss")}))


def _shown(study: Study, name: str) -> list[Branch]:
    """Dense branches with such a curve, of the usual batch size where there are several."""
    found = [b for b in study.branches if b.subnetwork == "dense" and _curves(study, b, name)]
    if not found:
        return []
    size = usual_batch_size(study, found)
    return [branch for branch in found if branch.batch_size == size]


def _curves(study: Study, branch: Branch, name: str) -> list[Curve]:
    for split in _SPLITS:
        found = [
            network.curves[split, name]
            for network in study.of(branch).values()
            if (split, name) in network.curves and not network.diverged
        ]
        if found:
            return [curve for curve in found if len(curve.steps) > 1]
    return []


def _panel(
    axes: Axes, study: Study, branches: list[Branch], among: list[Branch], name: str
) -> np.ndarray:
    everything = []
    for branch in branches:
        curves = _curves(study, branch, name)
        steps = curves[0].steps
        values = np.median([np.interp(steps, c.steps, c.values) for c in curves], axis=0)
        style = line_style(branch.label, labels(among))
        smooth = running_median(values) if len(values) > _MANY else values
        if smooth is not values:
            axes.plot(steps, values, color=style["color"], linewidth=0.5, alpha=0.3)
        axes.plot(steps, smooth, label=branch.label, **style)
        everything.append(smooth)
    step_axis(axes, max(branch.steps for branch in among))
    return np.concatenate(everything)


def _scale(axes: list[Axes], values: np.ndarray, name: str) -> None:
    values = values[np.isfinite(values)]
    if not values.size:
        return
    for here in axes:
        if name == "accuracy":
            here.set_ylim(
                max(0.0, float(values.min()) - 0.03), min(1.0, float(values.max()) + 0.03)
            )
            percent_axis(here, "validation accuracy (%)" if here is axes[0] else "")
            continue
        if is_wide([values]):
            log_axis(here.yaxis)
        else:
            low, high = float(values.min()), float(np.quantile(values, 0.97))
            here.set_ylim(low - 0.06 * (high - low), high + 0.1 * (high - low))
        here.set_ylabel("validation loss" if here is axes[0] else "")
