"""`tfticket export`: the best file for a target, all files of a recipe, or a check of a file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tfticket.cli.common import (
    columns,
    data_dir_option,
    in_file,
    json_option,
    out_file,
    print_columns,
    print_json,
)
from tfticket.errors import ExportError

if TYPE_CHECKING:
    from tfticket.export.facade import Exported

_FORMATS = (
    "fp32", "fp16", "dynamic", "int8", "int16x8", "int4", "sparse_fc", "sparse_fc_fast",
    "sparse_conv",
)  # fmt: skip
_OF_MODELS = ("output", "ticket_path", "data_name", "ends", "keep_float")
_TARGETS = ("phone", "micro", "smallest", "fastest")


@click.command()
@click.argument("source", type=click.Path(exists=True, path_type=Path))
@click.option("--check", "only_check", is_flag=True, help="Verify SOURCE, a .tflite file.")
@click.option(
    "--timeout",
    type=click.FloatRange(0, min_open=True),
    help="Seconds that --check may compute.  [default: 15, and 2 for each MiB of the file]",
)
@click.option(
    "--runtimes",
    is_flag=True,
    default=None,
    help="With --check: compare the answers of all runtimes, operator by operator.",
)
@click.option(
    "--target",
    type=click.Choice(_TARGETS),
    help="Try all formats, write the best. With --check: micro, whether it runs there.",
)
@click.option("--level", type=click.IntRange(min=0), help="Level.  [default: as the recipe says]")
@click.option("--seed", type=click.IntRange(min=0), help="Seed.  [default: the first]")
@click.option(
    "--format",
    "formats",
    multiple=True,
    type=click.Choice(_FORMATS),
    help="Format; can be repeated.  [default: as the recipe or the target says]",
)
@click.option(
    "--ends",
    type=click.Choice(["int8", "int16", "uint8", "float32"]),
    help="Type of inputs and outputs of int8 and int16x8 files of a .keras model.",
)
@click.option(
    "--keep-float",
    multiple=True,
    metavar="LAYER",
    help="Layer of a .keras model that stays in float in an int8 file; can be repeated. "
    "`tfticket explain MODEL.keras --data` tells which help.",
)
@click.option(
    "--data",
    "data_name",
    help="Data for a .keras or .tflite file, as in recipes; of several inputs or outputs "
    "npz:PATH, with an array by the name of each.",
)
@click.option(
    "--normalize",
    type=click.Choice(["none", "unit", "standard"]),
    help="How a .keras model was fed: with the numbers in DATA, scaled to [0, 1], or "
    "standardized.  [default: none; for a model of a run, as its recipe says]",
)
@click.option(
    "--ticket", "ticket_path", type=in_file, help="The ticket that a .keras model was trained with."
)
@click.option(
    "--margin",
    type=click.FloatRange(0, 1, max_open=True),
    default=0.005,
    show_default=True,
    help="Accuracy that a format may cost.",
)
@click.option("-o", "--output", type=out_file, help="The file to write.")
@data_dir_option
@json_option
def export(source: Path, only_check: bool, **options: Any) -> None:
    """Export networks to .tflite and verify them in LiteRT.

    SOURCE is a run, a ticket of a run, or a .keras model. Each file is compared with Keras.

    Without --target a run is exported as its recipe says. With it, every format that the target
    allows is tried on this machine, and the best that keeps the accuracy is written.

    \b
    tfticket export runs/lth_digits/default --level 10 --format int8
    tfticket export runs/lth_digits/default --target micro
    tfticket export net.keras --target smallest --data mnist --normalize unit -o net.tflite
    tfticket export --check net.tflite
    tfticket export --check net.tflite --target micro --runtimes
    """
    options["keep_float"] = options["keep_float"] or None
    if not only_check:
        _refuse(options, "timeout", "runtimes", why="belongs to --check")
    if only_check:
        _check(source, options)
    elif source.suffix == ".keras":
        _model(source, options)
    elif wrong := _wrong_kind(source):
        raise ExportError(wrong)
    elif source.is_dir() and options["target"] is None:
        _run(source, options)
    else:
        _target(source, options)


_OTHERS = {
    ".tflite": "is a file for devices already. Verify it with --check, or see why it isn't smaller "
    "by `tfticket explain`. To make others of it, export the model that it was made of.",
    ".h5": "is a Keras file of the older kind. Save it anew: keras.saving.load_model(...)."
    "save('model.keras'). A model that tensorflow-model-optimization pruned comes over by "
    "`tfticket import-tfmot`.",
    ".pb": "is a frozen graph or a SavedModel, in which the layers are gone. Save the Keras model "
    "that it was made of, as .keras.",
    ".onnx": "is a file of another library. Build the network in Keras, and save it as .keras.",
    ".json": "describes a model, without its weights. Save the Keras model whole, as .keras.",
}
_OTHERS |= {".hdf5": _OTHERS[".h5"], ".pt": _OTHERS[".onnx"], ".pth": _OTHERS[".onnx"]}
_TAKES = "`tfticket export` takes a run directory, a ticket of a run (.npz) or a .keras model."


def _wrong_kind(source: Path) -> str | None:
    """Explain why a source is no run, ticket or model, and what to do; None where it may be one."""
    if source.name.endswith(".weights.h5"):
        return f"`{source}` holds weights without their model. {_TAKES} Save the model whole."
    if source.is_dir():
        return f"`{source}` {_OTHERS['.pb']} {_TAKES}" if _is_saved_model(source) else None
    if source.suffix == ".npz":
        return None
    other = _OTHERS.get(source.suffix.lower(), "is none of what can be exported.")
    return f"`{source}` {other} {_TAKES}"


def _is_saved_model(folder: Path) -> bool:
    return (folder / "saved_model.pb").is_file()


def _run(run: Path, options: dict[str, Any]) -> None:
    """Export all that the recipe asks for."""
    from tfticket.cli.progress import on_stderr
    from tfticket.quiet import start_tensorflow
    from tfticket.runs.rundir import RunDir
    from tfticket.runs.session import locked

    _refuse(options, *_OF_MODELS, why="belongs to a model file")
    directory = RunDir(run)
    directory.resolved()  # not a run? Say so before TensorFlow starts, and lock nothing.
    start_tensorflow()
    from tfticket.runner.exporting import export_run

    with locked(directory), on_stderr() as progress:
        reports = export_run(
            run,
            level=options["level"],
            seed=options["seed"],
            formats=_formats(options),
            data_dir=options["data_dir"],
            progress=progress,
        )
    if options["as_json"]:
        print_json([report.to_dict() for report in reports])
    else:
        print_columns((str(report.path), f"{report.size_bytes:,}", "bytes") for report in reports)


def _target(source: Path, options: dict[str, Any]) -> None:
    """Export the best file of one network of a run."""
    from tfticket.cli.progress import on_stderr
    from tfticket.quiet import start_tensorflow
    from tfticket.runs.rundir import RunDir
    from tfticket.runs.session import locked

    _refuse(options, *_OF_MODELS, why="belongs to a model file")
    if source.is_dir():
        RunDir(source).resolved()
    start_tensorflow()
    from tfticket.runner.exporting import export_run_for, place_of

    run, seed, level = source, options["seed"], options["level"]
    if not source.is_dir():
        run, seed, level = place_of(source)
    with locked(RunDir(run)), on_stderr() as progress:
        made = export_run_for(
            run,
            options["target"] or "phone",
            level=level,
            seed=seed,
            formats=_formats(options),
            margin=options["margin"],
            data_dir=options["data_dir"],
            progress=progress,
        )
    _say(made, as_json=options["as_json"])


def _model(source: Path, options: dict[str, Any]) -> None:
    """Export the best file of a `.keras` model."""
    from tfticket.cli.progress import on_stderr
    from tfticket.quiet import start_tensorflow

    _refuse(options, "level", "seed", why="belongs to a run")
    start_tensorflow()
    from tfticket.runner.exporting import export_file

    target: Any = options["target"] or "phone"
    with on_stderr() as progress:
        made = export_file(
            source,
            options["output"] or source.with_suffix(f".{target}.tflite"),
            target,
            ticket_path=options["ticket_path"],
            data_name=options["data_name"],
            normalize=options["normalize"],
            formats=_formats(options),
            ends=options["ends"],
            keep_float=options["keep_float"] or (),
            margin=options["margin"],
            data_dir=options["data_dir"],
            progress=progress,
        )
    _say(made, as_json=options["as_json"])


def _check(source: Path, options: dict[str, Any]) -> None:
    """Verify one file."""
    wrong = ["level", "seed", "output", "ticket_path", "ends", "keep_float"]
    if options["target"] != "micro":
        wrong.insert(0, "target")
    _refuse(options, *wrong, why="makes a file, which --check doesn't")
    raw = y = None
    if options["data_name"] is not None:
        raw, y = examples_of(options["data_name"], options["data_dir"])
    from tfticket.export.inspect.check import check_file, check_lines

    asked = {name: options[name] for name in ("timeout", "target")}
    seen = check_file(source, raw=raw, y=y, runtimes=bool(options["runtimes"]), **asked)
    if options["as_json"]:
        print_json(seen.to_dict())
    else:
        click.echo("\n".join(check_lines(seen)))


def examples_of(data_name: str, data_dir: Path | None) -> tuple[Any, Any]:
    """Test data of a data set, or the arrays of an `.npz` file by names of inputs and outputs."""
    from tfticket.data.sources import npz_arrays

    kind, _, path = data_name.partition(":")
    arrays = npz_arrays(Path(path)) if kind == "npz" else {}
    if arrays and not arrays.keys() & {"x", "x_train"}:
        return arrays, None
    from tfticket.quiet import start_tensorflow

    start_tensorflow()
    from tfticket import data

    found = data.load(data_name, data_dir=data_dir)
    return found.test.x, found.test.y


def _say(made: Exported, *, as_json: bool) -> None:
    from tfticket.export.rows import to_rows

    if as_json:
        print_json(
            {
                "file": made.report.to_dict(),
                "reason": made.reason,
                "sources": [str(path) for path in made.sources],
                "micro": None if made.micro is None else asdict(made.micro.arena),
                "tried": to_rows(made.comparison),
            }
        )
        return
    from tfticket.export.rows import comparison_rows

    click.echo("\n".join(columns(comparison_rows(made.comparison))), err=True)
    click.echo(made.reason, err=True)
    baseline = made.comparison.baseline.draft  # what is wrong with it was told when it was made
    told = () if baseline is None else baseline.report.warnings
    for warning in (each for each in made.report.warnings if each not in told):
        click.echo(warning, err=True)
    if made.micro is not None:
        click.echo(f"Arena: {made.micro.arena.summary()}.", err=True)
    for path in (made.report.path, *made.sources):
        click.echo(path)


def _formats(options: dict[str, Any]) -> Sequence[Any] | None:
    return [name for name in _FORMATS if name in options["formats"]] or None


def _refuse(options: dict[str, Any], *names: str, why: str) -> None:
    shown = {"ticket_path": "ticket", "data_name": "data", "keep_float": "keep-float"}
    for name in names:
        if options[name] is not None:
            raise click.UsageError(f"--{shown.get(name, name)} {why}.")
