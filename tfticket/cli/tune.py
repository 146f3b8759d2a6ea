"""`tfticket tune`: the settings of a recipe that do best on validation data."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tfticket.cli.common import (
    InterruptError,
    Invocation,
    data_dir_option,
    interruptible,
    json_option,
    load_tensorflow,
    out_file,
    parse_seeds,
    print_json,
    recipe_argument,
    runs_option,
)

if TYPE_CHECKING:
    from tfticket.runner.tuning import Found


@click.command()
@recipe_argument
@click.option(
    "--param",
    "parameters",
    multiple=True,
    required=True,
    metavar="KEY=RANGE",
    help="A key of the recipe and where to look: log:1e-4:1e-1, linear:0:0.9, int:1:8 or "
    "choice:32,64. Can be repeated.",
)
@click.option(
    "--trials",
    type=click.IntRange(min=1),
    default=20,
    show_default=True,
    help="Number of trials, of all processes with this journal.",
)
@click.option(
    "--measure",
    default="accuracy",
    show_default=True,
    help="Measured on validation data at the end of a training, in the mean of the seeds.",
)
@click.option(
    "--network",
    metavar="BRANCH[:LEVEL]",
    help="Network that is measured.  [default: the last ticket, or the first network]",
)
@click.option("--seeds", callback=parse_seeds, metavar="SEEDS", help="Train with these seeds.")
@click.option(
    "--set", "changes", multiple=True, metavar="KEY=VALUE", help="Change a key for all trials."
)
@click.option("--smoke", is_flag=True, help="Take the small version of the recipe.")
@data_dir_option
@runs_option
@click.option(
    "--journal",
    type=out_file,
    help="Optuna's journal; processes that share it share the trials.  [default: tune.journal "
    "beside the runs of the recipe]",
)
@json_option
@click.pass_obj
def tune(
    invocation: Invocation,
    recipe: str,
    parameters: tuple[str, ...],
    trials: int,
    measure: str,
    network: str | None,
    seeds: tuple[int, ...] | None,
    changes: tuple[str, ...],
    smoke: bool,
    data_dir: Path | None,
    runs_root: Path,
    journal: Path | None,
    as_json: bool,
) -> None:
    """Tune settings of a recipe on validation data, with Optuna.

    Each trial is a run beside the others of the recipe. Run the same command again to
    resume the search, or start several to run trials in parallel.

    \b
    tfticket tune lth_digits --param train.learning_rate=log:1e-3:1 --set lottery.levels=1
    """
    from tfticket.errors import RunError
    from tfticket.lottery.metric import Metric
    from tfticket.recipe import catalog
    from tfticket.recipe.overrides import parse_override

    try:
        metric = Metric.of(measure)
    except ValueError as error:
        raise RunError(f"{error} `--measure` is a metric such as accuracy or loss.") from error
    load_tensorflow()
    from tfticket.recipe.ranges import Range
    from tfticket.runner.tuning import Search, Tuner

    search = Search(
        catalog.find(recipe),
        tuple(Range.parse(text) for text in parameters),
        tuple(parse_override(text) for text in changes),
        seeds,
        smoke,
        metric,
        network,
    )
    runs = runs_root / search.check().name
    tuner = Tuner(search, journal or runs / "tune.journal", runs, data_dir=data_dir)
    try:
        with interruptible():
            for found in tuner.run(trials):
                click.echo(_line(found, metric.label), err=True)
    except KeyboardInterrupt:
        raise InterruptError(
            f"The trials are kept in {tuner.journal}.\nGo on with:\n  {invocation.again()}"
        ) from None
    best = tuner.best()
    if as_json:
        print_json({**vars(best), "measure": metric.name, "journal": str(tuner.journal)})
        return
    click.echo(f"Best: {_line(best, metric.label)}")
    settings = " ".join(f"--set {key}={_toml(value)}" for key, value in best.values.items())
    click.echo(f"tfticket recipe run {recipe} {settings}")


def _line(found: Found, measure: str) -> str:
    settings = ", ".join(f"{key} = {_toml(value)}" for key, value in found.values.items())
    score = "not finite" if found.score is None else f"{found.score:.4f}"
    return f"trial {found.number}: {settings}: validation {measure} {score} ({found.run})"


def _toml(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
