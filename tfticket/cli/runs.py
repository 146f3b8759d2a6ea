"""`tfticket runs`, `tfticket report`: list runs, regenerate a report, and the result of a run."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tfticket.cli.common import (
    ListByDefault,
    json_option,
    print_columns,
    print_json,
    run_argument,
    runs_option,
)

if TYPE_CHECKING:
    from tfticket.runs.rundir import RunDir

_EXPORTED = re.compile(r"seed_(\d+)_level_(\d+)\..*tflite")
_DENSE = 0


@click.group(cls=ListByDefault)
def runs() -> None:
    """List the runs of a folder.

    `tfticket runs` is `tfticket runs list` and takes its options.

    \b
    tfticket runs --runs elsewhere --json
    """


@runs.command("list")
@runs_option
@json_option
def list_(runs_root: Path, as_json: bool) -> None:
    """List runs: complete, running, or resumable and after how much.

    \b
    tfticket runs list --runs runs
    """
    from tfticket.runs.runs import list_runs

    entries = list_runs(runs_root)
    if as_json:
        print_json([{**vars(entry), "path": str(entry.path)} for entry in entries])
    elif entries:
        print_columns((str(entry.path), entry.state, entry.started) for entry in entries)
    else:
        click.echo(f"No runs in {runs_root}.", err=True)


@click.command()
@run_argument
@json_option
def report(run: Path, as_json: bool) -> None:
    """Regenerate the report of a RUN, and print its path.

    The run need not be complete. With --json, print the summary and write nothing.

    \b
    tfticket report runs/lth_digits/default
    """
    if as_json:
        from tfticket.studies.summaries import summarize

        print_json(summarize(run).to_dict())
    else:
        from tfticket.studies import report as page

        click.echo(page.render(run))


def outcome_lines(run: RunDir, headline: str, page: Path) -> list[str]:
    """Return the result of a run: its headline, its page, and the file to ship or why none.

    Args:
        run: A complete run.
        headline: Of its summary.
        page: Its page.
    """
    return [headline, f"Page: {page}", *_file_line(run)]


def _file_line(run: RunDir) -> list[str]:
    """The line of the file; none for a run that makes no files."""
    from tfticket.reading import read_json

    if run.edge.is_file():
        table = read_json(run.edge)
        name = table["choice"]["name"]
        row = next(row for row in table["rows"] if row["name"] == name)
        return [_describe(run.shipped(name), round(row["bytes"] * row["smaller"]))]
    done = read_json(run.complete_file)
    folder = run.exported(0, 0).parent
    names = done.get("exported") or sorted(path.name for path in folder.glob("*.tflite"))
    found = [match for match in map(_EXPORTED.fullmatch, names) if match]
    failures = done.get("failed_exports", [])
    # The dense network is exported to compare with, and is chosen only where no other is there.
    chosen = [each for each in found if int(each[2]) != _DENSE] or ([] if failures else found)
    if not chosen:
        first_sentence = [re.split(r"(?<=\.)\s", text, maxsplit=1)[0] for text in failures[:1]]
        return [f"No file: {sentence}" for sentence in first_sentence]
    smallest = min(chosen, key=lambda each: (folder / each[0]).stat().st_size)
    path = folder / smallest[0]
    dense = run.exported(int(smallest[1]), _DENSE, ".fp32.tflite")
    has_dense = dense.is_file() and dense != path
    return [_describe(path, dense.stat().st_size if has_dense else None)]


def _describe(path: Path, dense_bytes: int | None) -> str:
    from tfticket.files import REPORT_SUFFIX
    from tfticket.reading import read_json

    size = path.stat().st_size
    facts = [f"{size:,} bytes"]
    if dense_bytes is not None:
        smaller = dense_bytes / size
        if 0.95 < smaller < 1.05:
            facts.append("as large as dense fp32")
        elif smaller > 1:
            facts.append(f"{smaller:.1f} times smaller than dense fp32")
        else:
            facts.append(f"{1 / smaller:.1f} times larger than dense fp32")
    report = path.with_suffix(REPORT_SUFFIX)
    if report.is_file() and "verification" in read_json(report):
        facts.append("verified in LiteRT")
    return f"File: {path} ({', '.join(facts)})"
