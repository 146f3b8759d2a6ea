"""`tfticket report RUN`."""

from __future__ import annotations

from pathlib import Path

import click

from tfticket.cli.common import json_option, print_json, run_argument


@click.command()
@run_argument
@json_option
def report(run: Path, as_json: bool) -> None:
    """Make the report of a RUN again, and print where it is.

    The run need not be complete. With --json, print the summary and write nothing.

    \b
    tfticket report runs/lth_digits/default
    """
    if as_json:
        from tfticket.studies.summaries import summarize

        print_json(summarize(run).to_dict())
    else:
        from tfticket.studies import report

        click.echo(report.render(run))
