"""`tfticket norms`: swap, fold and check the normalization of a model file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tfticket.cli.common import (
    check_output,
    columns,
    in_file,
    json_option,
    model_argument,
    out_file,
    overwrite_option,
    print_columns,
    print_json,
)

if TYPE_CHECKING:
    import keras

output_option = click.option(
    "-o",
    "--output",
    type=out_file,
    help="The .keras file to write.  [default: MODEL's name and what was done]",
)
_SHOWN_LAYERS = 3


@click.group()
def norms() -> None:
    """Swap, fold and check normalization."""


@norms.command(name="list")
@json_option
def list_kinds(as_json: bool) -> None:
    """List the kinds of normalization and their options.

    \b
    tfticket norms list
    """
    from tfticket.quiet import start_tensorflow

    start_tensorflow()
    from tfticket.norms.catalog import NORMS, options_of

    options = {kind: options_of(kind) for kind in NORMS}
    if as_json:
        print_json(options)
        return
    common = options["layer"]
    print_columns(
        (kind, ", ".join(name for name in names if name not in common))
        for kind, names in options.items()
    )
    click.echo(f"Nearly all take: {', '.join(common)}.", err=True)


@norms.command()
@model_argument
@click.option(
    "--to", required=True, metavar="KIND", help="Normalization to swap to; see `norms list`."
)
@click.option(
    "--where",
    multiple=True,
    metavar="PATTERN",
    help="Swap only the norms whose key matches, such as 'block1_*'. Can be repeated.",
)
@click.option(
    "--option",
    "options",
    multiple=True,
    metavar="NAME=VALUE",
    help="An option of the kind, such as groups=16. Can be repeated.",
)
@click.option(
    "--match",
    type=in_file,
    help="An .npy file of some hundred inputs: set scales and shifts so that channels keep their "
    "mean and standard deviation on them.",
)
@click.option(
    "--bias/--no-bias",
    default=True,
    help="With --to none: give layers without a bias the shift of their norm.  [default: bias]",
)
@output_option
@overwrite_option
@json_option
def swap(
    model_file: Path,
    to: str,
    where: Sequence[str],
    options: Sequence[str],
    match: Path | None,
    bias: bool,
    output: Path | None,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Give a copy of MODEL another normalization.

    MODEL is a .keras file. The copy keeps all other weights. It must be trained, less so with
    --match, which keeps most of the accuracy of a trained network.

    \b
    tfticket norms swap model.keras --to group --option groups=16 --match inputs.npy
    """
    given = dict(_option(text) for text in options)
    output = _output(model_file, output, to, overwrite=overwrite)
    model = _load(model_file)
    from tfticket import models
    from tfticket.norms.swap import swap_norm

    inputs = None if match is None else _inputs(match, model)
    swapped, report = swap_norm(
        model, to, where=where or None, match=inputs, add_bias=bias, **given
    )
    models.save_file(swapped, output)
    if as_json:
        print_json({"output": output, **asdict(report)})
        return
    filled = [column for column in zip(*report.rows(), strict=True) if any(column)]
    print_columns(zip(*filled, strict=True))
    for key in report.closed:
        click.echo(f"not swapped: {key}, inside a layer that can't be rebuilt", err=True)
    for key, why in report.left.items():
        click.echo(f"not swapped: {key}, {why}", err=True)
    if report.needs_statistics and match is None:
        click.echo("Moving statistics are new: train, or recalibrate them on data.", err=True)
    click.echo(output)


@norms.command()
@model_argument
@output_option
@overwrite_option
@json_option
def fold(model_file: Path, output: Path | None, overwrite: bool, as_json: bool) -> None:
    """Fold the batch normalization of MODEL into the layers around it.

    MODEL is a .keras file. The copy gives the same outputs, and isn't for training.

    \b
    tfticket norms fold model.keras -o small.keras
    """
    output = _output(model_file, output, "folded", overwrite=overwrite)
    model = _load(model_file)
    from tfticket import models
    from tfticket.norms.folding import fold_batch_norm

    folded = fold_batch_norm(model)
    models.save_file(folded.model, output)
    if as_json:
        print_json({"output": output, "folded": folded.folded, "left": folded.left})
        return
    rows = [(norm, f"into {layer}") for norm, layer in folded.folded.items()]
    rows += [(norm, f"left: {why}") for norm, why in folded.left.items()]
    print_columns(rows)
    click.echo(output)


@norms.command()
@model_argument
@click.option(
    "--batch-size", type=click.IntRange(min=1), help="Batch size of training, on one device."
)
@json_option
def doctor(model_file: Path, batch_size: int | None, as_json: bool) -> None:
    """Find known mistakes in the normalization of MODEL.

    MODEL is a .keras file, which isn't changed. Each finding names a remedy.

    \b
    tfticket norms doctor model.keras --batch-size 4
    """
    model = _load(model_file)
    from tfticket.norms.doctor import diagnose

    findings = diagnose(model, batch_size=batch_size)
    if as_json:
        print_json([asdict(finding) for finding in findings])
        return
    for finding in findings:
        more = len(finding.layers) - _SHOWN_LAYERS
        layers = ", ".join(finding.layers[:_SHOWN_LAYERS])
        layers += f" and {more} more" if more > 0 else ""
        click.echo(f"{finding.severity}: {finding.code}: {layers}")
        rows = [("what", finding.what), ("remedy", finding.remedy), ("see", finding.reference)]
        for line in columns(row for row in rows if row[1]):
            click.echo(f"  {line}")
    if not findings:
        click.echo("No known mistakes.")
    if batch_size is None:
        click.echo("Batches weren't checked: give --batch-size.", err=True)


def _load(path: Path) -> keras.Model:
    from tfticket.quiet import start_tensorflow

    start_tensorflow()
    from tfticket import models
    from tfticket.norms import catalog  # noqa: F401  (files may hold its layers,
    from tfticket.sparsity import wrapper  # noqa: F401  and layers with masks)

    return models.load_file(path)


def _inputs(path: Path, model: keras.Model) -> Any:
    from tfticket.reading import UnreadableError, read_npy

    try:
        inputs = read_npy(path)
    except UnreadableError as error:
        raise click.BadParameter(f"{path}: {error}.", param_hint="--match") from error
    shape, takes = inputs.shape[1:], [tuple(x.shape[1:]) for x in model.inputs]
    if len(takes) != 1 or not (
        len(takes[0]) == len(shape)
        and all(size in (None, given) for size, given in zip(takes[0], shape, strict=True))
    ):
        raise click.BadParameter(
            f"the model takes {takes}, and {path} holds examples of shape {shape}.",
            param_hint="--match",
        )
    return inputs


def _output(model: Path, output: Path | None, done: str, *, overwrite: bool) -> Path:
    path = output or model.with_name(f"{model.stem}-{done}.keras")
    check_output(path, overwrite=overwrite)
    return path


def _option(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise click.BadParameter(f"{text!r} isn't NAME=VALUE.", param_hint="--option")
    try:
        return name, json.loads(value)
    except json.JSONDecodeError:
        return name, value  # a word, such as the name of an initializer
