"""`tfticket fit`: from a model and a budget to a file for a device."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import click

from tfticket.cli.common import data_dir_option, json_option, model_argument, print_json

_TIME = re.compile(r"(\d+(?:\.\d+)?)\s*(us|ms|s)")
_MICROSECONDS = {"us": 1.0, "ms": 1e3, "s": 1e6}


class _Bytes(click.ParamType):  # type: ignore[type-arg, unused-ignore]
    name = "size"

    def convert(self, value: Any, param: Any, ctx: Any) -> int:
        """See `click.ParamType`."""
        from tfticket.errors import ExportError
        from tfticket.export.fitting.budget import parse_bytes

        try:
            return value if isinstance(value, int) else parse_bytes(value)
        except ExportError as error:
            self.fail(str(error), param, ctx)


class _Time(click.ParamType):  # type: ignore[type-arg, unused-ignore]
    name = "time"

    def convert(self, value: Any, param: Any, ctx: Any) -> float:
        """See `click.ParamType`; microseconds."""
        match = None if isinstance(value, float) else _TIME.fullmatch(value.strip())
        if isinstance(value, float):
            return value
        if match is None:
            self.fail(f"{value!r} is no time. Give a number with us, ms or s, such as 5ms.", param)
        return float(match[1]) * _MICROSECONDS[match[2]]


@click.command()
@model_argument
@click.option("--data", "data_name", required=True, help="Data to train and check on.")
@click.option(
    "--accuracy",
    type=click.FloatRange(0, 1, min_open=True),
    required=True,
    help="Smallest accuracy of the file on validation data, in (0, 1].",
)
@click.option("--flash", type=_Bytes(), help="Largest size of the file, such as 64K.")
@click.option("--ram", type=_Bytes(), help="Most memory for an inference, such as 20K.")
@click.option("--latency", type=_Time(), help="Longest time of an inference here, such as 5ms.")
@click.option(
    "--target",
    type=click.Choice(["micro", "phone"]),
    default="micro",
    show_default=True,
    help="TensorFlow Lite Micro, with C sources; or LiteRT.",
)
@click.option(
    "--normalize",
    type=click.Choice(["none", "unit", "standard"]),
    help="How the model was fed.  [default: none, or as the run of the model says]",
)
@click.option(
    "--steps",
    type=click.IntRange(min=1),
    help="Training steps after each round.  [default: three passes, at least 200]",
)
@click.option(
    "--learning-rate",
    type=click.FloatRange(0, min_open=True),
    default=1e-3,
    show_default=True,
    help="Of Adam at the beginning of each round.",
)
@click.option(
    "--batch-size",
    type=click.IntRange(min=1),
    default=64,
    show_default=True,
    help="Examples a step.",
)
@click.option(
    "--trained-steps",
    type=click.IntRange(min=0),
    default=0,
    help="Steps that MODEL was trained for; the control gets as many more.",
)
@click.option(
    "--control/--no-control",
    default=True,
    show_default=True,
    help="Hold it against a small dense network, trained as long.",
)
@click.option(
    "--keep",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for finished rounds, to resume from.",
)
@click.option("--seed", type=click.IntRange(min=0), default=0, help="Random seed.")
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The .tflite file to write.  [default: MODEL.fit.tflite]",
)
@data_dir_option
@json_option
def fit(model_file: Path, as_json: bool, **options: Any) -> None:
    """Fit a trained classifier into a device's budget.

    Channels are taken out round by round, with training between, until the int8 file keeps the
    budget. It is then held against a small dense network of as many bytes. Ends with 1 if the
    budget is out of reach; nothing is written then.

    \b
    tfticket fit net.keras --data mnist --normalize unit --flash 64K --ram 20K --accuracy 0.95
    """
    if options["flash"] is options["ram"] is options["latency"] is None:
        raise click.UsageError("Give --flash, --ram or --latency, one of them at least.")
    if options["latency"] is not None and options["target"] == "micro":
        raise click.UsageError(
            "--latency is measured on this machine, which says nothing of a microcontroller. Leave "
            "it out, or give --target phone."
        )
    from tfticket.cli.progress import on_stderr
    from tfticket.quiet import start_tensorflow

    start_tensorflow()
    from tfticket.export.fitting.budget import Budget
    from tfticket.runner.exporting import fit_file

    with on_stderr() as progress:
        found = fit_file(
            model_file,
            options["output"] or model_file.with_suffix(".fit.tflite"),
            Budget(options["accuracy"], options["flash"], options["ram"], options["latency"]),
            data_name=options["data_name"],
            data_dir=options["data_dir"],
            normalize=options["normalize"],
            target=options["target"],
            steps=options["steps"],
            learning_rate=options["learning_rate"],
            batch_size=options["batch_size"],
            trained_steps=options["trained_steps"],
            control=options["control"],
            folder=options["keep"],
            seed=options["seed"],
            progress=progress,
        )
    if as_json:
        print_json(found.to_dict())
    else:
        click.echo(found.reason, err=True)
        for path in found.files:
            click.echo(path)
    if not found.met:
        raise click.exceptions.Exit(1)
