"""Files from a run, from a ticket of a run, or from a `.keras` file: the front ends of exports."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import keras

from tfticket import data
from tfticket.data.sources import npz_arrays
from tfticket.errors import DataError, ExportError, RunError
from tfticket.export.choice import TargetName
from tfticket.export.contents import Ends
from tfticket.export.ends import input_names, output_names
from tfticket.export.facade import Exported, export
from tfticket.export.inspect.sensitivity import Sensitivity
from tfticket.export.result import ExportReport, Format
from tfticket.export.rounding import sensitivity
from tfticket.lottery.ticket import Ticket
from tfticket.models import load_file
from tfticket.recipe.rates import check_model, example_shape
from tfticket.runs.progress import Progress, Silence
from tfticket.runs.rundir import RunDir
from tfticket.studies.lottery.exporting import Exporter, examples
from tfticket.studies.lottery.schema import LotteryRecipe
from tfticket.studies.study import load_study

if TYPE_CHECKING:
    from tfticket.studies.lottery.study import LotteryStudy

_MODEL = re.compile(r"seed_(\d+)_level_(\d+)\.keras")
_NPZ = "npz:"
_LOOKED_AT = 1000  # examples on which layers are rounded one by one
_TICKET = re.compile(r"seed_(?P<seed>\d+)/(?P<branch>[^/]+)/level_(?P<level>\d+)\.npz$")


def export_run(
    run: str | Path,
    *,
    level: int | None = None,
    seed: int | None = None,
    formats: Sequence[Format] | None = None,
    data_dir: Path | None = None,
    progress: Progress | None = None,
) -> list[ExportReport]:
    """Exports a ticket of a run, and the dense network beside it to be held against.

    Writes `models/seed_S_level_LL.keras`, a plain Keras model with the zeros in place, and for each
    format `export/seed_S_level_LL.FORMAT.tflite` with its `.report.json`. The weights are those
    at the end of the level's training.

    Args:
        run: The run directory; the run needn't be complete.
        level: The level; those that the recipe asks for if None, which may mean to `choose`.
        seed: The seed; the first of the recipe that has the level if None.
        formats: The formats; those of the recipe if None.
        data_dir: The directory of data sets.
        progress: The listener.

    Returns:
        A report for each file; those of the dense network first.

    Raises:
        RunError: when it isn't a run, or the level isn't finished.
        DataError: when the data can't be had, or isn't what the run was made with.
        ExportError: when a file could not be made or failed its checks; the others are there.
    """
    exporter = open_exporter(run, data_dir, progress or Silence())
    reports = exporter.export(level=level, seed=seed, formats=formats)
    if exporter.failures:
        raise ExportError(
            f"{len(exporter.failures)} of {len(exporter.failures) + len(reports)} files failed, "
            f"and were not written: {' '.join(map(str, exporter.failures))}"
        )
    return reports


def open_exporter(run: str | Path, data_dir: Path | None, progress: Progress) -> Exporter:
    """Open a run on disk for exporting.

    Raises:
        RunError: when it isn't a run of the kind lottery.
        DataError: when its data can't be had.
    """
    directory = RunDir(run)
    recipe = directory.recipe()
    if not isinstance(recipe, LotteryRecipe):
        also = " Its searches lie under searches/." if recipe.kind == "edge" else ""
        raise RunError(
            f"Only the tickets of a run of the kind lottery are exported. Received: {run}, of the "
            f"kind {recipe.kind}.{also}"
        )
    return Exporter(cast("LotteryStudy", load_study(recipe, data_dir)), directory, progress)


def export_run_for(
    run: str | Path,
    target: TargetName,
    *,
    level: int | None = None,
    seed: int | None = None,
    formats: Sequence[Format] | None = None,
    margin: float = 0.005,
    data_dir: Path | None = None,
    progress: Progress | None = None,
) -> Exported:
    """Write the file of a run's ticket that is best for a target.

    The weights are those at the end of the level's training. Formats are chosen by validation data.

    Args:
        run: The run directory; the run needn't be complete.
        target: The purpose of the file; see `tfticket.export.export`.
        level: The level. None for the smallest that is as good as dense, as far as is shown.
        seed: Which seed. None for the first of the recipe that has the level.
        formats: The formats to try; all that the target allows if None.
        margin: Accuracy that a format may cost.
        data_dir: The directory of data sets.
        progress: The listener.

    Returns:
        The report of `export/seed_S_level_LL.TARGET.tflite`, and all that was tried.

    Raises:
        RunError: when it isn't a run, or the level isn't finished.
        DataError: when the data can't be had, or isn't what the run was made with.
        ExportError: when no file passed.
    """
    progress = progress or Silence()
    exporter = open_exporter(run, data_dir, progress)
    seed, level = exporter.place(level, seed)
    ticket, model = exporter.network(seed, level)
    return export(
        model,
        exporter.run.exported(seed, level, f".{target}.tflite"),
        target=target,
        formats=formats,
        mask=ticket.mask,
        **examples(exporter.study.data, exporter.study.data.validation),
        provenance=exporter.provenance(ticket, seed),
        margin=margin,
        tell=progress.message,
    )


def place_of(ticket: Path) -> tuple[Path, int, int]:
    """Return the run, seed and level that a ticket file belongs to, by its path.

    Raises:
        RunError: when it doesn't lie in a run, or is a control.
    """
    match = _TICKET.search(ticket.absolute().as_posix())
    run = ticket.absolute().parents[3] if match else ticket
    if match is None or not (run / "recipe.json").is_file():
        raise RunError(
            "A ticket holds the weights that training starts from, so it is exported from the run "
            f"it was found in, or with a model that was trained with it. Received: {ticket}, which "
            "lies in no run. Give the run directory; or the trained model, with --ticket TICKET."
        )
    if match["branch"] != "ticket":
        raise RunError(
            f"Only tickets are exported. Received: {ticket}, a control ({match['branch']})."
        )
    return run, int(match["seed"]), int(match["level"])


def export_file(
    model_path: Path,
    output: Path,
    target: TargetName,
    *,
    ticket_path: Path | None = None,
    data_name: str | None = None,
    normalize: str | None = None,
    formats: Sequence[Format] | None = None,
    ends: Ends | None = None,
    keep_float: Sequence[str] = (),
    margin: float = 0.005,
    data_dir: Path | None = None,
    progress: Progress | None = None,
) -> Exported:
    """Write the file of a trained `.keras` model that is best for a target.

    Args:
        model_path: The model.
        output: Where to; must end in `.tflite`.
        target: The purpose of the file.
        ticket_path: The ticket that it was trained with, whose zeros it must have.
        data_name: A data set to calibrate and to check with, as for recipes. Without one nothing is
            int8, and files are checked on random numbers. For a model of several inputs or outputs
            an `.npz` file, see `named_examples`.
        normalize: How the model was fed in training: `none` (with the numbers of the data set),
            `unit` or `standard`. None for `none`, unless the model lies among the `models` of a
            run, whose recipe says it then.
        formats: The formats to try; all that the target allows if None.
        ends: What files of integers take and give; see `export`.
        keep_float: Layers that stay in float; see `export`.
        margin: Accuracy that a format may cost.
        data_dir: The directory of data sets.
        progress: The listener.

    Raises:
        ModelError: when the model can't be loaded, doesn't fit the data, or takes whole numbers
            and would get fractions.
        TicketError: when the ticket can't be read.
        DataError: when the data can't be had.
        ExportError: when no file passed.
    """
    progress = progress or Silence()
    options: dict[str, Any] = {}
    provenance: dict[str, Any] = {"model": model_path.name, "data": data_name}
    model = load_file(model_path)
    if data_name is not None:
        options, feeding = _examples_of(model, model_path, data_name, normalize, data_dir, progress)
        provenance |= {} if feeding is None else {"inputs": feeding}
    ticket = None if ticket_path is None else Ticket.load(ticket_path)
    return export(
        model if ticket is None else ticket,
        output,
        target=target,
        formats=formats,
        ends=ends,
        keep_float=keep_float,
        model=None if ticket is None else model,
        **options,
        provenance=provenance,
        margin=margin,
        tell=progress.message,
    )


def explain_model(
    model_path: Path,
    data_name: str,
    *,
    normalize: str | None = None,
    bits: int = 8,
    reach: float | None = None,
    data_dir: Path | None = None,
    progress: Progress | None = None,
) -> Sensitivity:
    """Measure what rounding costs a `.keras` model, layer by layer; see `sensitivity`.

    Args:
        model_path: The model.
        data_name: Its data, as for `export_file`; training data give the ranges, 1,000 examples of
            the validation data are looked at.
        normalize: As for `export_file`.
        bits: Of weights and activations.
        reach: As for `sensitivity`.
        data_dir: The directory of data sets.
        progress: The listener.

    Raises:
        ModelError: as `export_file`.
        DataError: as `export_file`.
        ExportError: as `sensitivity`.
    """
    model = load_file(model_path)
    progress = progress or Silence()
    given, _ = _examples_of(model, model_path, data_name, normalize, data_dir, progress)
    x, y = keras.tree.map_structure(
        lambda array: None if array is None else array[:_LOOKED_AT], given["check_on"]
    )
    return sensitivity(model, x, y, calibration=given["calibration"], bits=bits, reach=reach)


def _examples_of(
    model: keras.Model,
    model_path: Path,
    data_name: str,
    normalize: str | None,
    data_dir: Path | None,
    progress: Progress,
) -> tuple[dict[str, Any], str | None]:
    """Arguments of `export` from data, and how they were fed, in words."""
    if len(model.inputs) + len(model.outputs) > 2:
        return named_examples(model, data_name), None
    found = data.load(
        data_name,
        data_dir=data_dir,
        normalize=normalize or trained_with(model_path),
        input_shape=example_shape(model),
    )
    check_model(model_path, model, found)
    progress.message(found.description)
    return examples(found, found.validation), found.feeding


def named_examples(model: keras.Model, data_name: str) -> dict[str, Any]:
    """Read examples of a model with several inputs or outputs from an `.npz` file.

    It holds an array by the name of each input, as the model takes it, and of labels by the names
    of outputs, as many as there are. The first half calibrates, the second half checks.

    Args:
        model: The model.
        data_name: The file, as `npz:PATH`.

    Returns:
        The arguments `calibration` and `check_on` of `export`.

    Raises:
        DataError: when it isn't such a file, or lacks an input.
    """
    takes, gives = input_names(model), output_names(model)
    if not data_name.startswith(_NPZ):
        raise DataError(
            "A model of several inputs or outputs takes its data from an .npz file that holds an "
            f"array for each input, by name ({', '.join(takes)}). Received: {data_name!r}. Give "
            f"{_NPZ}PATH."
        )
    path = Path(data_name.removeprefix(_NPZ))
    arrays = npz_arrays(path)
    missing = [name for name in takes if name not in arrays]
    unknown = sorted(arrays.keys() - {*takes, *gives})
    if missing or unknown:
        raise DataError(
            f"`{path}` must hold an array for each input ({', '.join(takes)}), and may hold labels "
            f"by the names of outputs ({', '.join(gives)}). "
            + (f"It lacks {', '.join(missing)}." if missing else f"It has {', '.join(unknown)}.")
        )
    half = max(len(arrays[takes[0]]) // 2, 1)
    labels = {name: arrays[name][half:] if name in arrays else None for name in gives}
    return {
        "calibration": {name: arrays[name][:half] for name in takes},
        "check_on": (
            {name: arrays[name][half:] for name in takes},
            labels if any(each is not None for each in labels.values()) else None,
        ),
    }


def trained_with(model_path: Path) -> str:
    """Return how a model was fed; a model of no run gets the numbers of the data set."""
    run = RunDir(model_path.absolute().parents[1])
    seed_and_level = _MODEL.fullmatch(model_path.name)
    if seed_and_level is None or model_path.absolute() != run.model(
        *map(int, seed_and_level.groups())
    ):
        return "none"
    return run.recipe().data.normalize if run.recipe_json.is_file() else "none"
