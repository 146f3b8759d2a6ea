"""What the package of a kind hands over to the page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from matplotlib.figure import Figure

from tfticket.report.summary import Summary


@dataclass(frozen=True)
class Contents:
    """A page before it is set.

    Attributes:
        template: The page's template, relative to this package; it extends `base.html.j2`.
        summary: The numbers; they become `summary.json`.
        values: What the template needs beside them: facts, tables.
        figures: Name to title and drawing, in the order of their files; None where the run doesn't
            hold the figure.
    """

    template: str
    summary: Summary
    values: Mapping[str, Any]
    figures: Mapping[str, tuple[str, Figure | None]]
