"""`tfticket ticket`: look at a ticket file, put it into another model."""

from __future__ import annotations

from pathlib import Path

import click

from tfticket.cli.common import json_option, print_columns, print_json, printable

ticket_argument = click.argument(
    "ticket_file", metavar="TICKET", type=click.Path(dir_okay=False, path_type=Path)
)


@click.group()
def ticket() -> None:
    """Look at tickets, and use them in other models."""


@ticket.command()
@ticket_argument
@json_option
def show(ticket_file: Path, as_json: bool) -> None:
    """Show what a TICKET file holds, or a .tflite file.

    What it keeps, and where it comes from: recipe, seed, hashes, versions.

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
    rows = [(key, kept, mask[key].size) for key, kept in mask.counts().items()]
    print_columns(
        (printable(key), f"{kept:,}", "of", f"{size:,}", f"{100 * kept / max(size, 1):.2f} %")
        for key, kept, size in [*rows, ("all", mask.kept, mask.total)]
    )
    for name, value in found.provenance.items():
        click.echo(printable(f"{name}: {value}"))


def _show_file(path: Path, *, as_json: bool) -> None:
    from tfticket.cli.quiet import start_tensorflow

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
@click.argument("model", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="The .keras file to write.",
)
def apply(ticket_file: Path, model: Path, output: Path) -> None:
    """Put a TICKET into a copy of MODEL, and tell what doesn't fit.

    MODEL is a .keras file. The copy keeps the mask in any further training.

    \b
    tfticket ticket apply level_05.npz model.keras -o sparse.keras
    """
    from tfticket.cli.quiet import start_tensorflow
    from tfticket.lottery.ticket import Ticket

    if output.suffix != ".keras":
        raise click.BadParameter("the name must end in .keras.", param_hint="--output")
    found = Ticket.load(ticket_file)
    start_tensorflow()
    from tfticket import models
    from tfticket.lottery.transfer import transfer

    result = transfer(found, models.load_file(model))
    for key, (in_ticket, in_model) in result.misfits.items():
        click.echo(f"not taken over: {key}, ticket {in_ticket}, model {in_model}", err=True)
    models.save_file(result.model, output)
    click.echo(output)
