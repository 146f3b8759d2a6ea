"""The page of a run of the kind `locality`."""

from __future__ import annotations

from collections.abc import Callable

from tfticket.display.words import percent
from tfticket.report.contents import Contents
from tfticket.report.reading import RunFiles
from tfticket.report.tables import Cell, Table, interval_cell, table
from tfticket.studies.locality.summary import MEASURES, Summary
from tfticket.studies.lottery.facts import MEANINGS
from tfticket.studies.variants.page import contents, level_table, say
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
    """Summarize and draw."""
    summary = Summary.read(files)
    masks = [name for name in summary.networks if name in ("ticket", *_MEANINGS)]
    return contents(
        summary,
        "Arrangements",
        drawn={"accuracy": masks, "original_locality": ("ticket",), "locality": ("ticket",)},
        compared=("accuracy",),
        meanings=_MEANINGS,
        fields=level_table(summary, _FIELDS, networks=("ticket",)),
        convolutions=_convolution_table(summary),
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
