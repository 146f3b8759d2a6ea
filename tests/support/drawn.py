"""What a figure draws, read from its specification."""

from __future__ import annotations


def panels(figure):
    """Its panels, row by row."""
    nested = figure.get("vconcat") or figure.get("hconcat")
    if nested is None:
        return [figure]
    return [panel for part in nested for panel in panels(part)]


def layers(panel, mark):
    """The layers of a panel that are of a mark, from the bottom."""
    return [layer for layer in panel["layer"] if layer["mark"]["type"] == mark]


def rows(panel, mark):
    """The rows of all layers of a mark."""
    return [row for layer in layers(panel, mark) for row in layer["data"]["values"]]


def series(panel, mark="line", place=-1):
    """Name to columns, of the series of one layer of a mark, the topmost unless told."""
    found = {}
    for layer in layers(panel, mark)[place:][:1] if place is not None else layers(panel, mark):
        for row in layer["data"]["values"]:
            columns = found.setdefault(row["name"], {})
            for column, value in row.items():
                columns.setdefault(column, []).append(value)
    return found


def legend(panel):
    """The names in the legend, in their order."""
    for layer in panel["layer"]:
        color = layer["encoding"].get("color", {})
        if color.get("legend"):
            return color["legend"]["values"]
    return []


def domain(panel, axis):
    """The first and last value of an axis."""
    return _axis(panel, axis)["scale"]["domain"]


def scale(panel, axis):
    """`linear` or `log`."""
    return _axis(panel, axis)["scale"]["type"]


def title(panel, axis):
    """The title of an axis."""
    return _axis(panel, axis)["title"]


def ticks(panel, axis):
    """Places of the ticks that were chosen, and their labels as an expression."""
    found = _axis(panel, axis)["axis"]
    return found["values"], found["labelExpr"]


def remarks(panel):
    """The words in a panel."""
    return [layer["mark"]["text"] for layer in layers(panel, "text")]


def _axis(panel, axis):
    found = (layer["encoding"].get(axis, {}) for layer in panel["layer"] if "encoding" in layer)
    return next(encoding for encoding in found if "scale" in encoding)
