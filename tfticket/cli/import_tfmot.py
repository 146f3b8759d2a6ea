"""`tfticket import-tfmot LEGACY`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from tfticket.cli.common import json_option, print_columns, print_json

if TYPE_CHECKING:
    from tfticket.interop.tfmot import ImportReport


@click.command(name="import-tfmot")
@click.argument("legacy", type=click.Path(dir_okay=False, path_type=Path))
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The .keras file to write.  [default: LEGACY's name and -keras3]",
)
@click.option(
    "--ticket",
    "ticket_file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The ticket file to write.  [default: beside the .keras file, as .npz]",
)
@click.option("--overwrite", is_flag=True, help="Write over files that are there.")
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    default=300.0,
    show_default=True,
    help="Seconds that tf_keras may take.",
)
@json_option
def import_tfmot(
    legacy: Path,
    output: Path | None,
    ticket_file: Path | None,
    overwrite: bool,
    timeout: float,
    as_json: bool,
) -> None:
    """Bring a model that tfmot pruned to Keras 3.

    With its mask as a ticket.

    LEGACY is an .h5 or .keras file of tf_keras, pruned by tensorflow-model-optimization, with its
    wrappers or after strip_pruning. tf_keras loads it in a process of its own, and both models must
    give the same outputs.

    \b
    tfticket import-tfmot pruned.h5 -o pruned.keras
    """
    output = output or legacy.with_name(f"{legacy.stem}-keras3.keras")
    ticket_file = ticket_file or output.with_suffix(".npz")
    if output.suffix != ".keras":
        raise click.BadParameter("the name must end in .keras.", param_hint="--output")
    for path, option in ((output, "--output"), (ticket_file, "--ticket")):
        if path.exists() and not overwrite:
            raise click.BadParameter(f"{path} exists; give --overwrite.", param_hint=option)
    from tfticket.cli.quiet import start_tensorflow
    from tfticket.interop.compatibility import check_importable
    from tfticket.interop.legacy_file import read_legacy_file

    # Refuse the file before TensorFlow starts.
    check_importable(read_legacy_file(legacy).model, source=f"`{legacy}`")
    start_tensorflow()
    from tfticket.interop.tfmot import import_tfmot

    imported = import_tfmot(legacy, timeout=timeout)
    imported.save(output, ticket_file)
    if as_json:
        print_json({"model": output, "ticket": ticket_file, **imported.report.to_dict()})
        return
    _print(imported.report)
    click.echo(output)
    click.echo(ticket_file)


def _print(report: ImportReport) -> None:
    rows = [(key, kept, report.total[key]) for key, kept in report.kept.items()]
    everything = ("all", sum(report.kept.values()), sum(report.total.values()))
    print_columns(
        (key, f"{kept:,}", "of", f"{total:,}", f"{100 * kept / total:.2f} %")
        for key, kept, total in [*rows, everything]
    )
    for line in report.remarks():
        click.echo(line, err=True)
