"""The page of a run of the kind `memorization`."""

from __future__ import annotations

from tfticket.display.charts import Figure
from tfticket.report.contents import Contents
from tfticket.report.reading import RunFiles
from tfticket.studies.lottery.page import MEANINGS
from tfticket.studies.memorization.summary import summarize_files
from tfticket.studies.variants.page import (
    by_density,
    contrast_table,
    facts,
    level_table,
    network_table,
    title,
)

_DRAWN = ("memorized", "accuracy", "calibration_error")
_STOPPED = "accuracy_at_early_stop"


def compose(files: RunFiles) -> Contents:
    """Summarize and draw.

    Args:
        files: The run.
    """
    summary = summarize_files(files)
    found: dict[str, tuple[str, Figure | None]] = {
        name: (title(summary, name), by_density(summary, name)) for name in (*_DRAWN, _STOPPED)
    }
    return Contents(
        summary=summary,
        values={
            "facts": facts(summary, "Noise"),
            "meanings": {n: MEANINGS[n] for n in summary.networks if n in MEANINGS},
            "by_level": level_table(summary, _DRAWN),
            "contrasts": contrast_table(summary, _DRAWN),
            "networks": network_table(summary),
        },
        figures=found,
    )
