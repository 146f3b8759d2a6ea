"""`tfticket explain FILE`."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tfticket.cli.common import (
    data_dir_option,
    in_file,
    json_option,
    out_file,
    print_columns,
    print_json,
)

_HEADER = (
    "layer", "weights", "zero", "zero as int", "may be zero", "alone", "moves", "kept", "moves",
)  # fmt: skip
_ALIKE = 3  # reasons of one kind that are shown
if TYPE_CHECKING:
    from tfticket.export.inspect.sensitivity import Sensitivity


@click.command()
@click.argument("file", type=in_file)
@click.option("--against", type=in_file, help="The dense network's file, to compare with.")
@click.option("--data", "data_name", help="Data to round layers on, as in recipes.")
@click.option(
    "--normalize",
    type=click.Choice(["none", "unit", "standard"]),
    help="How a .keras model was fed, as for `tfticket export`.",
)
@click.option(
    "--bits", type=click.IntRange(2, 16), default=8, show_default=True, help="Of rounded layers."
)
@click.option(
    "--reach",
    type=click.FloatRange(0, 1),
    help="Name the layers to leave in float for this accuracy.",
)
@data_dir_option
@click.option("--figure", type=out_file, help="Write the memory of each operator as .svg or .png.")
@json_option
def explain(
    file: Path, against: Path | None, figure: Path | None, as_json: bool, **options: Any
) -> None:
    """Say why a .tflite FILE isn't smaller or faster.

    Tensor by tensor and operator by operator, in plain words, with what would help; and where its
    memory goes: the bytes of activations that are alive while each operator runs.

    With --against it also counts multiply-adds and bytes moved of both, and estimates their energy
    from published numbers; that is no measurement of any device.

    With --data it measures what rounding costs: the accuracy, and how far outputs move, when each
    layer alone is rounded, and when all but it are; and how many of its weights could be zero at no
    cost. FILE is a .keras model then, or a .tflite file, of which only weights are rounded.

    \b
    tfticket explain net.int8.tflite
    tfticket explain ticket.tflite --against dense.tflite
    tfticket explain net.keras --data mnist --normalize unit --reach 0.97
    """
    if file.suffix == ".keras":
        _model(file, options, figure, as_json=as_json)
        return
    if options["data_name"] is None and options["reach"] is not None:
        raise click.UsageError("--reach is measured on data. Give --data.")
    if options["data_name"] is not None:
        _rounding(file, options, figure, as_json=as_json)
        return
    from tfticket.export.inspect.explain import explain_file

    said = explain_file(file, against)
    if figure is not None:
        said.plot().save(figure)
    if as_json:
        print_json(said.to_dict())
        return
    shown: Counter[str] = Counter()
    for reason in said.explanations:
        shown[reason.rule] += 1
        if shown[reason.rule] <= _ALIKE:
            click.echo(f"{reason.name or reason.kind}: {reason.fact}")
            click.echo(f"  {reason.remedy}" if reason.remedy else "")
    for rule, count in shown.items():
        if count > _ALIKE:
            click.echo(f"{rule}: {count - _ALIKE} more of this kind; --json has them all.")
    if not said.explanations:
        click.echo("Nothing that is known to keep it from being smaller or faster.")
    click.echo(f"memory: {said.memory.summary()}")
    for line in said.memory.lines():
        click.echo(f"  {line}")
    if said.energy is not None:
        print_columns(
            (row.name, f"{row.dense:.4g}", f"{row.ticket:.4g}", row.unit)
            for row in said.energy.rows
        )
        for sentence in said.energy.assumptions:
            click.echo(sentence)


def _rounding(file: Path, options: dict[str, Any], figure: Path | None, *, as_json: bool) -> None:
    """Explain what rounding the weights of a file costs."""
    from tfticket.cli.export import examples_of
    from tfticket.export.inspect.rounded_file import rounding_of_file

    raw, y = examples_of(options["data_name"], options["data_dir"])
    found = rounding_of_file(file, raw, y, bits=options["bits"], reach=options["reach"])
    _say(found, figure, as_json=as_json)
    if not as_json:
        click.echo("Only weights were rounded: the ranges of activations aren't in a file.")


def _model(file: Path, options: dict[str, Any], figure: Path | None, *, as_json: bool) -> None:
    """Explain what rounding costs a Keras model."""
    if options["data_name"] is None:
        raise click.UsageError("A .keras model is explained on data. Give --data.")
    from tfticket.cli.progress import on_stderr
    from tfticket.quiet import start_tensorflow

    start_tensorflow()
    from tfticket.runner.exporting import explain_model

    with on_stderr() as progress:
        found = explain_model(file, progress=progress, **options)
    _say(found, figure, as_json=as_json)


def _say(found: Sensitivity, figure: Path | None, *, as_json: bool) -> None:
    if figure is not None:
        found.plot().save(figure)
    if as_json:
        print_json(found.to_dict())
        return
    click.echo(found.summary())
    print_columns(
        [
            _HEADER,
            *(
                (
                    each.layer,
                    f"{each.weights:,}",
                    f"{each.zeros:.1%}",
                    f"{each.rounded_zeros:.1%}",
                    f"{each.free_zeros:.1%}",
                    f"{each.score_alone:.2%}",
                    f"{each.divergence_alone:.3g}",
                    f"{each.score_kept:.2%}",
                    f"{each.divergence_kept:.3g}",
                )
                for each in found.layers
            ),
        ]
    )
    click.echo(
        "alone: this layer rounded; kept: all others rounded; moves: root mean square difference "
        "of outputs, in standard deviations; may be zero: of the smallest weights, at no cost."
    )
