"""Files of a run to be published, whatever its kind: its summary and the first of its figures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tfticket.errors import RunError
from tfticket.metrics import read_metrics
from tfticket.reading import UnreadableError, parse_json
from tfticket.runs.rundir import RunDir

MOST_BYTES = 2_000_000


@dataclass(frozen=True)
class Published:
    """Files of a run to be published.

    Attributes:
        contents: Name to bytes of each file but the card.
        card: What the card says beside what it says of every run.
    """

    contents: Mapping[str, bytes]
    card: Mapping[str, Any]


def reported(run: RunDir, *, figures: int) -> dict[str, bytes]:
    """Return the summary of a run's report, and the first of its figures.

    Raises:
        RunError: when there is no report.
    """
    summary = run.report / "summary.json"
    if not summary.is_file():
        raise RunError(f"{summary} is missing. Make it by `tfticket report {run.path}`.")
    first = sorted((run.report / "figures").glob("*.png"))[:figures]
    contents = {"summary.json": read(summary)}
    return contents | {f"figures/{path.name}": read(path) for path in first}


def table_in(contents: Mapping[str, bytes], name: str) -> dict[str, Any]:
    """Return the table in a JSON file that is to be published.

    Raises:
        RunError: when it isn't JSON.
    """
    try:
        table: dict[str, Any] = parse_json(contents[name])
        return table
    except UnreadableError as error:
        raise RunError(
            f"{name} of the report is damaged: {error}. Make the report again."
        ) from error


def measured(run: RunDir) -> dict[str, dict[str, dict[str, float]]]:
    """Return branch, then seed, to the measurements that belong to the whole training."""
    found: dict[str, dict[str, dict[str, float]]] = {}
    for row in read_metrics(run.metrics):
        if row.split in ("test", "summary"):
            of_branch = found.setdefault(row.branch, {})
            of_branch.setdefault(f"seed_{row.seed}", {})[row.name] = row.value
    return found


def read(path: Path) -> bytes:
    """Read a file that is to be published.

    Raises:
        RunError: when it can't be read.
    """
    try:
        size = path.stat().st_size
        if size > MOST_BYTES:
            raise too_large(path, size)
        return path.read_bytes()
    except OSError as error:
        raise RunError(f"{path} can't be read: {error.strerror}.") from error


def too_large(path: Path | str, size: int) -> RunError:
    """Return the error about a file that is too large to be published."""
    return RunError(
        f"A published file must have at most {MOST_BYTES:,} bytes. Received: {path} with "
        f"{size:,}. Export a sparser level or a smaller format, or measure less often."
    )
