"""What a run came to, in three lines: what was found, the page, the file."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tfticket.runs.rundir import RunDir

_EXPORTED = re.compile(r"seed_(\d+)_level_(\d+)\..*tflite")
_DENSE = 0


def outcome_lines(run: RunDir, headline: str, page: Path) -> list[str]:
    """What was found, where its page is, and the file to ship or why there is none.

    Args:
        run: A complete run.
        headline: Of its summary.
        page: Its page.
    """
    shipped = _file(run)
    return [headline, f"Page: {page}", *([] if shipped is None else [shipped])]


def _file(run: RunDir) -> str | None:
    """The line of the file; None for a run that makes no files."""
    if run.edge.is_file():
        table = _json(run.edge)
        name = table["choice"]["name"]
        row = next(row for row in table["rows"] if row["name"] == name)
        return _line(run.shipped(name), round(row["bytes"] * row["smaller"]))
    done = _json(run.complete_file)
    folder = run.exported(0, 0).parent
    names = done.get("exported") or sorted(path.name for path in folder.glob("*.tflite"))
    found = [match for match in map(_EXPORTED.fullmatch, names) if match]
    failures = done.get("failed_exports", [])
    # The dense network is exported to be held against, and is the choice where no other is.
    chosen = [each for each in found if int(each[2]) != _DENSE] or ([] if failures else found)
    if not chosen:
        return f"No file: {_first_sentence(failures[0])}" if failures else None
    path = min((folder / each[0] for each in chosen), key=_size)
    seed = next(int(each[1]) for each in chosen if each[0] == path.name)
    dense = run.exported(seed, _DENSE, ".fp32.tflite")
    return _line(path, _size(dense) if dense.is_file() and dense != path else None)


def _line(path: Path, dense_bytes: int | None) -> str:
    facts = [f"{_size(path):,} bytes"]
    if dense_bytes is not None:
        facts.append(_beside_dense(dense_bytes / _size(path)))
    report = path.with_suffix(".json")
    if report.is_file() and "verification" in _json(report):
        facts.append("verified in LiteRT")
    return f"File: {path} ({', '.join(facts)})"


def _beside_dense(smaller: float) -> str:
    if 0.95 < smaller < 1.05:
        return "as large as dense fp32"
    if smaller > 1:
        return f"{smaller:.1f} times smaller than dense fp32"
    return f"{1 / smaller:.1f} times larger than dense fp32"


def _first_sentence(text: str) -> str:
    return re.split(r"(?<=\.)\s", text, maxsplit=1)[0]


def _size(path: Path) -> int:
    return path.stat().st_size


def _json(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8"))
