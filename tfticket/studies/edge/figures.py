"""The figure of a run of the kind `edge`: what each file costs, and how accurate it is."""

from __future__ import annotations

from collections.abc import Sequence

from tfticket.display import charts
from tfticket.display.charts import WIDE, Figure, Panel, Rows, rows
from tfticket.display.palette import HEXAGON, PLUS, SAW, css
from tfticket.studies.edge.summary import Row, Study

_COLORS = {
    "dense": "ink",
    "unstructured": "blue",
    "channel": "orange",
    "block_1x4": "green",
    "n_of_m": "purple",
}
_SHAPES = {
    "fp32": "circle",
    "fp16": HEXAGON,
    "dynamic": "triangle-up",
    "int8": "square",
    "int4": "diamond",
    "sparse_fc": PLUS,
    "sparse_fc_fast": SAW,
}
_BELOW = 0.05  # accuracies further below the dense network's than this are cut off


def plane(study: Study) -> Figure | None:
    """Draw each file as a point: structure by color, format by mark; fronts as lines."""
    found = [row for row in study.passed if row["accuracy"] is not None]
    if len(found) < 2:
        return None
    return charts.beside(
        _panel(study, found, "gzip", "bytes after gzip (logarithmic)"),
        _panel(study, found, "time", "time, dense fp32 = 1 (logarithmic)"),
    )


def _panel(study: Study, found: Sequence[Row], front: str, title: str) -> Figure:
    def cost(row: Row) -> float:
        return float(row["gzip"]) if front == "gzip" else 1 / float(row["speedup"])

    floor = study.baseline["accuracy"] - _BELOW
    needed = 100 * (study.baseline["accuracy"] - study.margin)
    points: Rows = [
        {"x": cost(row), "y": 100 * max(row["accuracy"], floor), "name": row["name"],
         "structure": _said(row["structure"]), "format": _said(row["format"]),
         "opacity": 0.85 if row["accuracy"] >= floor else 0.25}
        for row in found
    ]  # fmt: skip
    heights = [row["y"] for row in points]
    panel = Panel(
        charts.fitted(title, [[row["x"] for row in points]], log=True),
        charts.fitted("validation accuracy (%)", [heights, [needed]]),
        width=WIDE / 2, height=300,
    )  # fmt: skip
    front_rows = sorted((row for row in found if front in row["fronts"]), key=cost)
    line = rows(
        x=[cost(row) for row in front_rows],
        y=[100 * max(row["accuracy"], floor) for row in front_rows],
        name="front",
    )  # fmt: skip
    layers = [
        panel.rule(y=needed),
        panel.line(line, width=1, color="muted", interpolate="step-after"),
        panel.marks(
            points, {"type": "point", "filled": True, "size": 36},
            color=_by("structure", {row["structure"]: css(_COLORS.get(row["structure"], "muted"))
                                    for row in found}),
            shape=_by("format", {row["format"]: _SHAPES.get(row["format"], "circle")
                                 for row in found}),
            opacity={"field": "opacity", "type": "quantitative", "scale": None, "legend": None},
        ),
    ]  # fmt: skip
    chosen = study.chosen
    if chosen is not None:
        ring = {"type": "point", "size": 190, "stroke": css("ink"), "strokeWidth": 1.4}
        place = rows(x=[cost(chosen)], y=100 * chosen["accuracy"])
        layers.append(panel.marks(place, ring | {"opacity": 1, "aria": False}))
    return panel.draw(*layers)


def _said(name: str) -> str:
    return name.replace("_", " ")


def _by(column: str, values: dict[str, str]) -> dict[str, object]:
    scale = {"domain": [_said(name) for name in values], "range": list(values.values())}
    legend = {"symbolFillColor": css("muted")} if column == "format" else {}
    return {"field": column, "type": "nominal", "title": None, "scale": scale, "legend": legend}
