"""The numbers of a run, whatever its kind: what the page, `publish` and the command line all say.

A kind of recipe is reported by a package of its own. It has a line here, in `SUMMARIES`, and one in
`page.PAGES`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol

from tfticket.errors import RunError
from tfticket.report.edge.summary import summarize_files as summarize_edge
from tfticket.report.lottery.summary import summarize_files as summarize_lottery
from tfticket.report.noisy.summary import summarize_files as summarize_noisy
from tfticket.report.norms.summary import summarize_files as summarize_norms
from tfticket.report.reading import RunFiles, read_run, read_together


class Summary(Protocol):
    """What the summaries of all kinds have in common."""

    @property
    def headline(self) -> str:
        """The result in a sentence or two of plain words."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON: the content of `summary.json`."""


SUMMARIES: Mapping[str, Callable[[RunFiles], Summary]] = MappingProxyType(
    {
        "lottery": summarize_lottery,
        "norms": summarize_norms,
        "noisy": summarize_noisy,
        "edge": summarize_edge,
    }
)
"""Kind of a recipe to what summarizes its runs."""


def summarize(run: str | Path) -> Summary:
    """Summarizes a run directory, finished or not.

    Args:
        run: The run directory.

    Raises:
        RunError: It is no run directory, is of an unknown kind, or one of its files can't be read.
    """
    files = read_run(run)
    with read_together(files):
        summary = SUMMARIES[kind_of(files)](files)
        summary.to_dict()  # what is computed on demand is wrong here, or not at all
        return summary


def kind_of(files: RunFiles) -> str:
    """The kind of a run's recipe.

    Raises:
        RunError: There is no report for it.
    """
    kind = str(files.recipe.get("kind", "lottery"))
    if kind not in SUMMARIES:
        raise RunError(
            f"A run is reported by the kind of its recipe, one of {', '.join(SUMMARIES)}. "
            f"Received: {kind!r} in {files.path / 'recipe.json'}. A newer tfticket may know it."
        )
    return kind
