"""How training ended: learning curves, learning-rate ranges, batch sizes, statistics, tickets.

As in `panels`, None when the run doesn't hold it; to be called inside `canvas.settings()`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from tfticket.report.canvas import LIGHT, WIDE, grid, log_axis, new_axes, percent_axis
from tfticket.report.norms.batches import by_batch_size
from tfticket.report.norms.comparisons import BranchSummary
from tfticket.report.norms.measures import MOVING, STATISTICS
from tfticket.report.norms.series import SUBNETWORKS, labels, norm_style
from tfticket.report.norms.summary import Summary
from tfticket.report.spread import Spread

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
        if spread.interval.seeds > 1:
            axes.plot([at, at], _bounds(spread, turn), color=color, linewidth=0.9, alpha=0.8)


def _bounds(spread: Spread, turn: Callable[[float], float]) -> list[float]:
    return [turn(spread.interval.lower), turn(spread.interval.upper)]


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
