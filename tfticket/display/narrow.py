"""Figures laid out anew for narrow screens, such as those of phones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tfticket.display.charts import CONFIG, Figure

ROOM = 358
"""Width in pixels that a page has on a screen of 390."""
PANEL = 292
"""Width of a panel with an axis at its left, which takes the room alone."""

TEXT = 1.2
"""Factor on the size of text."""

_AXIS = 52  # what ticks, labels and title of a vertical axis take
_GAP = 18


def narrowed(figure: Figure) -> Figure | None:
    """Lay the panels of a figure out in rows that fit a narrow screen, without shrinking text.

    Panels keep their order and height. Axes that shared their labels with a neighbor get them back.

    Returns:
        The figure, or None if it fits as it is.
    """
    grid = _grid(figure)
    panels = [panel for row in grid for panel in row]
    if len(panels) == 1 and panels[0].get("width", 0) <= PANEL:
        return None
    titled = []
    for at, row in enumerate(grid):
        for place, panel in enumerate(row):
            column = [each[place] for each in grid if place < len(each)]
            title = next((each["title"] for each in column[at::-1] if "title" in each), "")
            x, y = _title("x", *column[at:]), _title("y", panel, *reversed(row[:place]))
            if not _is_blank(panel):
                titled.append(_labeled(panel, x=x, y=y) | ({"title": title} if title else {}))
    rows: list[list[Figure]] = []
    left = 0.0
    for panel in titled:
        taken = panel["width"] + (_AXIS if _has_axes(panel) else _GAP)
        if not rows or taken > left:
            rows.append([])
            left = ROOM
        rows[-1].append(panel)
        left -= taken
    config = enlarged(CONFIG, TEXT)
    config["legend"] |= {"layout": {"top": {"direction": "vertical", "anchor": "start"}}}
    below = [{"hconcat": row} if len(row) > 1 else row[0] for row in rows]
    return {"vconcat": below, "config": config}


def _grid(figure: Figure) -> list[list[Figure]]:
    """The panels of each row."""
    if "vconcat" in figure:
        return [row for inner in figure["vconcat"] for row in _grid(inner)]
    if "hconcat" in figure:
        return [[panel for inner in figure["hconcat"] for row in _grid(inner) for panel in row]]
    return [[figure]]


def _is_blank(panel: Figure) -> bool:
    return "layer" not in panel and not panel["data"]["values"]


def _layers(panel: Figure) -> list[Figure]:
    return list(panel.get("layer", [panel]))


def _title(channel: str, *panels: Figure) -> str:
    """The first title that an axis has among panels which share it."""
    found = (
        layer.get("encoding", {}).get(channel, {}).get("title")
        for panel in panels
        for layer in _layers(panel)
    )
    return next(filter(None, found), "")


def _has_axes(panel: Figure) -> bool:
    return any("axis" in layer.get("encoding", {}).get("y", {}) for layer in _layers(panel))


def _labeled(panel: Figure, *, x: str, y: str) -> Figure:
    """A panel whose axes have titles and labels, and whose legend has the columns that fit."""
    if not _has_axes(panel):
        return panel
    titles = {"x": x, "y": y}
    found = {**panel, "width": min(PANEL, panel["width"])}
    if "layer" in panel:
        return found | {"layer": [_relabeled(layer, titles) for layer in panel["layer"]]}
    return _relabeled(found, titles)


def _relabeled(layer: Figure, titles: dict[str, str]) -> Figure:
    encoding: dict[str, Any] = {}
    for name, channel in layer.get("encoding", {}).items():
        encoding[name] = dict(channel)
        if name in titles and isinstance(channel.get("axis"), dict):
            encoding[name] |= {"title": titles[name], "axis": channel["axis"] | {"labels": True}}
        legend = channel.get("legend")
        if isinstance(legend, dict):
            names = legend.get("values") or channel["scale"]["domain"]
            longest = max(map(len, names), default=0)
            encoding[name]["legend"] = legend | {"columns": max(1, int(ROOM // (24 + 6 * longest)))}
    return {**layer, "mark": enlarged(layer["mark"], TEXT)} | (
        {"encoding": encoding} if encoding else {}
    )


def enlarged(properties: Mapping[str, Any], factor: float) -> dict[str, Any]:
    """Multiply all font sizes among properties of Vega-Lite.

    Example:
        >>> enlarged({"axis": {"labelFontSize": 9}, "padding": 4}, 2)
        {'axis': {'labelFontSize': 18}, 'padding': 4}
    """
    return {
        key: enlarged(value, factor) if isinstance(value, dict)
        else value * factor if key.lower().endswith("fontsize") else value
        for key, value in properties.items()
    }  # fmt: skip
