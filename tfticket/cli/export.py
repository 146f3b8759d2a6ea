"""`tfticket export RUN`."""

from __future__ import annotations

from pathlib import Path

import click

from tfticket.cli.common import (
    data_dir_option,
    json_option,
    print_columns,
    print_json,
    run_argument,
)


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
@data_dir_option
@json_option
def export(
    run: Path,
    level: int | None,
    seed: int | None,
    formats: tuple[str, ...],
    data_dir: Path | None,
    as_json: bool,
) -> None:
    """Export tickets of a RUN as .tflite files, run and compared.

    \b
    tfticket export runs/lth_digits/default --level 10 --format int8
    """
    from tfticket.cli.progress import on_stderr
    from tfticket.cli.quiet import start_tensorflow
    from tfticket.recipe.rundir import RunDir
    from tfticket.recipe.session import locked

    directory = RunDir(run)
    directory.resolved()  # not a run? Say so before TensorFlow starts, and lock nothing.
    start_tensorflow()
    from tfticket.export.result import FORMATS
    from tfticket.recipe.exporting import export_run

    chosen = [name for name in FORMATS if name in formats] or None
    with locked(directory), on_stderr() as progress:
        reports = export_run(
            run, level=level, seed=seed, formats=chosen, data_dir=data_dir, progress=progress
        )
    if as_json:
        print_json([report.to_dict() for report in reports])
    else:
        print_columns((str(report.path), f"{report.size_bytes:,}", "bytes") for report in reports)
