"""`tfticket runs`: what has been run, and what can be resumed."""

from __future__ import annotations

from pathlib import Path

import click

from tfticket.cli.common import json_option, print_columns, print_json, runs_option


@click.group(invoke_without_command=True)
@click.pass_context
def runs(context: click.Context) -> None:
    """Look at the runs of a folder. Without a command: list."""
    if context.invoked_subcommand is None:
        context.invoke(list_, runs_root=Path("runs"))


@runs.command("list")
@runs_option
@json_option
def list_(runs_root: Path, as_json: bool = False) -> None:
    """List runs: complete, or how many levels are finished.

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
