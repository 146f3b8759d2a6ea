"""`tfticket recipe run`."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tfticket.cli.common import InterruptError, Invocation, data_dir_option, runs_option
from tfticket.cli.completion import complete_recipe
from tfticket.cli.interrupt import interruptible

if TYPE_CHECKING:
    from tfticket.recipe.executors import Choice, Executor
    from tfticket.recipe.rundir import RunDir
    from tfticket.recipe.schema import Recipe


class SeedList(click.ParamType):
    """`0,2,5-7` as a tuple of numbers."""

    name = "seeds"

    def convert(
        self, value: str, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, ...]:
        """See `click.ParamType`."""
        from tfticket.recipe.fields import MOST_REPEATS

        seeds: list[int] = []
        for part in value.split(","):
            match = re.fullmatch(r"\s*(\d{1,18})(?:-(\d{1,18}))?\s*", part)
            if match is None or (match[2] and int(match[2]) < int(match[1])):
                self.fail(f"{value!r:.80} is not like 0,2,5-7.", param, ctx)
            named = range(int(match[1]), int(match[2] or match[1]) + 1)
            if len(seeds) + len(named) > MOST_REPEATS:
                self.fail(f"{value!r:.80} names more than {MOST_REPEATS:,} seeds.", param, ctx)
            seeds.extend(named)
        return tuple(dict.fromkeys(seeds))


@click.command()
@click.argument("recipe", shell_complete=complete_recipe)
@click.option("--seed", type=click.IntRange(min=0), help="Run this seed alone.")
@click.option("--seeds", type=SeedList(), help="Run these seeds, like 0,2,5-7.")
@click.option(
    "--set",
    "changes",
    multiple=True,
    metavar="KEY=VALUE",
    help="Change a key of the recipe, like train.steps=2_000. Can be repeated.",
)
@data_dir_option
@runs_option
@click.option("--name", help="Name of the run.  [default: from --smoke and --set, or `default`]")
@click.option("--fresh", is_flag=True, help="Begin anew; an old run is moved aside.")
@click.option("--smoke", is_flag=True, help="Run the recipe's small version, in seconds.")
@click.option(
    "--jobs",
    type=click.IntRange(min=1),
    metavar="N",
    help="Do seeds, controls, networks of a study and folds in N processes side by side, each with "
    "one thread on a processor of its own. Results don't depend on N.  [default: one for each "
    "processor for long runs of dense networks; for others this process, with all processors]",
)
@click.option(
    "--executor",
    "executor_name",
    type=click.Choice(["processes", "ray", "serial"]),
    help="Who does these jobs: processes of this machine; a Ray cluster, whose machines must all "
    "see the run directory under the same path; or this process, one after the other, whatever "
    "--jobs would be by default.",
)
@click.option(
    "--ray-address",
    envvar="RAY_ADDRESS",
    show_envvar=True,
    help="The Ray cluster.  [default: one on this machine, for this run]",
)
@click.option("--dry-run", is_flag=True, help="Say what would happen, and stop.")
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
    dry_run: bool,
) -> None:
    """Run a recipe, or go on where it stopped. Prints the run directory as its last line.

    \b
    tfticket recipe run lth_digits
    tfticket recipe run lth_mnist --data-dir data --seeds 0-2 --set train.steps=2_000
    tfticket recipe run lth_mnist --data-dir data --seeds 0-4 --jobs 2
    """
    from tfticket.recipe import catalog, parsing
    from tfticket.recipe.kind import KINDS
    from tfticket.recipe.overrides import parse_override
    from tfticket.recipe.rundir import RunDir

    if seed is not None and seeds is not None:
        raise click.UsageError("Give --seed or --seeds, not both.")
    if executor_name == "serial" and jobs is not None:
        raise click.UsageError("One process does a run with --executor serial: leave --jobs out.")
    path = catalog.find(recipe)
    overrides = [parse_override(text) for text in changes]
    chosen = (seed,) if seed is not None else seeds
    loaded = parsing.load(path, overrides=overrides, smoke=smoke, seeds=chosen)
    if dry_run:
        _say_plan(loaded, data_dir)
        return
    run_name = _checked_name(name) if name else _default_name(smoke, changes)
    run_dir = RunDir(runs_root / loaded.name / run_name)
    try:
        with interruptible():
            _run(
                loaded,
                run_dir,
                path.read_bytes(),
                invocation,
                data_dir=data_dir,
                fresh=fresh,
                make_executor=lambda: _executor(executor_name, jobs, ray_address),
            )
    except KeyboardInterrupt:
        raise InterruptError(
            f"Finished {KINDS[loaded.kind].unit}s are kept in {run_dir.path}. Go on with:\n"
            f"  {invocation.again()}"
        ) from None
    click.echo(run_dir.path)


def _checked_name(name: str) -> str:
    from tfticket.recipe.fields import NAME

    if not re.fullmatch(NAME, name):
        raise click.BadParameter(
            f"{name!r} names a folder: use letters, digits, `_`, `-` and `.`.", param_hint="--name"
        )
    return name


def _default_name(smoke: bool, changes: tuple[str, ...]) -> str:
    from tfticket.recipe.overrides import fingerprint, parse_override

    parts = ["smoke"] if smoke else []
    if changes:
        parts.append(f"set-{fingerprint(parse_override(text) for text in changes)}")
    return "-".join(parts) or "default"


def _say_plan(recipe: Recipe, data_dir: Path | None) -> None:
    from tfticket.cli.plan import plan_lines
    from tfticket.cli.quiet import start_tensorflow

    start_tensorflow()
    from tfticket.recipe import runner

    click.echo("\n".join(plan_lines(runner.plan(recipe, data_dir))))


def _run(
    recipe: Recipe,
    run_dir: RunDir,
    toml: bytes,
    invocation: Invocation,
    *,
    data_dir: Path | None,
    fresh: bool,
    make_executor: Callable[[], Executor | Choice],
) -> None:
    from tfticket.cli.progress import on_stderr
    from tfticket.cli.quiet import start_tensorflow
    from tfticket.recipe.environment import record_start
    from tfticket.recipe.session import writing
    from tfticket.report import page
    from tfticket.report.summary import summarize

    with writing(run_dir, recipe, toml=toml, fresh=fresh):
        if run_dir.complete:
            click.echo("The run is complete; --fresh would begin it anew.", err=True)
        else:
            record_start(run_dir, command=("tfticket", *invocation.arguments))
            start_tensorflow()
            from tfticket.recipe import runner

            executor = make_executor()
            with on_stderr() as progress:
                runner.run(recipe, run_dir, data_dir=data_dir, progress=progress, executor=executor)
        click.echo(f"Report: {page.render(run_dir.path)}", err=True)
        click.echo(summarize(run_dir.path).headline, err=True)


def _executor(name: str | None, jobs: int | None, ray_address: str | None) -> Executor | Choice:
    from tfticket.recipe.executors import Processes, RayCluster, Serial, suited

    if name == "ray":
        return RayCluster(jobs, address=ray_address)
    if name == "serial":
        return Serial()
    return suited if name is None and jobs is None else Processes(jobs)
