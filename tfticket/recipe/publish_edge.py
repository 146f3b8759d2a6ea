"""What is published of a run of the kind `edge`: its report, and the file to ship."""

from __future__ import annotations

from typing import Any

from tfticket.errors import RunError
from tfticket.runs.published import Published, read, reported, table_in
from tfticket.runs.rundir import RunDir

_MOST_FIGURES = 1
_OF_ROW = (
    "name", "density", "bytes", "gzip", "zstd", "smaller", "speedup", "accuracy", "test_accuracy",
)  # fmt: skip


def chosen(run: RunDir) -> Published:
    """Summary, figure, the chosen file and its report; the card has a line for each file.

    Raises:
        RunError: when the run has no report, or one that was made before the run was complete.
    """
    report = reported(run, figures=_MOST_FIGURES)
    summary: dict[str, Any] = table_in(report, "summary.json")
    name = summary.get("choice", {}).get("name")
    if summary.get("complete") and name is None:
        raise RunError(
            f"`{run.path}` has no file to ship: {summary.get('headline')} Only runs that have one "
            "are published."
        )
    if not summary.get("complete") or name is None:
        raise RunError(
            "The report must be made of the complete run. Received: one that was made before. Make "
            f"it again by `tfticket report {run.path}`."
        )
    path = run.shipped(name)
    contents = {
        **report,
        "model.tflite": read(path),
        "model.json": read(path.with_suffix(".json")),
    }
    return Published(
        contents,
        {
            "host": summary["host"],
            "choice": {key: summary["choice"][key] for key in ("name", "reason")},
            "replicates": summary["replicates"],
            "claims": summary["claims"],
            "results": [
                {key: row[key] for key in _OF_ROW}
                for row in summary["rows"]
                if row["failure"] is None
            ],
        },
    )
