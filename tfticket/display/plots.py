"""Figures of one panel, in one call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from tfticket.display import charts
from tfticket.display.charts import Axis, Figure, Panel, Rows, rows
from tfticket.display.palette import Look

_COLORS = ("blue", "orange", "green", "purple", "amber", "sky")


def bars(values: Mapping[str, float], title: str, *, color: str = "blue") -> Figure:
    """Draw a horizontal bar for each name, the first at the top.

    Args:
        values: Name to value, at least 0; one or more.
        title: What they measure, and its unit.
        color: A name of `PALETTE`.
    """
    places = range(len(values))
    panel = Panel(
        Axis(title, (0, 1.04 * max(values.values()) or 1.0)),
        Axis("", (len(values) - 0.4, -0.6), ticks=dict(zip(places, values, strict=True)),
             grid=False),
        {"": Look(color)}, height=max(40, 17 * len(values)), named=(),
    )  # fmt: skip
    found = rows(left=[0.0] * len(values), right=list(values.values()), y=list(places), name="")
    return panel.draw(panel.whiskers(found, level=True, width=10, opacity=0.85))


def lines(series: Mapping[str, tuple[Sequence[float], Sequence[float]]], x: str, y: str) -> Figure:
    """Draw a line for each series, with a legend where there are two or more.

    Args:
        series: Name to x and y, of equal length; what isn't finite is left out.
        x: Title of the horizontal axis.
        y: Title of the vertical axis, logarithmic where the values span orders of magnitude.
    """
    data: Rows = []
    for name, (places, values) in series.items():
        found = rows(x=np.asarray(places), y=np.asarray(values, float), name=name)
        data += [row for row in found if row["y"] is not None]
    looks = {name: Look(_COLORS[n % len(_COLORS)], "circle") for n, name in enumerate(series)}
    values = [row["y"] for row in data]
    log = charts.is_wide([np.asarray(values, float)]) and min(values) > 0
    panel = Panel(
        charts.fitted(x, [[row["x"] for row in data]]),
        charts.fitted(y, [values], log=log),
        looks,
        named=None if len(series) > 1 else (),
    )
    few = max(len(places) for places, _ in series.values()) <= 40
    return panel.draw(panel.line(data), *([panel.points(data, dots=True)] if few else []))
