"""`tfticket fit`: from a model and a budget to a file for a device."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tfticket.cli.common import (
    InterruptError,
    Invocation,
    complete_recipe,
    data_dir_option,
    interruptible,
    json_option,
    out_folder,
    parse_seeds,
    print_json,
)

if TYPE_CHECKING:
    from tfticket.runner.fitted_seeds import FittedSeeds

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
@click.argument("model", metavar="MODEL|RECIPE", shell_complete=complete_recipe)
@click.option("--data", "data_name", help="Data to train and check MODEL on; a recipe has its own.")
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
    help="How MODEL was fed.  [default: none, or as the run of the model says]",
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
    "--batch-size", type=click.IntRange(min=1), help="Examples a step of MODEL.  [default: 64]"
)
@click.option(
    "--trained-steps",
    type=click.IntRange(min=0),
    help="Steps that MODEL was trained for; the control gets as many more.  [default: 0]",
)
@click.option(
    "--control/--no-control",
    default=True,
    show_default=True,
    help="Hold it against a small dense network, trained as long.",
)
@click.option(
    "--seeds",
    callback=parse_seeds,
    metavar="SEEDS",
    help="Random seeds, like 0,2,5-7; several give intervals.  [default: 0, or the recipe's]",
)
@click.option(
    "-o", "--output", type=out_folder, help="Folder to write to, or to resume.  [default: NAME.fit]"
)
@data_dir_option
@json_option
@click.pass_obj
def fit(invocation: Invocation, model: str, as_json: bool, **options: Any) -> None:
    """Fit a classifier into the budget of a device.

    MODEL is a trained classifier; a RECIPE trains its network with each of its seeds first.
    Channels are taken out round by round, with training between, until the file keeps the budget.
    It is then held against a small dense network of as many bytes. The folder holds the file, what
    belongs to it, and a page; the same command resumes. Ends with 1 if the budget is out of reach.

    \b
    tfticket fit net.keras --data mnist --normalize unit --flash 64K --ram 20K --accuracy 0.95
    tfticket fit edge_digits --flash 16K --accuracy 0.95 --seeds 0-2
    """
    if options["flash"] is options["ram"] is options["latency"] is None:
        raise click.UsageError("Give --flash, --ram or --latency, one of them at least.")
    if options["latency"] is not None and options["target"] == "micro":
        raise click.UsageError(
            "--latency is measured on this machine, which says nothing of a microcontroller. Leave "
            "it out, or give --target phone."
        )
    if options["output"] is not None and options["output"].suffix == ".tflite":
        raise click.BadParameter(
            "it names a folder, which will hold the file and what belongs to it.",
            param_hint="--output",
        )
    path = _model_file(model, options)
    try:
        with interruptible():
            found = _fit(model, path, invocation, options)
    except KeyboardInterrupt:
        raise InterruptError(
            f"Finished rounds are kept.\nResume with:\n  {invocation.again()}"
        ) from None
    if as_json:
        print_json(found.to_dict())
    else:
        click.echo(found.reason, err=True)
        for file in found.files:
            click.echo(file)
    if not found.met:
        raise click.exceptions.Exit(1)


_OF_MODELS = ("data_name", "normalize", "batch_size", "trained_steps")


def _model_file(model: str, options: dict[str, Any]) -> Path | None:
    """Return the path of a model, with its data; None for a recipe, which has them itself."""
    if Path(model).suffix == ".keras":
        if not Path(model).is_file():
            raise click.BadParameter(f"{model} doesn't exist.", param_hint="MODEL")
        if options["data_name"] is None:
            raise click.UsageError("Give --data: what MODEL is trained and checked on.")
        return Path(model)
    given = [f"--{name.removesuffix('_name')}" for name in _OF_MODELS if options[name] is not None]
    if given:
        raise click.UsageError(
            f"{model} isn't a .keras file but a recipe, which says by itself what "
            f"{given[0].replace('_', '-')} would. Leave it out."
        )
    return None


def _fit(
    model: str, path: Path | None, invocation: Invocation, options: dict[str, Any]
) -> FittedSeeds:
    from tfticket.cli.progress import on_stderr
    from tfticket.quiet import start_tensorflow
    from tfticket.recipe import catalog, parsing

    loaded = None
    if path is None:
        loaded = parsing.load(catalog.find(model), seeds=options["seeds"])
    start_tensorflow()
    from tfticket.export.fitting.budget import Budget
    from tfticket.runner.fitted_seeds import Settings
    from tfticket.runner.fitting import fit_file, fit_recipe

    settings = Settings(
        Budget(options["accuracy"], options["flash"], options["ram"], options["latency"]),
        options["target"],
        options["steps"],
        options["learning_rate"],
        options["control"],
    )
    command = invocation.again()
    with on_stderr() as progress:
        if loaded is not None:
            folder = options["output"] or Path(f"{loaded.name}.fit")
            return fit_recipe(
                loaded, folder, settings, data_dir=options["data_dir"], command=command,
                progress=progress,
            )  # fmt: skip
        assert path is not None
        return fit_file(
            path,
            options["output"] or path.with_suffix(".fit"),
            settings,
            data_name=options["data_name"],
            data_dir=options["data_dir"],
            normalize=options["normalize"],
            batch_size=options["batch_size"] or 64,
            trained_steps=options["trained_steps"] or 0,
            seeds=options["seeds"] or (0,),
            command=command,
            progress=progress,
        )
