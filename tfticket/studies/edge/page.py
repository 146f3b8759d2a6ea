"""The page of a run of the kind `edge`: tables, and each file's cost against its accuracy."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

from tfticket.display import charts, words
from tfticket.display.charts import WIDE, Figure, Panel, Rows, rows
from tfticket.display.palette import HEXAGON, PLUS, SAW, css
from tfticket.display.plots import bars
from tfticket.display.words import number
from tfticket.report import facts
from tfticket.report.contents import Contents
from tfticket.report.reading import RunFiles
from tfticket.report.tables import Cell, Table, table
from tfticket.studies.edge.summary import Row, Study, summarize_files


def compose(files: RunFiles) -> Contents:
    """Read the table of files and draw it."""
    summary = summarize_files(files)
    study, structures = summary.study, [str(found["structure"]) for found in summary.study.searches]
    return Contents(
        summary=summary,
        values={
            "facts": facts.facts(
                files,
                ("Network", facts.network(files)),
                ("Structures", ", ".join(structures)),
                ("Training", f"{number(files.table('train').get('steps', 0))} iterations a level"),
                ("Times measured on", study.host),
                seeds=files.seeds,
            ),
            "reason": study.choice.get("reason", ""),
            "explanations": study.choice.get("explanations", ()),
            "energy": energy_table(study),
            "assumptions": study.choice.get("energy", {}).get("assumptions", ()),
            "host": study.host,
            "margin": f"{100 * study.margin:g}",
            "files": file_table(study),
            "left_out": left_out_table(study),
            "unusual": bool(unusual_times(study)),
            "replicates": replicate_table(study) if len(study.replicates) > 1 else None,
            "searches": [(name, f"../searches/{name}/report/index.html") for name in structures],
            "chosen": study.choice.get("name"),
        },
        figures={
            "plane": ("Accuracy against bytes and time", plane(study)),
            **memory_figure(study),
        },
    )


def memory_figure(study: Study) -> dict[str, tuple[str, Figure]]:
    """Activations of the file to ship; none of runs that didn't note them."""
    operators = study.choice.get("memory", {}).get("operators", ())
    if not operators:
        return {}
    values = {each["operator"]: each["live_bytes"] / 1024 for each in operators[:_MOST_OPERATORS]}
    return {"memory": ("Memory, operator by operator", bars(values, "activations alive (KiB)"))}


def file_table(study: Study) -> Table | None:
    """Every file that passed its checks."""
    unusual = unusual_times(study)
    return table(
        study.passed,
        ("<File", lambda row: Cell(row["name"], _shape(row))),
        (
            "Weights left",
            lambda row: "" if row["density"] is None else words.percent(row["density"]),
        ),
        ("Bytes", lambda row: number(row["bytes"])),
        ("After gzip", lambda row: number(row["gzip"])),
        ("After zstd", lambda row: number(row["zstd"])),
        ("Smaller", lambda row: f"{row['smaller']:.1f} x"),
        (
            "Microseconds",
            lambda row: Cell(
                number(row["microseconds"], 1), "unusual" if row["name"] in unusual else ""
            ),
        ),
        ("As fast", lambda row: f"{row['speedup']:.2f} x"),
        (
            "Validation accuracy",
            lambda row: Cell(
                _share(row["accuracy"]),
                "" if row["tuned_from"] is None else f"{_share(row['tuned_from'])} before tuning",
            ),
        ),
        ("Test accuracy", lambda row: _share(row["test_accuracy"])),
        ("<On the front of", lambda row: ", ".join(row["fronts"])),
    )


_UNUSUAL = 1.3
_MOST_OPERATORS = 40  # of the figure of memory


def unusual_times(study: Study) -> frozenset[str]:
    """Return the names of files that take much longer, or less long, than their neighbors.

    Of one structure and format, time follows the weights left. A file whose time is more than 1.3
    times the longer, or less than 1 / 1.3 of the shorter of both neighbors was measured on a busy
    machine, or meets another kernel: measure it again before it is believed.
    """
    found = set()
    for group in itertools.groupby(
        sorted(study.passed, key=lambda row: (_family(row), -(row["density"] or 0))), key=_family
    ):
        series = list(group[1])
        for before, row, after in zip(series, series[1:], series[2:], strict=False):
            times = before["microseconds"], after["microseconds"]
            if not min(times) / _UNUSUAL <= row["microseconds"] <= max(times) * _UNUSUAL:
                found.add(row["name"])
    return frozenset(found)


def _family(row: Row) -> tuple[str, str]:
    return str(row["structure"]), str(row["format"])


def left_out_table(study: Study) -> Table | None:
    """Formats that don't pay for a network, or that a check refused, by the reason."""
    files: dict[str, list[str]] = {}
    for row in study.failed:
        reason = str(row["failure"]).partition(" Received: ")[0]
        files.setdefault(reason, []).append(str(row["name"]))
    return table(
        files.items(),
        ("<Reason", lambda found: found[0]),
        ("<Files", lambda found: ", ".join(found[1])),
        ("Number", lambda found: number(len(found[1]))),
    )


def _shape(row: Row) -> str:
    removed, encodings = row["units_removed"], row["encodings"] or {}
    return words.joined(
        f"{number(removed)} units cut out" if removed else "",
        ", ".join(dict.fromkeys(encodings.values())),
        by="; ",
    )


def replicate_table(study: Study) -> Table | None:
    """The chosen network and format, made with each seed."""

    def made(say: Callable[[Row], str]) -> Callable[[Row], str]:
        return lambda found: say(found) if found["failure"] is None else ""

    return table(
        study.replicates,
        ("Seed", lambda found: str(found["seed"])),
        ("Bytes", made(lambda found: number(found["bytes"]))),
        ("Smaller", made(lambda found: f"{found['smaller']:.1f} x")),
        ("As fast", made(lambda found: f"{found['speedup']:.2f} x")),
        ("Test accuracy", made(lambda found: _share(found["test_accuracy"]))),
        (
            "Dense test accuracy",
            lambda found: found["failure"] or _share(found["dense_test_accuracy"]),
        ),
    )


def energy_table(study: Study) -> Table | None:
    """Cost of an inference of the file to ship, beside the dense fp32 file."""
    return table(
        study.choice.get("energy", {}).get("rows", ()),
        ("<Of one inference", lambda found: str(found["name"])),
        ("Dense fp32", lambda found: _quantity(found["dense"], found["unit"])),
        ("To ship", lambda found: _quantity(found["ticket"], found["unit"])),
        ("Less by", lambda found: "" if found["ratio"] is None else f"{found['ratio']:.1f} x"),
    )


def _quantity(value: float, unit: str) -> str:
    return f"{1e6 * value:.3g} µJ" if unit == "J" else f"{number(value)} {unit}".strip()


def _share(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.2f} %"


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
