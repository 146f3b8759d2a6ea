"""The page of a run of the kind `locality`."""

from __future__ import annotations

from collections.abc import Callable

from tfticket.display.charts import Figure
from tfticket.display.words import percent
from tfticket.report.contents import Contents
from tfticket.report.reading import RunFiles
from tfticket.report.tables import Cell, Table, interval_cell, table
from tfticket.studies.locality.summary import MEASURES, Summary, summarize_files
from tfticket.studies.lottery.page import MEANINGS
from tfticket.studies.variants.page import (
    by_density,
    contrast_table,
    facts,
    level_table,
    network_table,
    say,
    title,
)
from tfticket.studies.variants.summary import LevelSummary

_MEANINGS = MEANINGS | {
    "transferred": "the mask of a ticket found on another arrangement, with the same initial "
    "weights",
    "windows": "the ticket's mask in which each unit of the first layer reads as many consecutive "
    "points, spread evenly over the signal, with newly drawn weights",
}

_FIELDS = (
    "original_locality", "unit_locality", "locality", "fan_in", "span", "units_1", "units_2",
)  # fmt: skip


def compose(files: RunFiles) -> Contents:
    """Summarize and draw.

    Args:
        files: The run.
    """
    summary = summarize_files(files)
    masks = [n for n in summary.networks if n in ("ticket", *_MEANINGS)]
    drawn = {"accuracy": masks, "original_locality": ("ticket",), "locality": ("ticket",)}
    found: dict[str, tuple[str, Figure | None]] = {
        name: (title(summary, name), by_density(summary, name, networks))
        for name, networks in drawn.items()
    }
    return Contents(
        summary=summary,
        values={
            "facts": facts(summary, "Arrangements"),
            "meanings": {n: _MEANINGS[n] for n in summary.networks if n in _MEANINGS},
            "fields": level_table(summary, _FIELDS, networks=("ticket",)),
            "by_level": level_table(summary, ("accuracy",)),
            "contrasts": contrast_table(summary, ("accuracy",)),
            "convolutions": _convolution_table(summary),
            "networks": network_table(summary),
        },
        figures=found,
    )


def _convolution_table(summary: Summary) -> Table | None:
    """A row a convolutional network, with its shape."""

    def cell(name: str) -> Callable[[LevelSummary], Cell]:
        return lambda level: interval_cell(level.measures.get(name), say(summary, name))

    return table(
        summary.convolutions,
        ("<network", lambda level: level.condition.network),
        ("weights", lambda level: percent(level.density)),
        *((MEASURES[name].title, cell(name)) for name in ("width", "channels", "accuracy")),
    )
