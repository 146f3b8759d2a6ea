"""`tfticket recipe`: list, show, check, copy and run recipes."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tfticket.cli.common import (
    InterruptError,
    Invocation,
    ListByDefault,
    complete_recipe,
    data_dir_option,
    interruptible,
    json_option,
    load_tensorflow,
    parse_seeds,
    print_columns,
    print_json,
    recipe_argument,
    runs_option,
)
from tfticket.errors import RecipeError

if TYPE_CHECKING:
    from tfticket.recipe.schema import Recipe
    from tfticket.runner import Choice, Executor
    from tfticket.runs.rundir import RunDir


@click.group(cls=ListByDefault)
def recipe() -> None:
    """List, check and run recipes.

    A RECIPE is the name of a built-in one, or a path that ends in .toml. `tfticket recipe` is
    `tfticket recipe list` and takes its options.
    """


@recipe.command("list")
@json_option
def list_(as_json: bool) -> None:
    """List the built-in recipes.

    \b
    tfticket recipe list
    """
    from tfticket.recipe import catalog

    entries = catalog.list_recipes()
    if as_json:
        print_json([{**vars(entry), "path": str(entry.path)} for entry in entries])
    else:
        print_columns((entry.name, entry.title) for entry in entries)


@recipe.command()
@recipe_argument
@json_option
def show(recipe: str, as_json: bool) -> None:
    """Print a recipe; with --json, all defaults too.

    \b
    tfticket recipe show lth_digits
    """
    from tfticket.recipe import catalog

    path = catalog.find(recipe)
    if as_json:
        from tfticket.recipe import parsing

        print_json(parsing.resolve(parsing.load(path)))
    else:
        click.echo(catalog.read_text(path), nl=False)


@recipe.command()
@click.argument("recipes", nargs=-1, shell_complete=complete_recipe)
def check(recipes: tuple[str, ...]) -> None:
    """Check recipes, by default the built-in ones, and list all mistakes.

    \b
    tfticket recipe check lth_digits my_recipe.toml
    """
    from tfticket.recipe import catalog, parsing

    mistakes = []
    for name in recipes or [entry.name for entry in catalog.list_recipes()]:
        try:
            parsing.load(catalog.find(name))
            click.echo(f"{name}: valid")
        except RecipeError as error:
            mistakes.append(str(error))
    if mistakes:
        raise RecipeError("\n".join(mistakes))


@recipe.command()
@recipe_argument
@click.argument("destination", type=click.Path(path_type=Path), default=Path())
def copy(recipe: str, destination: Path) -> None:
    """Copy a recipe to a file or folder, to change it there.

    \b
    tfticket recipe copy lth_digits my_recipe.toml
    """
    from tfticket.recipe import catalog

    source = catalog.find(recipe)
    target = destination / source.name if destination.is_dir() else destination
    if target.suffix != ".toml":
        raise RecipeError(f"{target} doesn't end in .toml, as recipes do. Name another file.")
    if target.exists():
        raise RecipeError(f"{target} exists, and a copy doesn't replace a file. Name another one.")
    try:
        shutil.copyfile(source, target)
    except OSError as error:
        raise RecipeError(f"{target} could not be written: {error.strerror}.") from error
    click.echo(target)


@recipe.command()
@recipe_argument
@click.option("--seed", type=click.IntRange(min=0), help="Run only this seed.")
@click.option(
    "--seeds", callback=parse_seeds, metavar="SEEDS", help="Run only these seeds, like 0,2,5-7."
)
@click.option(
    "--set",
    "changes",
    multiple=True,
    metavar="KEY=VALUE",
    help="Change a key of the recipe, like train.steps=2_000. Can be repeated.",
)
@data_dir_option
@runs_option
@click.option("--name", help="Name of the run.  [default: by --smoke and --set, else `default`]")
@click.option("--fresh", is_flag=True, help="Start over; the old run is moved aside, not deleted.")
@click.option("--smoke", is_flag=True, help="Run the small version of the recipe, in seconds.")
@click.option(
    "--jobs",
    type=click.IntRange(min=1),
    metavar="N",
    help="Number of worker processes that train in parallel, one thread and one CPU core each. "
    "Results don't depend on N.  [default: one worker per core for long runs of dense networks; "
    "for others none, and all cores for this process]",
)
@click.option(
    "--executor",
    "executor_name",
    type=click.Choice(["processes", "ray", "serial"]),
    help="Where to train: in worker processes of this machine; on a Ray cluster, whose machines "
    "must all see the run directory under the same path; or in this process, one network at a "
    "time.",
)
@click.option(
    "--ray-address",
    envvar="RAY_ADDRESS",
    show_envvar=True,
    help="Address of the Ray cluster.  [default: a cluster on this machine, for this run]",
)
@click.option(
    "--join",
    is_flag=True,
    help="Write the run together with other processes that were started with --join, here or on "
    "machines that see the run directory under the same path, such as the jobs of a SLURM array. "
    "Each trains what no other is at, with one thread.",
)
@click.option("--dry-run", is_flag=True, help="Print the plan and what is done already, then stop.")
@click.option("--open", "opens", is_flag=True, help="Open the page in a browser at the end.")
@click.pass_obj
def run(
    invocation: Invocation,
    recipe: str,
    seed: int | None,
    seeds: tuple[int, ...] | None,
    changes: tuple[str, ...],
    data_dir: Path | None,
    runs_root: Path,
    name: str | None,
    fresh: bool,
    smoke: bool,
    jobs: int | None,
    executor_name: str | None,
    ray_address: str | None,
    join: bool,
    dry_run: bool,
    opens: bool,
) -> None:
    """Run or resume a recipe.

    The last lines are the result, the page and the file to ship. Unless stdout is a terminal, its
    last line is the run directory.

    \b
    tfticket recipe run lth_digits
    tfticket recipe run lth_mnist --data-dir data --seeds 0-2 --set train.steps=2_000
    tfticket recipe run lth_mnist --data-dir data --seeds 0-4 --jobs 2
    """
    from tfticket.recipe import catalog
    from tfticket.recipe.overrides import apply, parse_override

    if seed is not None and seeds is not None:
        raise click.UsageError("Give --seed or --seeds, not both.")
    if executor_name == "serial" and jobs is not None:
        raise click.UsageError("--executor serial trains in this process: leave --jobs out.")
    if join and (jobs is not None or executor_name is not None or fresh):
        raise click.UsageError(
            "--join makes this process one of several: leave --jobs, --executor and --fresh out."
        )
    path = catalog.find(recipe)
    overrides = [parse_override(text) for text in changes]
    # Before anything that takes long. The result goes to stdout, progress to stderr.
    title = str(apply(catalog.read_toml(path), overrides).get("title", path.stem))
    click.echo(title if dry_run else _wrapped(title), err=not dry_run)
    from tfticket.recipe import parsing
    from tfticket.runs.rundir import RunDir
    from tfticket.studies.registry import KINDS

    chosen = (seed,) if seed is not None else seeds
    loaded = parsing.load(path, overrides=overrides, smoke=smoke, seeds=chosen)
    run_dir = RunDir(runs_root / loaded.name / _run_name(name, smoke, changes), joined=join)
    if dry_run:
        _print_plan(loaded, run_dir, data_dir, fresh=fresh)
        return
    try:
        with interruptible():
            page = _run(
                loaded,
                run_dir,
                path.read_bytes(),
                invocation,
                data_dir=data_dir,
                fresh=fresh,
                make_executor=lambda: _executor(executor_name, jobs, ray_address, join=join),
            )
    except KeyboardInterrupt:
        raise InterruptError(
            f"Finished {KINDS[loaded.kind].unit}s are kept in {run_dir.path}.\nResume with:\n"
            f"  {invocation.again()}"
        ) from None
    if opens and page is not None:
        import webbrowser

        webbrowser.open(page.resolve().as_uri())
    if not sys.stdout.isatty():  # for `$(tfticket recipe run ... | tail -1)`
        click.echo(run_dir.path)


def _run_name(name: str | None, smoke: bool, changes: tuple[str, ...]) -> str:
    from tfticket.recipe.overrides import fingerprint, parse_override
    from tfticket.recipe.table import NAME

    if name and not re.fullmatch(NAME, name):
        raise click.BadParameter(
            f"{name!r} names a folder: use letters, digits, `_`, `-` and `.`.", param_hint="--name"
        )
    parts = ["smoke"] if smoke else []
    if changes:
        parts.append(f"set-{fingerprint(parse_override(text) for text in changes)}")
    return name or "-".join(parts) or "default"


def _print_plan(recipe: Recipe, run_dir: RunDir, data_dir: Path | None, *, fresh: bool) -> None:
    from tfticket.cli.progress import done_line, plan_lines
    from tfticket.runs.runs import finished_networks
    from tfticket.runs.session import extends, is_written

    begun = run_dir.recipe_json.is_file()
    if begun and fresh:
        click.echo(f"{run_dir.path} will be moved aside.")
    elif begun:
        if not extends(run_dir, recipe) and run_dir.complete:
            click.echo(f"{run_dir.path} is complete: nothing is left to do; --fresh starts over.")
            return
        if is_written(run_dir):
            click.echo(f"{run_dir.path} is running.")
    done = [] if fresh else finished_networks(run_dir)
    load_tensorflow()
    from tfticket.runner import runner

    click.echo(f"Loading data: {recipe.data.name}", err=True)
    plan = runner.plan(recipe, data_dir, None if fresh else run_dir)
    click.echo("\n".join([*plan_lines(plan), done_line(plan, run_dir.path, len(done))]))


def _limit_threads(recipe: Recipe, *, joined: bool = False) -> None:
    """Give one thread to the operations of small dense networks, before TensorFlow starts.

    XLA would split their products among all threads, which then wait for each other. Results are
    bit-identical. Processes that joined a run have one thread for all, whatever their machine has.
    """
    if joined:
        os.environ["TF_NUM_INTRAOP_THREADS"] = os.environ["TF_NUM_INTEROP_THREADS"] = "1"
    is_dense = getattr(recipe.model, "name", None) in ("lenet_300_100", "dln")
    if is_dense and recipe.train.jit is not False:
        os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")


def _run(
    recipe: Recipe,
    run_dir: RunDir,
    toml: bytes,
    invocation: Invocation,
    *,
    data_dir: Path | None,
    fresh: bool,
    make_executor: Callable[[], Executor | Choice],
) -> Path | None:
    """Run or resume the recipe, print its result, and return its page.

    There is none where processes that joined the run are still at work.
    """
    from tfticket.cli.runs import outcome_lines
    from tfticket.runs.environment import record_start
    from tfticket.runs.runs import finished_networks
    from tfticket.runs.session import joining, writing

    opened = (
        joining(run_dir, recipe, toml=toml)
        if run_dir.joined
        else writing(run_dir, recipe, toml=toml, fresh=fresh)
    )
    with opened:
        if run_dir.complete:
            click.echo("The run is complete; --fresh starts over.", err=True)
        else:
            if not (run_dir.joined and run_dir.environment.is_file()):
                record_start(run_dir, command=("tfticket", *invocation.arguments))
            _limit_threads(recipe, joined=run_dir.joined)
            load_tensorflow()
            from tfticket.cli.progress import on_stderr
            from tfticket.runner import runner

            executor = make_executor()
            with on_stderr(finished_networks(run_dir)) as progress:
                progress.message(f"Loading data: {recipe.data.name}")
                runner.run(recipe, run_dir, data_dir=data_dir, progress=progress, executor=executor)
        if not run_dir.complete:
            click.echo(
                "Nothing is left to begin. The last of the processes that train the rest ends the "
                "run and writes its page.",
                err=True,
            )
            return None
        click.echo("Writing the page", err=True)
        from tfticket.studies import report
        from tfticket.studies.summaries import summarize

        written = report.render(run_dir.path)
        for line in outcome_lines(run_dir, summarize(run_dir.path).headline, written):
            click.echo(_wrapped(line), err=True)
    return written


def _wrapped(line: str) -> str:
    """The line, wrapped where stderr is a terminal; a path stays in one piece."""
    if not sys.stderr.isatty():
        return line
    import textwrap

    width = os.get_terminal_size(sys.stderr.fileno()).columns or 80  # 0: a terminal without a size
    return textwrap.fill(line, width, break_long_words=False, break_on_hyphens=False)


def _executor(
    name: str | None, jobs: int | None, ray_address: str | None, *, join: bool
) -> Executor | Choice:
    from tfticket.runner import Joined, Processes, RayCluster, Serial, suited

    if join:
        return Joined()
    if name == "ray":
        return RayCluster(jobs, address=ray_address)
    if name == "serial":
        return Serial()
    return suited if name is None and jobs is None else Processes(jobs)
