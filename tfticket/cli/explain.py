"""`tfticket explain FILE`."""

from __future__ import annotations

from pathlib import Path

import click

from tfticket.cli.common import json_option, print_columns, print_json

_file = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command()
@click.argument("file", type=_file)
@click.option("--against", type=_file, help="The dense network's file, to compare with.")
@json_option
def explain(file: Path, against: Path | None, as_json: bool) -> None:
    """Say why a .tflite FILE isn't smaller or faster.

    Tensor by tensor and operator by operator, in plain words, with what would help.

    With --against it also counts multiply-adds and bytes moved of both, and estimates their energy
    from published numbers; that is no measurement of any device.

    \b
    tfticket explain net.int8.tflite
    tfticket explain ticket.tflite --against dense.tflite
    """
    from tfticket.export.inspect.explain import explain_file

    said = explain_file(file, against)
    if as_json:
        print_json(said.to_dict())
        return
    for reason in said.explanations:
        click.echo(f"{reason.name or reason.kind}: {reason.fact}")
        click.echo(f"  {reason.remedy}" if reason.remedy else "")
    if not said.explanations:
        click.echo("Nothing that is known to keep it from being smaller or faster.")
    if said.energy is not None:
        print_columns(
            (row.name, f"{row.dense:.4g}", f"{row.ticket:.4g}", row.unit)
            for row in said.energy.rows
        )
        for sentence in said.energy.assumptions:
            click.echo(sentence)
