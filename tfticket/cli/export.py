"""`tfticket export RUN`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from tfticket.cli.common import json_option, print_columns, print_json, run_argument


@click.command()
@run_argument
@click.option("--level", type=click.IntRange(min=0), help="Level.  [default: as the recipe says]")
@click.option("--seed", type=click.IntRange(min=0), help="Seed.  [default: the first]")
@click.option(
    "--format",
    "formats",
    multiple=True,
    type=click.Choice(["fp32", "fp16", "dynamic", "int8"]),
    help="Format; can be repeated.  [default: as the recipe says]",
)
@json_option
def export(
    run: Path, level: int | None, seed: int | None, formats: tuple[str, ...], as_json: bool
) -> None:
    """Export tickets of a RUN as .tflite files, run and compared.

    \b
    tfticket export runs/lth_digits/default --level 10 --format int8
    """
    from tfticket.cli.quiet import start_tensorflow

    start_tensorflow()
    from tfticket.export import export_run

    reports = export_run(run, level=level, seed=seed, formats=list(formats) or None)
    if as_json:
        print_json([asdict(report) for report in reports])
    else:
        print_columns((str(report.path), f"{report.size_bytes:,}", "bytes") for report in reports)
