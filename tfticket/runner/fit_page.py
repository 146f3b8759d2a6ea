"""The page of networks that were fitted into a device."""

from __future__ import annotations

from pathlib import Path

from tfticket import __version__
from tfticket.display import charts, words
from tfticket.display.charts import Figure, Panel, Rows, rows
from tfticket.display.palette import PALETTE, Look
from tfticket.display.words import number
from tfticket.export.fitting.budget import Taken, missing
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


def write_page(made: FittedSeeds, path: Path, *, command: str) -> None:
    """Write the page.

    Args:
        made: What came of it.
        path: Where to.
        command: The command line that made it; empty for none.
    """
    budget, target = made.settings.budget, made.settings.target
    file = next((each for each in made.files if each.suffix == ".tflite"), None)
    figures = {"bytes": ("Accuracy against the bytes of the file", figure(made))}
    page = environment(Path(__file__).parent).get_template("fit_page.html.j2").render(
        name=made.name,
        title=f"{made.name} in {budget.describe()}",
        met=made.met,
        reason=made.reason,
        facts=[
            ("Data", made.data),
            ("Limits", budget.describe()),
            ("Target", "TensorFlow Lite Micro" if target == "micro" else "LiteRT"),
            ("Seeds", words.ranges(list(made.seeds))),
        ],
        drawings=draw(figures),
        over_seeds=seed_table(made),
        tries=try_table(made),
        controls=any(found.control is not None for found in made.seeds.values()),
        file=None if file is None else file.name,
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
    points: Rows = [
        {"x": each.taken.flash_bytes, "y": 100 * each.taken.accuracy, "name": name}
        for _, name, each in found
    ]
    limits = [budget.flash_bytes] if budget.flash_bytes else []
    looks = {name: _LOOKS[name] for name in ("tried", "control") if _has(points, name)}
    looks |= {} if made.chosen is None else {"written": _LOOKS["written"]}
    panel = Panel(
        charts.fitted("bytes of the file (logarithmic)",
                      [[row["x"] for row in points], limits], log=True),
        charts.fitted("validation accuracy (%)",
                      [[row["y"] for row in points], [100 * budget.accuracy]]),
        looks, width=charts.WIDE, height=260,
    )  # fmt: skip
    layers = [panel.rule(y=100 * budget.accuracy)]
    layers += [panel.rule(x=limit) for limit in limits]
    for seed in made.seeds:
        way = [each for own, name, each in found if own == seed and name == "tried"]
        line = rows(
            x=[each.taken.flash_bytes for each in way],
            y=[100 * each.taken.accuracy for each in way],
            name="tried",
        )
        layers.append(panel.line(line, width=0.8, opacity=0.5))
    layers.append(panel.points(points, size=36))
    if made.chosen is not None:
        taken = made.chosen.taken
        place = rows(x=[taken.flash_bytes], y=[100 * taken.accuracy], name="written")
        layers.append(panel.points(place, size=90))
    return panel.draw(*layers)


def _has(points: Rows, name: str) -> bool:
    return any(row["name"] == name for row in points)


def seed_table(made: FittedSeeds) -> Table | None:
    """Compare fitted networks and controls over the seeds; None for one seed."""
    if len(made.seeds) < 2:
        return None
    fitted, control = made.accuracies("fitted"), made.accuracies("control")

    def share(value: float | None) -> str:
        return words.NONE if value is None else _percent(value)

    found = table(
        made.seeds.items(),
        ("Seed", lambda item: str(item[0])),
        ("Bytes, fitted", lambda item: number(item[1].best.taken.flash_bytes)),
        ("Test accuracy, fitted", lambda item: share(fitted.get(item[0]))),
        (
            "Bytes, control",
            lambda item: number(item[1].control.taken.flash_bytes) if item[1].control else "",
        ),
        ("Test accuracy, control", lambda item: share(control.get(item[0]))),
        (
            "Fitted less control",
            lambda item: (
                _points(fitted[item[0]] - control[item[0]])
                if item[0] in fitted and item[0] in control
                else ""
            ),
        ),
    )
    gain = Estimate.of_difference(fitted, control)
    if found is None or gain is None:
        return found
    mean = (
        Cell("mean"), Cell(""), interval_cell(Estimate.of(fitted), _percent), Cell(""),
        interval_cell(Estimate.of(control), _percent), interval_cell(gain, _points),
    )  # fmt: skip
    return Table(found.columns, (*found.rows, mean))


def try_table(made: FittedSeeds) -> Table | None:
    """Everything that was tried, what it takes, and why it wasn't enough."""
    several = len(made.seeds) > 1
    timed = made.settings.budget.microseconds is not None
    return table(
        candidates(made),
        *([("Seed", lambda row: str(row[0]))] if several else []),
        ("<Network", lambda row: Cell(row[2].name, row[2].storage.describe())),
        ("Parameters", lambda row: number(row[2].model.count_params())),
        ("Bytes", lambda row: number(row[2].taken.flash_bytes)),
        ("RAM", lambda row: Cell(number(row[2].taken.ram_bytes), _ram(row[2].taken))),
        *(
            [("Microseconds", lambda row: number(row[2].taken.microseconds or 0, 1))]
            if timed
            else []
        ),
        ("Validation accuracy", lambda row: _percent(row[2].taken.accuracy)),
        (
            "Test accuracy",
            lambda row: "" if row[2].test_accuracy is None else _percent(row[2].test_accuracy),
        ),
        ("<Outcome", lambda row: _outcome(made, *row)),
    )


def _outcome(made: FittedSeeds, seed: int, name: str, each: Candidate) -> str:
    if each is made.chosen:
        return "written"
    if each.shortfalls:
        return missing(each.shortfalls)
    return "within the budget" if name == "tried" else "control, within the budget"


def _ram(taken: Taken) -> str:
    return "" if taken.measured_ram else "at least"


def _percent(share: float) -> str:
    return f"{100 * share:.2f} %"


def _points(share: float) -> str:
    return number(100 * share, 2) + " points"
