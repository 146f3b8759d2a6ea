"""Accuracy against bytes and against time, with the Pareto front.

To be called inside `canvas.settings()`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tfticket.report.canvas import LIGHT, WIDE, grid, log_axis, percent_axis
from tfticket.report.edge.study import Row, Study

_COLORS = {
    "dense": "ink",
    "unstructured": "blue",
    "channel": "orange",
    "block_1x4": "green",
    "n_of_m": "purple",
}
_MARKERS = {
    "fp32": "o",
    "fp16": "h",
    "dynamic": "^",
    "int8": "s",
    "int4": "D",
    "sparse_fc": "P",
    "sparse_fc_fast": "X",
}
_BELOW = 0.05  # accuracies further below the dense network's than this are cut off


def plane(study: Study) -> Figure | None:
    """Each file as a point: structure by color, format by marker; fronts as lines."""
    rows = [row for row in study.passed if row["accuracy"] is not None]
    if len(rows) < 2:
        return None
    figure, [[wire, time]] = grid(1, 2, width=WIDE, height=5.0)
    _panel(wire, study, rows, "gzip", "gzip", "bytes after gzip (logarithmic)")
    _panel(time, study, rows, "relative_time", "time", "time, dense fp32 = 1 (logarithmic)")
    figure.legend(handles=_legend(wire, rows), loc="outside upper left", ncols=6)
    return figure


def _panel(axes: Axes, study: Study, rows: list[Row], key: str, front: str, label: str) -> None:
    def cost(row: Row) -> float:
        return 1.0 / float(row["speedup"]) if key == "relative_time" else float(row[key])

    floor = study.baseline["accuracy"] - _BELOW
    for row in rows:
        axes.plot(
            cost(row), max(row["accuracy"], floor), linestyle="",
            marker=_MARKERS.get(row["format"], "o"),
            color=LIGHT[_COLORS.get(row["structure"], "muted")],
            alpha=0.85 if row["accuracy"] >= floor else 0.25,
        )  # fmt: skip
    _front(axes, rows, front, cost)
    chosen = study.chosen
    if chosen is not None:
        axes.plot(
            cost(chosen), chosen["accuracy"], marker="o", markersize=14, linestyle="",
            markerfacecolor="none", markeredgecolor=LIGHT["ink"], markeredgewidth=1.4,
        )  # fmt: skip
    needed = study.baseline["accuracy"] - study.margin
    axes.axhline(needed, color=LIGHT["muted"], linewidth=0.8, linestyle=":")
    log_axis(axes.xaxis)
    axes.set_xlabel(label)
    percent_axis(axes, "validation accuracy (%)")


def _front(axes: Axes, rows: list[Row], name: str, cost: Callable[[Row], float]) -> None:
    on_it = sorted((row for row in rows if name in row["fronts"]), key=cost)
    axes.step(
        [cost(row) for row in on_it], [row["accuracy"] for row in on_it],
        where="post", color=LIGHT["muted"], linewidth=1.0,
    )  # fmt: skip


def _legend(axes: Axes, rows: list[Row]) -> list[Any]:
    """A mark for each structure and each format that occurs."""
    structures = dict.fromkeys(row["structure"] for row in rows)
    formats = dict.fromkeys(row["format"] for row in rows)
    handles = []
    for name in structures:
        color = LIGHT[_COLORS.get(name, "muted")]
        label = name.replace("_", " ")
        handles += axes.plot([], [], linestyle="", marker="o", color=color, label=label)
    for name in formats:
        marker = _MARKERS.get(name, "o")
        label = name.replace("_", " ")
        handles += axes.plot([], [], linestyle="", marker=marker, color=LIGHT["muted"], label=label)
    return handles
