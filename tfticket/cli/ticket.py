"""`tfticket ticket`: show a ticket file, apply it to another model; `tfticket import-tfmot`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import click

from tfticket.cli.common import (
    check_output,
    in_file,
    json_option,
    out_file,
    overwrite_option,
    print_columns,
    print_json,
    printable,
)

ticket_argument = click.argument(
    "ticket_file", metavar="TICKET", type=click.Path(dir_okay=False, path_type=Path)
)


@click.group()
def ticket() -> None:
    """Show tickets, and apply them to other models."""


@ticket.command()
@ticket_argument
@json_option
def show(ticket_file: Path, as_json: bool) -> None:
    """Show what a TICKET or .tflite file holds.

    What it keeps, and which recipe, seed and versions it comes from.

    \b
    tfticket ticket show runs/lth_digits/default/seeds/seed_0/ticket/level_05.npz
    tfticket ticket show net.tflite
    """
    if ticket_file.suffix == ".tflite":
        _show_file(ticket_file, as_json=as_json)
        return
    from tfticket.lottery.ticket import Ticket

    found = Ticket.load(ticket_file)
    mask = found.mask
    if as_json:
        print_json(
            {
                "level": found.level,
                "rewind_step": found.rewind_step,
                "density": mask.density,
                "kept": mask.counts(),
                "shapes": mask.shapes,
                "sha256": found.sha256,
                "provenance": dict(found.provenance),
            }
        )
        return
    click.echo(f"Level {found.level}, weights of step {found.rewind_step}, hash {found.sha256}")
    _print_kept((key, kept, mask[key].size) for key, kept in mask.counts().items())
    for name, value in found.provenance.items():
        click.echo(printable(f"{name}: {value}"))


def _print_kept(rows: Iterable[tuple[str, int, int]]) -> None:
    """Print the kept weights and the size of each array, and of all."""
    rows = list(rows)
    rows.append(("all", sum(kept for _, kept, _ in rows), sum(size for *_, size in rows)))
    print_columns(
        (printable(key), f"{kept:,}", "of", f"{size:,}", f"{100 * kept / max(size, 1):.2f} %")
        for key, kept, size in rows
    )


def _show_file(path: Path, *, as_json: bool) -> None:
    from tfticket.quiet import start_tensorflow

    start_tensorflow()
    from tfticket.export.metadata import read_provenance

    about = read_provenance(path)
    if as_json:
        print_json(about)
        return
    origin = about.pop("provenance", {})
    for name, value in {**about, **origin}.items():
        click.echo(f"{name}: {value}")


@ticket.command()
@ticket_argument
@click.argument("model", type=in_file)
@click.option("-o", "--output", required=True, type=out_file, help="The .keras file to write.")
def apply(ticket_file: Path, model: Path, output: Path) -> None:
    """Apply a TICKET to a copy of MODEL, and list what doesn't fit.

    MODEL is a .keras file. The copy keeps the mask in any further training.

    \b
    tfticket ticket apply level_05.npz model.keras -o sparse.keras
    """
    from tfticket.lottery.ticket import Ticket
    from tfticket.quiet import start_tensorflow

    check_output(output, overwrite=True)
    found = Ticket.load(ticket_file)
    start_tensorflow()
    from tfticket import models
    from tfticket.lottery.transfer import transfer

    result = transfer(found, models.load_file(model))
    for key, (in_ticket, in_model) in result.misfits.items():
        click.echo(f"not taken over: {key}, ticket {in_ticket}, model {in_model}", err=True)
    models.save_file(result.model, output)
    click.echo(output)


@click.command(name="import-tfmot")
@click.argument("legacy", type=click.Path(dir_okay=False, path_type=Path))
@click.option(
    "-o",
    "--output",
    type=out_file,
    help="The .keras file to write.  [default: LEGACY's name and -keras3]",
)
@click.option(
    "--ticket",
    "ticket_file",
    type=out_file,
    help="The ticket file to write.  [default: beside the .keras file, as .npz]",
)
@overwrite_option
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
    """Convert a model that tfmot pruned to Keras 3.

    Its mask becomes a ticket.

    LEGACY is an .h5 or .keras file of tf_keras, pruned by tensorflow-model-optimization, with its
    wrappers or after strip_pruning. tf_keras loads it in a process of its own, and both models must
    give the same outputs.

    \b
    tfticket import-tfmot pruned.h5 -o pruned.keras
    """
    output = output or legacy.with_name(f"{legacy.stem}-keras3.keras")
    ticket_file = ticket_file or output.with_suffix(".npz")
    check_output(output, overwrite=overwrite)
    check_output(ticket_file, "--ticket", overwrite=overwrite)
    from tfticket.interop.compatibility import check_importable
    from tfticket.interop.legacy_file import read_legacy_file
    from tfticket.quiet import start_tensorflow

    # A model that can't be imported is refused before TensorFlow starts.
    check_importable(read_legacy_file(legacy).model, source=f"`{legacy}`")
    start_tensorflow()
    from tfticket.interop.tfmot import import_tfmot

    imported = import_tfmot(legacy, timeout=timeout)
    imported.save(output, ticket_file)
    if as_json:
        print_json({"model": output, "ticket": ticket_file, **imported.report.to_dict()})
        return
    report = imported.report
    _print_kept((key, kept, report.total[key]) for key, kept in report.kept.items())
    for line in report.remarks():
        click.echo(line, err=True)
    click.echo(output)
    click.echo(ticket_file)
