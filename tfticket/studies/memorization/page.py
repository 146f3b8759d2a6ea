"""The page of a run of the kind `memorization`."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tfticket.display import charts, words
from tfticket.display.charts import WIDE, Axis, Figure, Panel, Rows, density_axis
from tfticket.display.words import joined, number, percent
from tfticket.lottery.search_results import branch_looks
from tfticket.report import facts as common
from tfticket.report.contents import Contents
from tfticket.report.reading import RunFiles
from tfticket.report.tables import Cell, Table, interval_cell, table
from tfticket.studies.lottery.page import MEANINGS, pruning
from tfticket.studies.memorization.summary import (
    MEASURES,
    TICKET,
    LevelSummary,
    Summary,
    difference,
    summarize_files,
)

_DRAWN = ("memorized", "accuracy", "calibration_error")
_STOPPED = "accuracy_at_early_stop"
_NAMES: Mapping[str, str] = {TICKET: "ticket", "reinit": "reinitialized", "random": "random mask"}


def compose(files: RunFiles) -> Contents:
    """Summarize and draw.

    Args:
        files: The run.
    """
    summary = summarize_files(files)
    found: dict[str, tuple[str, Figure | None]] = {
        name: (_title(name), by_density(summary, name)) for name in (*_DRAWN, _STOPPED)
    }
    return Contents(
        summary=summary,
        values={
            "facts": _facts(summary),
            "meanings": {n: MEANINGS[n] for n in summary.networks if n in MEANINGS},
            "by_level": level_table(summary),
            "contrasts": contrast_table(summary),
            "networks": network_table(summary),
        },
        figures=found,
    )


def _title(measure: str) -> str:
    text = MEASURES[measure]
    return text[0].upper() + text[1:]


def by_density(summary: Summary, measure: str) -> Figure | None:
    """Draw a measure against density, a panel a noise, a line a branch; None if no run has it.

    Bands are the intervals of the means over seeds.
    """
    noises = [n for n in summary.noises if _drawn(summary, n, measure)]
    if not noises:
        return None
    lines = {noise: _drawn(summary, noise, measure) for noise in noises}
    axis = charts.fitted(
        f"{MEASURES[measure]} (%)",
        [[row[end] for row in found] for found in lines.values() for end in ("low", "y", "high")],
        limits=(0, 100),
    )
    columns = min(3, len(noises))
    densities = density_axis(level.density for level in summary.levels)
    panels = [
        _panel(summary, found, densities, axis, summary.noises[noise], WIDE / columns)
        for noise, found in lines.items()
    ]
    return charts.wrapped(panels, columns)


def _panel(summary: Summary, found: Rows, x: Axis, y: Axis, title: str, width: float) -> Figure:
    usual = branch_looks(summary.networks)
    looks = {_name(network): look for network, look in usual.items()}
    panel = Panel(x, y, looks, width=width, height=190, title=title)
    return panel.draw(panel.band(found), panel.line(found), panel.points(found))


def _drawn(summary: Summary, noise: str, measure: str) -> Rows:
    found: Rows = []
    for network in summary.networks:
        for level in summary.of(noise, network):
            if measure in level.measures:
                own = level.measures[measure]
                low, high = (own.lower, own.upper) if own.seeds > 1 else (own.mean, own.mean)
                found.append(
                    {
                        "x": 100 * level.density,
                        "y": 100 * own.mean,
                        "low": 100 * max(0.0, low),
                        "high": 100 * min(1.0, high),
                        "name": _name(network),
                    }
                )
    return found


def _name(network: str) -> str:
    return _NAMES.get(network, network)


def level_table(summary: Summary) -> Table | None:
    """A row a noise and density: memorization, accuracy and calibration of each branch."""
    tickets = [level for noise in summary.noises for level in summary.of(noise, TICKET)]

    def cell(network: str, measure: str) -> Callable[[LevelSummary], Cell]:
        def found(ticket: LevelSummary) -> Cell:
            twin = _twin(summary, ticket, network)
            return interval_cell(None if twin is None else twin.measures.get(measure), percent)

        return found

    return table(
        tickets,
        ("<noise", lambda ticket: ticket.condition.noise),
        ("weights left", lambda ticket: percent(ticket.density)),
        *(
            (f"{MEASURES[measure]}, {_name(network)}", cell(network, measure))
            for measure in _DRAWN
            for network in summary.networks
        ),
        keep_empty=False,
    )


def contrast_table(summary: Summary) -> Table | None:
    """A row a noise and density: tickets against the dense network and against each control."""
    tickets = [level for noise in summary.noises for level in summary.of(noise, TICKET)[1:]]

    def cell(network: str, measure: str) -> Callable[[LevelSummary], Cell]:
        def found(ticket: LevelSummary) -> Cell:
            other = (
                next(iter(summary.of(ticket.condition.noise, TICKET)), None)
                if network == "dense"
                else _twin(summary, ticket, network)
            )
            return _difference(ticket, other, measure)

        return found

    controls = [network for network in summary.networks if network != TICKET]
    return table(
        tickets,
        ("<noise", lambda ticket: ticket.condition.noise),
        ("weights left", lambda ticket: percent(ticket.density)),
        *(
            (f"{MEASURES[measure]}, against {_name(network)}", cell(network, measure))
            for measure in _DRAWN
            for network in ("dense", *controls)
        ),
        keep_empty=False,
    )


def _difference(own: LevelSummary, other: LevelSummary | None, measure: str) -> Cell:
    """A difference in points, marked where its interval leaves out 0."""
    found = None if other is None else difference(own, other, measure)
    if found is None:
        return Cell(words.NONE)
    bounds = words.points_interval(found) if found.seeds > 1 else ""
    if measure != "accuracy" or found.seeds < 2:
        return Cell(words.points(found.mean), bounds)
    tag = "cant_tell" if found.includes(0) else "winning" if found.mean > 0 else "worse"
    return Cell(words.points(found.mean), bounds, tag=tag)


def _twin(summary: Summary, ticket: LevelSummary, network: str) -> LevelSummary | None:
    """The networks of a branch at the level of a ticket."""
    own = summary.of(ticket.condition.noise, network)
    return next((level for level in own if level.level == ticket.level), None)


def network_table(summary: Summary) -> Table | None:
    """Every branch and level with all that was measured."""

    def cell(measure: str) -> Callable[[LevelSummary], Cell]:
        return lambda level: interval_cell(level.measures.get(measure), percent)

    return table(
        summary.levels,
        ("<noise", lambda level: level.condition.noise),
        ("<network", lambda level: _name(level.condition.network) if level.level else "dense"),
        ("level", lambda level: str(level.level)),
        ("weights left", lambda level: percent(level.density)),
        *((MEASURES[measure], cell(measure)) for measure in MEASURES),
        ("seeds", lambda level: str(len(level.values("accuracy")))),
    )


def _facts(summary: Summary) -> common.Facts:
    files, train = summary.files, summary.files.table("train")
    iterations = f"{number(train['steps'])} iterations a level" if "steps" in train else ""
    return common.facts(
        files,
        ("Noise", joined(*summary.noises.values())),
        ("Network", common.network(files)),
        ("Training", common.training(files, iterations, files.table("data").get("batch_size"))),
        ("Pruning", pruning(files.table("lottery"))),
        seeds=summary.seeds,
        seconds=sum(level.total("seconds") for level in summary.levels),
    )
