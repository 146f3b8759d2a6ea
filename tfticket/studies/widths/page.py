"""The page of a run of the kind `widths`."""

from __future__ import annotations

from collections.abc import Callable

from tfticket.display import charts
from tfticket.display.charts import WIDE, Axis, Figure, Panel, Rows
from tfticket.display.words import joined, percent
from tfticket.lottery.over_seeds.levels import LevelSummary
from tfticket.lottery.search_results import branch_looks
from tfticket.lottery.verdict import TWIN
from tfticket.report.contents import Contents
from tfticket.report.facts import network
from tfticket.report.reading import RunFiles
from tfticket.report.tables import Cell, Table, interval_cell, table
from tfticket.studies.lottery.facts import MEANINGS, search_facts
from tfticket.studies.lottery.page import results_table
from tfticket.studies.widths.summary import Summary, summarize_files

_Found = tuple[float, LevelSummary, LevelSummary]


def compose(files: RunFiles) -> Contents:
    """Summarize and draw."""
    summary = summarize_files(files)
    levels = [level for search in summary.searches.values() for level in search.levels]
    return Contents(
        summary=summary,
        values={
            "facts": search_facts(
                files,
                ("Network", network(files)),
                ("Widths", joined(*(f"{width:g}" for width in summary.searches))),
                seeds=summary.seeds,
                seconds=sum(level.seconds for level in levels),
            ),
            "meanings": {name: MEANINGS[name] for name in summary.branches if name in MEANINGS},
            "gains": gain_table(summary),
            "networks": {w: results_table(each) for w, each in summary.searches.items()},
        },
        figures={"gains": ("Gain over the mask as it is", by_width(summary))},
    )


def by_width(summary: Summary) -> Figure | None:
    """Draw gains over the mask as it is on new weights against width, a panel a level.

    A line is a branch, whiskers are intervals over seeds; None where nothing can be compared.
    """
    scale, found = summary.metric.scale, dict[int, Rows]()
    shares: dict[int, list[float]] = {}
    for width, ticket, _ in summary.compared():
        shares.setdefault(ticket.level, []).append(ticket.density)
        for branch, gain in summary.gains(width, ticket.level).items():
            low, high = (scale * end for end in gain.ends)
            row = {"x": width, "y": scale * gain.mean, "low": low, "high": high, "name": branch}
            found.setdefault(ticket.level, []).append(row)
    drawn = [row for rows in found.values() for row in rows]
    if not drawn:
        return None
    y_axis = charts.fitted(
        summary.metric.against("reinit"),
        [[row[end] for row in drawn] for end in ("low", "high")],
        zero=True,
    )
    widths = sorted({row["x"] for row in drawn})
    ends = (widths[0] / 1.2, widths[-1] * 1.2)
    x_axis = Axis("width, logarithmic", ends, log=True, ticks=charts.plain(widths))
    looks = branch_looks([name for name in summary.branches if name != TWIN])
    panels = []
    for level, rows in found.items():
        span = dict.fromkeys(percent(end(shares[level])) for end in (min, max))
        title = f"{' to '.join(span)} of the weights"
        panel = Panel(x_axis, y_axis, looks, width=WIDE / len(found), title=title)
        layers = (panel.whiskers(rows), panel.line(rows), panel.points(rows))
        panels.append(panel.draw(panel.rule(y=0), *layers))
    return charts.beside(*panels)


def gain_table(summary: Summary) -> Table | None:
    """A row a width and level: what each branch gains over the mask as it is on new weights."""
    metric = summary.metric

    def cell(branch: str) -> Callable[[_Found], Cell]:
        def of(found: _Found) -> Cell:
            gains = summary.gains(found[0], found[1].level)
            return interval_cell(gains.get(branch), metric.say_gain)

        return of

    return table(
        summary.compared(),
        ("width", lambda found: f"{found[0]:g}"),
        ("weights left", lambda found: percent(found[1].density)),
        (f"{TWIN}, {metric.label}", lambda found: interval_cell(found[2].value, metric.say)),
        *((f"{name}{metric.comma_unit}", cell(name)) for name in summary.branches if name != TWIN),
    )
