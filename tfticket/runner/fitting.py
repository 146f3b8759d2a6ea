"""Networks fitted into a device over seeds, from a `.keras` file or a recipe, with a page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras

from tfticket import data
from tfticket.data import ChunkedFit, DataSet
from tfticket.errors import DataError, RecipeError
from tfticket.export.fitting.candidates import Maker
from tfticket.export.fitting.fitted import Fitted
from tfticket.export.fitting.narrowing import Training
from tfticket.export.fitting.rounds import Rounds
from tfticket.export.fitting.search import search
from tfticket.export.result import Preprocessing
from tfticket.files import write_json
from tfticket.models import load_file
from tfticket.recipe.rates import be_deterministic, check_model, example_shape
from tfticket.recipe.schema import Recipe
from tfticket.runner.exporting import trained_with
from tfticket.runner.fit_page import write_page
from tfticket.runner.fitted_seeds import FittedSeeds, Settings, choose
from tfticket.runs.progress import Progress, Silence
from tfticket.studies.edge.schema import EdgeRecipe
from tfticket.studies.lottery.schema import LotteryRecipe
from tfticket.studies.lottery.study import LotteryStudy
from tfticket.studies.training import Watch


def fit_file(
    model_path: Path,
    folder: Path,
    settings: Settings,
    *,
    data_name: str,
    data_dir: Path | None = None,
    normalize: str | None = None,
    batch_size: int = 64,
    trained_steps: int = 0,
    seeds: Sequence[int] = (0,),
    command: str = "",
    progress: Progress | None = None,
) -> FittedSeeds:
    """Fit a trained `.keras` classifier into a device; see `tfticket.export.fit`.

    Args:
        model_path: The model.
        folder: Where to write; finished rounds in it are taken up.
        settings: The limits, and how.
        data_name: The data set, as for recipes: its training data train, its validation data
            choose, its test data judge what was chosen.
        data_dir: The directory of data sets.
        normalize: As for `export_file`.
        batch_size: As for `Training`.
        trained_steps: As for `export.fit`.
        seeds: Of the order of the examples and of the controls.
        command: The command line, for the page.
        progress: The listener.

    Raises:
        ModelError: when the model can't be loaded, or doesn't fit the data.
        DataError: when the data can't be had, or aren't classes.
        ExportError: as `export.fit`.
        RunError: as `export.fit`.
    """
    progress = progress or Silence()
    model = load_file(model_path)
    found = data.load(
        data_name,
        data_dir=data_dir,
        normalize=normalize or trained_with(model_path),
        input_shape=example_shape(model),
    )
    _check_classes(found)
    check_model(model_path, model, found)
    return _fit(
        folder / f"{model_path.stem}.tflite", found, settings, seeds, lambda seed: model,
        trained_steps, command, progress, batch_size=batch_size,
    )  # fmt: skip


def fit_recipe(
    recipe: Recipe,
    folder: Path,
    settings: Settings,
    *,
    data_dir: Path | None = None,
    command: str = "",
    progress: Progress | None = None,
) -> FittedSeeds:
    """Train the dense network of a recipe with each of its seeds, and fit it into a device.

    Networks, data, training and seeds are the recipe's, batch size and augmentation of the rounds
    too. Tickets aren't searched for: what is pruned are channels.

    Args:
        recipe: Of the kind `lottery` or `edge`, about classes.
        folder: Where to write; networks and rounds in it that are finished are taken up.
        settings: The limits, and how.
        data_dir: The directory of data sets.
        command: The command line, for the page.
        progress: The listener.

    Raises:
        RecipeError: for a recipe of another kind.
        DataError: when the data can't be had, or aren't classes.
        ModelError: when the network can't be built.
        ExportError: as `export.fit`.
        RunError: as `export.fit`.
    """
    progress = progress or Silence()
    if isinstance(recipe, EdgeRecipe):
        recipe = next(iter(recipe.searches().values()))
    if not isinstance(recipe, LotteryRecipe):
        raise RecipeError(
            f"`{recipe.name}` is of the kind {recipe.kind}. A network is fitted by the recipe of a "
            "kind that searches for tickets: lottery or edge."
        )
    be_deterministic()
    study = LotteryStudy.load(recipe, data_dir)
    _check_classes(study.data)

    def network(seed: int) -> keras.Model:
        return _dense(study, seed, Rounds(folder / f"rounds/seed_{seed}"), told)

    told, name = progress, recipe.name.partition(".")[0]
    return _fit(
        folder / f"{name}.tflite", study.data, settings, recipe.seeds, network, recipe.train.steps,
        command, progress, batch_size=recipe.data.batch_size, augment=recipe.data.augment,
    )  # fmt: skip


def _check_classes(found: DataSet) -> None:
    if found.regression or found.segmentation:
        raise DataError(
            f"`{found.name}` has no class for each example. A network is fitted by the accuracy of "
            "a classifier."
        )


def _dense(study: LotteryStudy, seed: int, rounds: Rounds, progress: Progress) -> keras.Model:
    """Train the dense network of a seed as the recipe says; or load it."""
    found = rounds.load("dense")
    if found is not None:
        return found
    model, feed, steps = study.model(seed), study.feed(seed), study.recipe.train.steps
    progress.message(f"Seed {seed}: the dense network, {steps:,} steps")
    watch = Watch(
        feed.chunk_steps,
        lambda made, logs: progress.message(
            f"  step {made:,} of {steps:,}, validation accuracy {logs['val_accuracy']:.2%}"
        ),
    )
    model.fit(
        **feed.fit_arguments(),
        epochs=steps // feed.chunk_steps,
        validation_data=study.validation(),
        callbacks=[watch, ChunkedFit(feed)],
        verbose=0,
    )
    rounds.save("dense", model)
    return rounds.load("dense")


def _fit(
    path: Path,
    found: DataSet,
    settings: Settings,
    seeds: Sequence[int],
    network: Callable[[int], keras.Model],
    trained_steps: int,
    command: str,
    progress: Progress,
    **training: Any,
) -> FittedSeeds:
    """Search for each seed, choose, and write the file, its page and its numbers."""
    progress.message(found.description)
    x, validation, test = (
        found.inputs(each) for each in (found.train, found.validation, found.test)
    )
    makers: dict[int, Maker] = {}
    searches: dict[int, Fitted] = {}
    for seed in seeds:
        makers[seed] = Maker(
            path, settings.budget,
            Training(x, found.train.y, steps=settings.steps, learning_rate=settings.learning_rate,
                     seed=seed, **training),
            (validation, found.validation.y), (test, found.test.y) if len(test) else None,
            settings.target, Preprocessing.of(found.scale, found.offset),
            {"name": path.stem, "data": found.name, "inputs": found.feeding, "seed": seed},
        )  # fmt: skip
        searches[seed] = search(
            network(seed), makers[seed], trained_steps=trained_steps, control=settings.control,
            folder=path.parent / f"rounds/seed_{seed}", tell=progress.message,
        )  # fmt: skip
        if len(seeds) > 1:
            progress.message(f"Seed {seed}: {searches[seed].reason}")
    made = choose(settings, searches)
    files: tuple[Path, ...] = ()
    if made.chosen is not None and made.seed is not None:
        files = makers[made.seed].write(made.chosen)
    page, summary = path.with_name("index.html"), path.with_name("summary.json")
    made = replace(made, files=(*files, summary, page))
    write_json(summary, made.to_dict())
    write_page(made, page, name=path.stem, data=found.description, command=command)
    return made
