"""The page of networks that were fitted into a device."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tfticket import __version__
from tfticket.display import charts, words
from tfticket.display.charts import Figure, Panel, Rows
from tfticket.display.palette import PALETTE, Look
from tfticket.display.words import number, percent2
from tfticket.export.fitting.budget import missing
from tfticket.export.fitting.candidates import Candidate
from tfticket.files import write_text
from tfticket.report.estimate import Estimate
from tfticket.report.tables import Cell, Table, interval_cell, table
from tfticket.runner.fitted_seeds import FittedSeeds
from tfticket.studies.report import draw, environment

_LOOKS = {
    "tried": Look("blue", "circle"),
    "control": Look("orange", "square"),
    "written": Look("ink", "diamond"),
}


def write_page(made: FittedSeeds, path: Path, *, name: str, data: str, command: str) -> None:
    """Write the page.

    Args:
        made: What came of it.
        path: Where to.
        name: Of the model or the recipe.
        data: Description of the data.
        command: The command line that made it; empty for none.
    """
    budget, target = made.settings.budget, made.settings.target
    page = environment(Path(__file__).parent).get_template("fit_page.html.j2").render(
        name=name,
        title=f"{name} in {budget.describe()}",
        met=made.met,
        reason=made.reason,
        facts=[
            ("Data", data),
            ("Limits", budget.describe()),
            ("Target", "TensorFlow Lite Micro" if target == "micro" else "LiteRT"),
            ("Seeds", words.ranges(list(made.seeds))),
        ],
        drawings=draw({"bytes": ("Accuracy against the bytes of the file", figure(made))}),
        over_seeds=seed_table(made),
        tries=try_table(made),
        controls=any(found.control is not None for found in made.seeds.values()),
        file=next((each.name for each in made.files if each.suffix == ".tflite"), None),
        target=target,
        files=[each.name for each in made.files if each != path],
        command=command,
        palette=PALETTE,
        version=__version__,
    )  # fmt: skip
    write_text(path, page)


def candidates(made: FittedSeeds) -> list[tuple[int, str, Candidate]]:
    """List all that was tried, with its seed and the series that it belongs to."""
    return [
        (seed, "control" if each is found.control else "tried", each)
        for seed, found in made.seeds.items()
        for each in (*found.candidates, found.control)
        if each is not None
    ]


def figure(made: FittedSeeds) -> Figure:
    """Draw the networks by bytes and validation accuracy, with the lines of the budget."""
    found, budget = candidates(made), made.settings.budget
    if made.chosen is not None:
        found.append((-1, "written", made.chosen))
    points: Rows = [
        {"x": each.taken.flash_bytes, "y": 100 * each.taken.accuracy, "name": name}
        for _, name, each in found
    ]
    looks = {name: look for name, look in _LOOKS.items() if any(p["name"] == name for p in points)}
    limits = [budget.flash_bytes] if budget.flash_bytes else []
    panel = Panel(
        charts.fitted("bytes of the file (logarithmic)",
                      [[row["x"] for row in points], limits], log=True),
        charts.fitted("validation accuracy (%)",
                      [[row["y"] for row in points], [100 * budget.accuracy]]),
        looks, width=charts.WIDE, height=260,
    )  # fmt: skip
    layers = [panel.rule(y=100 * budget.accuracy), *(panel.rule(x=limit) for limit in limits)]
    for seed in made.seeds:
        tried = [
            point
            for (own, name, _), point in zip(found, points, strict=True)
            if own == seed and name == "tried"
        ]
        layers.append(panel.line(tried, width=0.8, opacity=0.5))
    for name in looks:
        of_name = [point for point in points if point["name"] == name]
        layers.append(panel.points(of_name, size=90 if name == "written" else 36))
    return panel.draw(*layers)


def seed_table(made: FittedSeeds) -> Table | None:
    """Compare fitted networks and controls over the seeds; None for one seed."""
    if len(made.seeds) < 2:
        return None
    fitted, control, gain = made.accuracies("fitted"), made.accuracies("control"), made.gain

    def of_seed(values: Mapping[int, float], say: Callable[[float], str]) -> Callable[[Any], str]:
        return lambda item: say(values[item[0]]) if item[0] in values else words.NONE

    controls = {s: f.control.taken.flash_bytes for s, f in made.seeds.items() if f.control}
    found = table(
        made.seeds.items(),
        ("Seed", lambda item: str(item[0])),
        ("Bytes, fitted", lambda item: number(item[1].best.taken.flash_bytes)),
        ("Test accuracy, fitted", of_seed(fitted, percent2)),
        ("Bytes, control", of_seed(controls, number)),
        ("Test accuracy, control", of_seed(control, percent2)),
        ("Fitted less control, points", of_seed(gain.values if gain else {}, words.points)),
    )
    if found is None or gain is None:
        return found
    means = (interval_cell(Estimate.of(values), percent2) for values in (fitted, control))
    mean = (Cell("mean"), Cell(""), next(means), Cell(""), next(means),
            interval_cell(gain, words.points))  # fmt: skip
    return Table(found.columns, (*found.rows, mean))


def try_table(made: FittedSeeds) -> Table | None:
    """Everything that was tried, what it takes, and why it wasn't enough."""
    several = len(made.seeds) > 1

    def given(value: float | None, say: Callable[[float], str]) -> str:
        return "" if value is None else say(value)

    return table(
        candidates(made),
        ("Seed", lambda row: str(row[0]) if several else ""),
        ("<Network", lambda row: Cell(row[2].name, row[2].storage.describe())),
        ("Parameters", lambda row: number(row[2].model.count_params())),
        ("Bytes", lambda row: number(row[2].taken.flash_bytes)),
        ("RAM", lambda row: Cell(number(row[2].taken.ram_bytes),
                                 "" if row[2].taken.measured_ram else "at least")),
        ("Time", lambda row: given(row[2].taken.microseconds, words.microseconds)),
        ("Validation accuracy", lambda row: percent2(row[2].taken.accuracy)),
        ("Test accuracy", lambda row: given(row[2].test_accuracy, percent2)),
        ("<Outcome", lambda row: _outcome(made, *row)),
        keep_empty=False,
    )  # fmt: skip


def _outcome(made: FittedSeeds, seed: int, name: str, each: Candidate) -> str:
    if each is made.chosen:
        return "written"
    if each.shortfalls:
        return missing(each.shortfalls)
    return "within the budget" if name == "tried" else "control, within the budget"
