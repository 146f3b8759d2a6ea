"""`tfticket runs`: what has been run, and what can be resumed."""

from __future__ import annotations

from pathlib import Path

import click

from tfticket.cli.common import (
    ListByDefault,
    json_option,
    print_columns,
    print_json,
    runs_option,
)


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
    from tfticket.recipe.runs import list_runs

    entries = list_runs(runs_root)
    if as_json:
        print_json([{**vars(entry), "path": str(entry.path)} for entry in entries])
    elif entries:
        print_columns((str(entry.path), entry.state, entry.started) for entry in entries)
    else:
        click.echo(f"No runs in {runs_root}.", err=True)
