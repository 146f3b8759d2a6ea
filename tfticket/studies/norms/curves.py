"""How training ended: learning curves, learning-rate ranges, batch sizes, statistics, tickets.

As in `panels`, None when the run doesn't hold it; to be called inside `canvas.settings()`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from tfticket.report.canvas import LIGHT, WIDE, grid, log_axis, new_axes, percent_axis, step_axis
from tfticket.report.estimate import Estimate
from tfticket.report.reading import Curve, over_seeds
from tfticket.studies.norms.figures import running_median
from tfticket.studies.norms.measures import (
    MOVING,
    STATISTICS,
    SUBNETWORKS,
    is_wide,
    labels,
    line_style,
    norm_style,
)
from tfticket.studies.norms.networks import Branch, Study, usual_batch_size
from tfticket.studies.norms.results import BranchSummary, by_batch_size
from tfticket.studies.norms.summary import Summary

_STATISTICS_STYLES = dict(
    zip(
        STATISTICS,
        (("blue", "o", "-"), ("green", "^", "--"), ("purple", "v", "-."), ("amber", "D", ":")),
        strict=True,
    )
)
_MOST_PANELS = 3
_DODGE = 1.025
_BANDS = {
    "predictiveness": "gradient-predictiveness band",
    "loss_band": "loss band, log10(highest / lowest)",
    "relative_beta": "relative beta",
}


def learning_rates(summary: Summary) -> Figure | None:
    """Final test accuracy, or loss, over learning rates; a cross where a network diverged."""
    found = [each for each in summary.branches if each.branch.subnetwork == "dense"]
    sizes = {each.branch.batch_size for each in found}
    rates = {each.branch.learning_rate for each in found}
    if len(rates) < 2 or len(sizes) > 1:
        return None
    measure = "accuracy" if any(each.values("accuracy") for each in found) else "loss"
    names = labels([each.branch for each in found])
    figure, axes = new_axes()
    for name in names:
        own = sorted((e for e in found if e.branch.label == name), key=_rate)
        x = _dodged(names.index(name) - (len(names) - 1) / 2)
        _whiskers(axes, own, measure, x=x, label=name, style=norm_style(name, names))
    _diverged(axes, found, names)
    axes.set_xscale("log")
    _ticks(axes, sorted(rates))
    axes.set_xlabel("learning rate, logarithmic")
    _measure_axis(axes, measure)
    figure.legend(loc="outside upper left", ncols=4, handles=_handles(axes))
    return figure


def _rate(found: BranchSummary) -> float:
    return found.branch.learning_rate


def _dodged(places: float) -> Callable[[BranchSummary], float]:
    """The learning rate, moved aside: whiskers of several norms would hide one another."""
    return lambda found: _DODGE**places * _rate(found)


def _size(found: BranchSummary) -> float:
    return float(found.branch.batch_size)


def batch_sizes(summary: Summary) -> Figure | None:
    """Test error over batch sizes, large at the left (arXiv:1803.08494, figure 1)."""
    norms = by_batch_size(summary.branches)
    if not norms:
        return None
    figure, axes = new_axes()
    for name, of_norm in norms.items():
        own = [of_norm[size] for size in sorted(of_norm, reverse=True)]
        _whiskers(axes, own, "accuracy", x=_size, label=name, style=norm_style(name, list(norms)),
                  turn=lambda accuracy: 1 - accuracy)  # fmt: skip
    _batch_axis(axes, sorted({size for of_norm in norms.values() for size in of_norm}))
    percent_axis(axes, "test error (%)")
    figure.legend(loc="outside upper left", ncols=4, handles=_handles(axes))
    return figure


def statistics(summary: Summary) -> Figure | None:
    """Test error over batch sizes by where the statistics of the normalization come from.

    A panel a norm that has moving statistics; beside batch norm itself at most two others.
    """
    norms = with_statistics(summary)
    if not norms:
        return None
    figure, axes = grid(1, len(norms), width=WIDE if len(norms) > 1 else 5.6, height=3.5)
    for here, (name, of_norm) in zip(axes[0], norms.items(), strict=True):
        own = [of_norm[size] for size in sorted(of_norm, reverse=True)]
        for measure, said in STATISTICS.items():
            color, marker, line = _STATISTICS_STYLES[measure]
            style = {"color": LIGHT[color], "marker": marker, "linestyle": line}
            _whiskers(here, own, measure, x=_size, label=said, style=style,
                      turn=lambda accuracy: 1 - accuracy)  # fmt: skip
        _batch_axis(here, sorted(of_norm))
        percent_axis(here, "test error (%)")
        here.set_title(name)
    limits = [limit for here in axes[0] for limit in here.get_ylim()]
    for here in axes[0]:
        here.set_ylim(min(limits), max(limits))
    figure.legend(loc="outside upper left", ncols=4, handles=_handles(axes[0][0]))
    return figure


def with_statistics(summary: Summary) -> dict[str, dict[int, BranchSummary]]:
    """The norms that `statistics` has a panel for, by batch size."""
    found = {
        name: of_norm
        for name, of_norm in by_batch_size(summary.branches).items()
        if any(_recovered(each) for each in of_norm.values())
    }
    return {name: found[name] for name in sorted(found, key=lambda n: n != "batch")[:_MOST_PANELS]}


def _recovered(found: BranchSummary) -> bool:
    has_moving = found.branch.norm in MOVING
    return has_moving and any(found.values(name) for name in STATISTICS if name != "accuracy")


def subnetworks(summary: Summary) -> Figure | None:
    """Smoothness of dense network, ticket and random subnetwork, by normalization."""
    found = [e for e in summary.branches if e.values("predictiveness")]
    if {"dense"} >= {e.branch.subnetwork for e in found}:
        return None
    trained = {(e.branch.label, e.branch.condition[:2]) for e in found
               if e.branch.subnetwork != "dense"}  # fmt: skip
    found = [e for e in found if (e.branch.label, e.branch.condition[:2]) in trained]
    names = labels([e.branch for e in found])
    figure, axes = grid(1, len(_BANDS), width=WIDE, height=3.2)
    for here, (measure, title) in zip(axes[0], _BANDS.items(), strict=True):
        for kind in SUBNETWORKS:
            _subnetwork(here, found, measure, kind=kind, names=names)
        here.set_xticks(range(len(names)), names)
        here.set_xlim(-0.6, len(names) - 0.4)
        here.set_ylim(bottom=0)
        here.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        here.set_title(title)
    figure.legend(loc="outside upper left", ncols=3, handles=_handles(axes[0][0]))
    return figure


def _handles(axes: Axes) -> list[Any]:
    return axes.get_legend_handles_labels()[0]


def _subnetwork(
    axes: Axes, found: Sequence[BranchSummary], measure: str, *, kind: str, names: Sequence[str]
) -> None:
    color, marker, shift = SUBNETWORKS[kind]
    _whiskers(
        axes,
        [each for each in found if each.branch.subnetwork == kind],
        measure,
        x=lambda each: names.index(each.branch.label) + shift,
        label=kind,
        style={"color": LIGHT[color], "marker": marker, "linestyle": "none"},
    )


def _whiskers(
    axes: Axes,
    found: Sequence[BranchSummary],
    measure: str,
    *,
    x: Callable[[BranchSummary], float],
    label: str,
    style: Mapping[str, Any],
    turn: Callable[[float], float] = float,
) -> None:
    """Means joined by a line, seeds as pale dots, whiskers for the interval of the mean."""
    known = [(x(each), each.measures[measure]) for each in found if each.values(measure)]
    if not known:
        return
    color = style["color"]
    axes.plot([at for at, _ in known], [turn(s.mean) for _, s in known], label=label, **style)
    for at, spread in known:
        values = [turn(value) for value in spread.values.values()]
        axes.plot([at] * len(values), values, ".", color=color, alpha=0.35, markersize=3.5)
        if spread.seeds > 1:
            axes.plot([at, at], _bounds(spread, turn), color=color, linewidth=0.9, alpha=0.8)


def _bounds(spread: Estimate, turn: Callable[[float], float]) -> list[float]:
    return [turn(spread.lower), turn(spread.upper)]


def _diverged(axes: Axes, found: Sequence[BranchSummary], names: Sequence[str]) -> None:
    """A cross at the foot of the figure for each learning rate at which a network diverged."""
    for each in found:
        if each.diverged:
            height = 0.03 + 0.05 * names.index(each.branch.label)
            color = norm_style(each.branch.label, names)["color"]
            axes.plot([each.branch.learning_rate], [height], "x", color=color, markersize=6,
                      transform=axes.get_xaxis_transform(), clip_on=False)  # fmt: skip


def _ticks(axes: Axes, values: Sequence[float]) -> None:
    axes.xaxis.set_major_locator(FixedLocator(list(values)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def _batch_axis(axes: Axes, sizes: Sequence[int]) -> None:
    axes.set_xscale("log", base=2)
    _ticks(axes, sizes)
    axes.set_xlim(sizes[-1] * 1.25, sizes[0] / 1.25)
    axes.set_xlabel("batch size, large to small")


def _measure_axis(axes: Axes, measure: str) -> None:
    if measure == "accuracy":
        percent_axis(axes, "test accuracy (%)")
    else:
        log_axis(axes.yaxis)
        axes.set_ylabel("test loss")


_MOST_RATES = 4
_MANY = 40  # evaluations above which a curve is smoothed
_SPLITS = ("validation", "train")


def learning_curves(study: Study, *, name: str) -> Figure | None:
    """`loss` or `accuracy` on the validation data along training, a panel a learning rate.

    Without validation data, on the training data. Medians over seeds that didn't diverge.
    """
    branches = _shown(study, name)
    if not branches:
        return None
    rates = sorted({branch.learning_rate for branch in branches})[-_MOST_RATES:]
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
    return min(_MOST_RATES, len({branch.learning_rate for branch in _shown(study, "loss")}))


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


_SUBNETWORKS = {"dense": "dense", "ticket": "ticket", "random": "random subnetwork"}
_LINES = {"dense": "-", "ticket": "-", "random": "--"}
_MEMORIZED, _RIGHT = ("memorization", "memorized"), ("memorization", "right_accuracy")
_CLEAN = ("clean", "accuracy")


def memorization(study: Study) -> Figure | None:
    """Memorized share and clean test accuracy along training, and memorizing against learning.

    A row a normalization, under each learning rate and batch size; a line a network, the mean over
    seeds, with a band from the lowest seed to the highest.
    """
    rows: dict[tuple[Any, ...], list[Branch]] = {}
    for branch in study.branches:
        if _memorization_views_curves(study, branch, _MEMORIZED):
            rows.setdefault((branch.label, *branch.condition[:2]), []).append(branch)
    if not rows:
        return None
    figure, axes = grid(len(rows), 3, width=WIDE, height=0.5 + 2.5 * len(rows))
    for (memorized, clean, learned), branches in zip(axes, rows.values(), strict=True):
        for branch in branches:
            _along(memorized, study, branch, _MEMORIZED)
            _along(clean, study, branch, _CLEAN)
            _against(learned, study, branch)
        memorized.set_title(_title(branches[0], list(rows)))
        for here in (memorized, clean):
            step_axis(here, max(branch.steps for branch in branches))
        percent_axis(memorized, "wrong labels memorized (%)")
        percent_axis(clean, "clean test accuracy (%)")
        percent_axis(learned, "wrong labels memorized (%)")
        learned.xaxis.set_major_formatter(memorized.yaxis.get_major_formatter())
        learned.set_xlabel("right labels learned (%)")
    handles = {
        text: handle for handle, text in zip(*axes[0][0].get_legend_handles_labels(), strict=True)
    }
    figure.legend(handles=list(handles.values()), loc="outside upper left", ncols=3)
    return figure


def _title(branch: Branch, rows: list[tuple[Any, ...]]) -> str:
    """The normalization, and its condition where several have it."""
    several = [row for row in rows if row[0] == branch.label]
    rate, size = branch.condition[:2]
    return f"{branch.label}, {rate:g}, {size}" if len(several) > 1 else branch.label


def _style(branch: Branch) -> dict[str, Any]:
    color, _, _ = SUBNETWORKS[branch.subnetwork]
    return {"color": LIGHT[color], "linestyle": _LINES[branch.subnetwork]}


def _memorization_views_curves(study: Study, branch: Branch, of: tuple[str, str]) -> list[Curve]:
    networks = study.of(branch).values()
    return [net.curves[of] for net in networks if of in net.curves and not net.diverged]


def _along(axes: Axes, study: Study, branch: Branch, of: tuple[str, str]) -> None:
    curves = _memorization_views_curves(study, branch, of)
    if not curves:
        return
    steps, values = over_seeds(curves)
    style = _style(branch)
    low, high = np.nanmin(values, axis=0), np.nanmax(values, axis=0)
    axes.fill_between(steps, low, high, color=style["color"], alpha=0.18, linewidth=0)
    marker = "o" if len(steps) == 1 else ""
    name = _SUBNETWORKS[branch.subnetwork]
    axes.plot(steps, np.nanmean(values, axis=0), label=name, marker=marker, **style)


def _against(axes: Axes, study: Study, branch: Branch) -> None:
    """Memorizing against learning: networks at one place are equally far, however long it took."""
    right, wrong = (_memorization_views_curves(study, branch, of) for of in (_RIGHT, _MEMORIZED))
    if not right or not wrong:
        return
    x, y = (np.nanmean(over_seeds(curves)[1], axis=0) for curves in (right, wrong))
    axes.plot(x, y, marker=".", **_style(branch))
