"""The page of a run with several variants: its tables and figures."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tfticket.display import charts, words
from tfticket.display.charts import WIDE, Figure, Panel, Rows, density_axis
from tfticket.display.words import joined, percent
from tfticket.lottery.search_results import branch_looks
from tfticket.report.contents import Contents
from tfticket.report.expectation import RATE
from tfticket.report.facts import network
from tfticket.report.tables import Cell, Table, gain_cell, interval_cell, table
from tfticket.studies.lottery.facts import MEANINGS, search_facts
from tfticket.studies.variants.summary import TICKET, LevelSummary, VariantsSummary, difference

DENSE = "dense"
NAMES: Mapping[str, str] = {TICKET: "ticket", "reinit": "reinitialized", "random": "random mask"}
"""Network to what tables call it."""


def contents(
    summary: VariantsSummary,
    heading: str,
    *,
    drawn: Mapping[str, Sequence[str]],
    compared: Sequence[str],
    meanings: Mapping[str, str] = MEANINGS,
    **more: Any,
) -> Contents:
    """Return the page of a run: its facts, figures and tables.

    Args:
        summary: The numbers.
        heading: What variants are called there.
        drawn: Each measure that is drawn, to the branches in its figure; none for all.
        compared: Measures in the tables by level and of contrasts; their differences are in points.
        meanings: Meaning of each branch, as far as it needs one.
        **more: Values of the template beside these.
    """
    figures = {}
    for measure, networks in drawn.items():
        text = summary.MEASURES[measure].title
        drawing = by_density(summary, measure, networks or summary.networks)
        figures[measure] = (text[0].upper() + text[1:], drawing)
    facts = search_facts(
        summary.files,
        (heading, joined(*summary.variants.values())),
        ("Network", network(summary.files)),
        seeds=summary.seeds,
        seconds=sum(level.total("seconds") for level in summary.levels),
    )
    return Contents(
        summary=summary,
        values={
            "facts": facts,
            "meanings": {name: meanings[name] for name in summary.networks if name in meanings},
            "by_level": level_table(summary, compared, summary.networks),
            "contrasts": contrast_table(summary, compared),
            "networks": network_table(summary),
            **more,
        },
        figures=figures,
    )


def by_density(summary: VariantsSummary, measure: str, networks: Sequence[str]) -> Figure | None:
    """Draw a measure against density, a panel a variant, a line a branch; None if no run has it.

    Bands are the intervals of the means over seeds.

    Args:
        summary: The numbers.
        measure: What is drawn.
        networks: The branches.
    """
    found = {variant: _rows(summary, variant, measure, networks) for variant in summary.variants}
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
    looks = {_name(network): look for network, look in branch_looks(networks).items()}
    panels = []
    for variant, rows in lines.items():
        title = summary.variants[variant]
        panel = Panel(densities, axis, looks, width=WIDE / columns, height=190, title=title)
        panels.append(panel.draw(panel.band(rows), panel.line(rows), panel.points(rows)))
    return charts.wrapped(panels, columns)


def _rows(summary: VariantsSummary, variant: str, measure: str, networks: Sequence[str]) -> Rows:
    is_rate = summary.MEASURES[measure].unit is RATE
    factor, most = (100, 1.0) if is_rate else (1, float("inf"))
    return [
        {
            "x": 100 * level.density,
            "y": factor * own.mean,
            "low": factor * max(0.0, own.ends[0]),
            "high": factor * min(most, own.ends[1]),
            "name": _name(network),
        }
        for network in networks
        for level in summary.of(variant, network)
        if (own := level.measures.get(measure)) is not None
    ]


def _name(network: str) -> str:
    return NAMES.get(network, network)


def level_table(
    summary: VariantsSummary, measures: Sequence[str], networks: Sequence[str]
) -> Table | None:
    """A row a variant and density: some measures of some networks."""

    def cell(measure: str, network: str, ticket: LevelSummary) -> Cell:
        found = _beside(summary, ticket, network)
        estimate = None if found is None else found.measures.get(measure)
        return interval_cell(estimate, say(summary, measure))

    return _by_ticket(summary, measures, networks, cell)


def contrast_table(summary: VariantsSummary, measures: Sequence[str]) -> Table | None:
    """A row a variant and density: tickets against the dense network and against each control.

    Args:
        summary: The numbers.
        measures: Measures whose differences are in points.
    """

    def cell(measure: str, network: str, ticket: LevelSummary) -> Cell:
        other = _beside(summary, ticket, network)
        change = None if other is None else difference(ticket, other, measure)
        return gain_cell(change) if measure == "accuracy" else interval_cell(change, words.points)

    controls = [network for network in summary.networks if network != TICKET]
    return _by_ticket(summary, measures, (DENSE, *controls), cell, least=1, word="against ")


def _by_ticket(
    summary: VariantsSummary,
    measures: Sequence[str],
    networks: Sequence[str],
    cell: Callable[[str, str, LevelSummary], Cell],
    *,
    least: int = 0,
    word: str = "",
) -> Table | None:
    """A row a ticket from the level `least` on, a column a measure and network."""
    return table(
        [level for variant in summary.variants for level in summary.of(variant, TICKET)[least:]],
        (f"<{summary.VARIANT}", lambda ticket: ticket.condition.variant),
        ("weights left", lambda ticket: percent(ticket.density)),
        *(
            (
                f"{summary.MEASURES[measure].title}, {word}{_name(network)}",
                functools.partial(cell, measure, network),
            )
            for measure in measures
            for network in networks
        ),
        keep_empty=False,
    )


def _beside(summary: VariantsSummary, ticket: LevelSummary, network: str) -> LevelSummary | None:
    """The networks of a branch at the level of a ticket, or the dense ones."""
    level = 0 if network == DENSE else ticket.level
    found = summary.of(ticket.condition.variant, network)
    return next((each for each in found if each.level == level), None)


def say(summary: VariantsSummary, measure: str) -> Callable[[float], str]:
    """Format of a measure in a table."""
    unit = summary.MEASURES[measure].unit
    return percent if unit is RATE else unit.say


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
