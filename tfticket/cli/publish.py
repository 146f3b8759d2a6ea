"""`tfticket publish RUN`."""

from __future__ import annotations

from pathlib import Path

import click

from tfticket.cli.common import run_argument


@click.command()
@run_argument
@click.option(
    "--root",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("saved_models"),
    show_default=True,
    help="Folder of the published artifacts.",
)
def publish(run: Path, root: Path) -> None:
    """Copy what is worth keeping of a RUN, with a card.

    \b
    tfticket publish runs/lth_mnist/default
    """
    from tfticket.recipe.publish import publish as publish_run

    click.echo(publish_run(run, root))
