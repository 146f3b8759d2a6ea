"""What is memorized of wrong labels, as tables and as a figure.

As in `panels`, None when the run doesn't hold it; the figure is to be called inside
`canvas.settings()`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tfticket.report.canvas import LIGHT, WIDE, grid, percent_axis, step_axis
from tfticket.report.norms.cells import Branch, Study
from tfticket.report.norms.entries import accuracy, percent, points, varied, varying
from tfticket.report.norms.memorization import MemorizationSummary
from tfticket.report.norms.series import SUBNETWORKS
from tfticket.report.reading import Curve, over_seeds
from tfticket.report.tables import Cell, Table

_VALUES = {
    "memorized_last": "wrong labels memorized",
    "recovered_last": "true labels recovered",
    "right_accuracy_last": "right labels learned",
    "accuracy_last": "clean test accuracy",
    "accuracy_by_validation": "stopped by validation",
}
_DIFFERENCES = {
    "memorized_last": "memorized",
    "memorized_at_end": "at the end",
    "memorized_mean": "over all of training",
    "recovered_last": "recovered",
    "right_accuracy_last": "right labels learned",
    "accuracy_last": "clean test accuracy",
    "accuracy": "at the end",
    "accuracy_by_validation": "stopped by validation",
}
_SUBNETWORKS = {"dense": "dense", "ticket": "ticket", "random": "random subnetwork"}
_LINES = {"dense": "-", "ticket": "-", "random": "--"}
_MEMORIZED, _RIGHT = ("memorization", "memorized"), ("memorization", "right_accuracy")
_CLEAN = ("clean", "accuracy")


def values_table(summary: MemorizationSummary) -> Table:
    """Each network at the end of training: what it memorized, and what it knows all the same."""
    conditions = varying([each.branch for each in summary.branches], subnetwork=False)
    columns = ("<norm", "<network", *conditions, "weights left", *_VALUES.values(), "seeds")
    return Table(
        columns,
        tuple(
            (
                Cell(each.branch.label),
                Cell(_SUBNETWORKS[each.branch.subnetwork]),
                *varied(each.branch, conditions),
                percent(each.measures.get("density")),
                *(accuracy(each.measures.get(name)) for name in _VALUES),
                Cell(str(len(each.values("memorized_last")))),
            )
            for each in summary.branches
        ),
    )


def differences_table(summary: MemorizationSummary) -> Table | None:
    """Each subnetwork minus another network, in points, paired by seed."""
    if not summary.contrasts:
        return None
    conditions = varying([each.branch for each in summary.contrasts], subnetwork=False)
    columns = ("<norm", "<network", "<minus", *conditions, *_DIFFERENCES.values(), "seeds")
    return Table(
        columns,
        tuple(
            (
                Cell(each.branch.label),
                Cell(_SUBNETWORKS[each.branch.subnetwork]),
                Cell(_SUBNETWORKS[each.against.subnetwork]),
                *varied(each.branch, conditions),
                *(points(each.measures.get(name)) for name in _DIFFERENCES),
                Cell(str(each.measures["memorized_last"].seeds)),
            )
            for each in summary.contrasts
        ),
    )


def memorization(study: Study) -> Figure | None:
    """Memorized share and clean test accuracy along training, and memorizing against learning.

    A row a normalization, under each learning rate and batch size; a line a network, the mean over
    seeds, with a band from the lowest seed to the highest.
    """
    rows: dict[tuple[Any, ...], list[Branch]] = {}
    for branch in study.branches:
        if _curves(study, branch, _MEMORIZED):
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


def _curves(study: Study, branch: Branch, of: tuple[str, str]) -> list[Curve]:
    networks = study.of(branch).values()
    return [net.curves[of] for net in networks if of in net.curves and not net.diverged]


def _along(axes: Axes, study: Study, branch: Branch, of: tuple[str, str]) -> None:
    curves = _curves(study, branch, of)
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
    right, wrong = (_curves(study, branch, of) for of in (_RIGHT, _MEMORIZED))
    if not right or not wrong:
        return
    x, y = (np.nanmean(over_seeds(curves)[1], axis=0) for curves in (right, wrong))
    axes.plot(x, y, marker=".", **_style(branch))
