"""What a kind of study hands over to the page of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from tfticket.report.charts import Figure


class Summary(Protocol):
    """What the summaries of all kinds have in common."""

    @property
    def name(self) -> str:
        """Name of the recipe."""

    @property
    def run(self) -> str:
        """Name of the run."""

    @property
    def title(self) -> str:
        """Title of the recipe."""

    @property
    def complete(self) -> bool:
        """Whether the run wrote its last file."""

    @property
    def missing(self) -> Sequence[str]:
        """What an unfinished run lacks, in sentences."""

    @property
    def headline(self) -> str:
        """The result in a sentence or two of plain words."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON: the content of `summary.json`."""


@dataclass(frozen=True)
class Contents:
    """A page before it is set.

    Attributes:
        summary: The numbers; they become `summary.json`.
        values: What the template needs beside them: `facts`, pairs of name and value, and tables.
        figures: Name to title and chart, in the order of their files; None where the run doesn't
            hold the figure.
    """

    summary: Summary
    values: Mapping[str, Any]
    figures: Mapping[str, tuple[str, Figure | None]]
