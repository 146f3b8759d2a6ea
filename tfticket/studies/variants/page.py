"""Tables and figures of such a run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from tfticket.display import charts, words
from tfticket.display.charts import WIDE, Axis, Figure, Panel, Rows, density_axis
from tfticket.display.words import joined, number, percent
from tfticket.lottery.search_results import branch_looks
from tfticket.report import facts as common
from tfticket.report.expectation import RATE
from tfticket.report.tables import Cell, Table, interval_cell, table
from tfticket.studies.lottery.page import pruning
from tfticket.studies.variants.summary import TICKET, LevelSummary, VariantsSummary, difference

NAMES: Mapping[str, str] = {TICKET: "ticket", "reinit": "reinitialized", "random": "random mask"}
"""Network to what tables call it."""


def title(summary: VariantsSummary, measure: str) -> str:
    """The title of a figure of a measure."""
    text = summary.MEASURES[measure].title
    return text[0].upper() + text[1:]


def by_density(
    summary: VariantsSummary, measure: str, networks: Sequence[str] = ()
) -> Figure | None:
    """Draw a measure against density, a panel a variant, a line a branch; None if no run has it.

    Bands are the intervals of the means over seeds.

    Args:
        summary: The numbers.
        measure: What is drawn.
        networks: The branches, by default all.
    """
    networks = networks or summary.networks
    found = {variant: _drawn(summary, variant, measure, networks) for variant in summary.variants}
    lines = {variant: rows for variant, rows in found.items() if rows}
    if not lines:
        return None
    is_rate = summary.MEASURES[measure].unit is RATE
    axis = charts.fitted(
        summary.MEASURES[measure].title + (" (%)" if is_rate else ""),
        [[row[end] for row in rows] for rows in lines.values() for end in ("low", "y", "high")],
        limits=(0, 100 if is_rate else float("inf")),
    )
    columns = 2 if len(lines) == 4 else min(3, len(lines))
    densities = density_axis(level.density for level in summary.levels)
    panels = [
        _panel(networks, rows, densities, axis, summary.variants[variant], WIDE / columns)
        for variant, rows in lines.items()
    ]
    return charts.wrapped(panels, columns)


def _panel(
    networks: Sequence[str], found: Rows, x: Axis, y: Axis, heading: str, width: float
) -> Figure:
    usual = branch_looks(networks)
    looks = {_name(network): look for network, look in usual.items()}
    panel = Panel(x, y, looks, width=width, height=190, title=heading)
    return panel.draw(panel.band(found), panel.line(found), panel.points(found))


def _drawn(summary: VariantsSummary, variant: str, measure: str, networks: Sequence[str]) -> Rows:
    found: Rows = []
    is_rate = summary.MEASURES[measure].unit is RATE
    factor, most = (100, 1.0) if is_rate else (1, float("inf"))
    for network in networks:
        for level in summary.of(variant, network):
            if measure in level.measures:
                own = level.measures[measure]
                low, high = (own.lower, own.upper) if own.seeds > 1 else (own.mean, own.mean)
                found.append(
                    {
                        "x": 100 * level.density,
                        "y": factor * own.mean,
                        "low": factor * max(0.0, low),
                        "high": factor * min(most, high),
                        "name": _name(network),
                    }
                )
    return found


def _name(network: str) -> str:
    return NAMES.get(network, network)


def level_table(
    summary: VariantsSummary, measures: Sequence[str], networks: Sequence[str] = ()
) -> Table | None:
    """A row a variant and density: some measures of some networks, by default of all."""
    tickets = [level for variant in summary.variants for level in summary.of(variant, TICKET)]

    def cell(network: str, measure: str) -> Callable[[LevelSummary], Cell]:
        def found(ticket: LevelSummary) -> Cell:
            twin = _twin(summary, ticket, network)
            estimate = None if twin is None else twin.measures.get(measure)
            return interval_cell(estimate, say(summary, measure))

        return found

    return table(
        tickets,
        (f"<{summary.VARIANT}", lambda ticket: ticket.condition.variant),
        ("weights left", lambda ticket: percent(ticket.density)),
        *(
            (f"{summary.MEASURES[measure].title}, {_name(network)}", cell(network, measure))
            for measure in measures
            for network in networks or summary.networks
        ),
        keep_empty=False,
    )


def say(summary: VariantsSummary, measure: str) -> Callable[[float], str]:
    """Format of a measure in a table."""
    unit = summary.MEASURES[measure].unit
    return percent if unit is RATE else unit.say


def contrast_table(summary: VariantsSummary, measures: Sequence[str]) -> Table | None:
    """A row a variant and density: tickets against the dense network and against each control.

    Args:
        summary: The numbers.
        measures: Measures whose differences are in points.
    """
    tickets = [level for variant in summary.variants for level in summary.of(variant, TICKET)[1:]]

    def cell(network: str, measure: str) -> Callable[[LevelSummary], Cell]:
        def found(ticket: LevelSummary) -> Cell:
            other = (
                next(iter(summary.of(ticket.condition.variant, TICKET)), None)
                if network == "dense"
                else _twin(summary, ticket, network)
            )
            return _difference(ticket, other, measure)

        return found

    controls = [network for network in summary.networks if network != TICKET]
    return table(
        tickets,
        (f"<{summary.VARIANT}", lambda ticket: ticket.condition.variant),
        ("weights left", lambda ticket: percent(ticket.density)),
        *(
            (f"{summary.MEASURES[measure].title}, against {_name(network)}", cell(network, measure))
            for measure in measures
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


def _twin(summary: VariantsSummary, ticket: LevelSummary, network: str) -> LevelSummary | None:
    """The networks of a branch at the level of a ticket."""
    own = summary.of(ticket.condition.variant, network)
    return next((level for level in own if level.level == ticket.level), None)


def network_table(summary: VariantsSummary) -> Table | None:
    """Every branch and level with all that was measured."""

    def cell(measure: str) -> Callable[[LevelSummary], Cell]:
        return lambda level: interval_cell(level.measures.get(measure), say(summary, measure))

    return table(
        summary.levels,
        (f"<{summary.VARIANT}", lambda level: level.condition.variant),
        ("<network", lambda level: _name(level.condition.network) if level.level else "dense"),
        ("level", lambda level: str(level.level)),
        ("weights left", lambda level: percent(level.density)),
        *((named.title, cell(measure)) for measure, named in summary.MEASURES.items()),
        ("seeds", lambda level: str(len(level.values("accuracy")))),
    )


def facts(summary: VariantsSummary, heading: str) -> common.Facts:
    """Names and values, in the order of a page; `heading` is what variants are called there."""
    files, train = summary.files, summary.files.table("train")
    iterations = f"{number(train['steps'])} iterations a level" if "steps" in train else ""
    return common.facts(
        files,
        (heading, joined(*summary.variants.values())),
        ("Network", common.network(files)),
        ("Training", common.training(files, iterations, files.table("data").get("batch_size"))),
        ("Pruning", pruning(files.table("lottery"))),
        seeds=summary.seeds,
        seconds=sum(level.total("seconds") for level in summary.levels),
    )
