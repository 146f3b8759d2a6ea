"""The numbers of a run, whatever its kind: what the page, cards and the command line all say."""

from __future__ import annotations

from pathlib import Path

from tfticket.errors import RunError
from tfticket.report.contents import Summary as Summary
from tfticket.report.reading import RunFiles, read_run, read_together
from tfticket.studies.kind import Kind
from tfticket.studies.registry import KINDS


def summarize(run: str | Path) -> Summary:
    """Summarize a run directory, finished or not.

    Args:
        run: The run directory.

    Raises:
        RunError: It is no run directory, is of an unknown kind, or one of its files can't be read.
    """
    files = read_run(run)
    with read_together(files):
        summary = kind_of_run(files).summarize(files)
        summary.to_dict()  # what is computed on demand is wrong here, or not at all
        return summary


def kind_of_run(files: RunFiles) -> Kind:
    """The kind of a run's recipe.

    Raises:
        RunError: There is no report for it.
    """
    kind = str(files.recipe.get("kind", "lottery"))
    if kind not in KINDS:
        raise RunError(
            f"A run is reported by the kind of its recipe, one of {', '.join(KINDS)}. "
            f"Received: {kind!r} in {files.path / 'recipe.json'}. A newer tfticket may know it."
        )
    return KINDS[kind]
