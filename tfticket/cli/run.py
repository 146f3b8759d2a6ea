"""`tfticket recipe run`."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tfticket.cli.common import InterruptError, Invocation, data_dir_option, runs_option
from tfticket.cli.completion import complete_recipe
from tfticket.cli.interrupt import interruptible

if TYPE_CHECKING:
    from tfticket.recipe.schema import Recipe
    from tfticket.runner import Choice, Executor
    from tfticket.runs.rundir import RunDir


class SeedList(click.ParamType):
    """`0,2,5-7` as a tuple of numbers."""

    name = "seeds"

    def convert(
        self, value: str, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, ...]:
        """See `click.ParamType`."""
        from tfticket.recipe.table import MOST_REPEATS

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
@click.option("--seed", type=click.IntRange(min=0), help="Run only this seed.")
@click.option("--seeds", type=SeedList(), help="Run only these seeds, like 0,2,5-7.")
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
@click.option("--fresh", is_flag=True, help="Start over; an old run is moved aside, not deleted.")
@click.option("--smoke", is_flag=True, help="Run the recipe's small version, in seconds.")
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
    "--dry-run", is_flag=True, help="Print what is planned and what is done already, and stop."
)
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
    dry_run: bool,
    opens: bool,
) -> None:
    """Run or resume a recipe.

    At the end it says what was found, and where the page and the file to ship are. Where stdout is
    no terminal, its last line is the run directory.

    \b
    tfticket recipe run lth_digits
    tfticket recipe run lth_mnist --data-dir data --seeds 0-2 --set train.steps=2_000
    tfticket recipe run lth_mnist --data-dir data --seeds 0-4 --jobs 2
    """
    from tfticket.recipe import catalog
    from tfticket.recipe.parsing import apply, parse_override

    if seed is not None and seeds is not None:
        raise click.UsageError("Give --seed or --seeds, not both.")
    if executor_name == "serial" and jobs is not None:
        raise click.UsageError("--executor serial trains in this process: leave --jobs out.")
    path = catalog.find(recipe)
    overrides = [parse_override(text) for text in changes]
    # Before anything that takes long. Results go to stdout, progress to stderr.
    title = str(apply(catalog.read_toml(path), overrides).get("title", path.stem))
    click.echo(title if dry_run else _wrapped(title), err=not dry_run)
    from tfticket.recipe import parsing
    from tfticket.runs.rundir import RunDir
    from tfticket.studies.registry import KINDS

    chosen = (seed,) if seed is not None else seeds
    loaded = parsing.load(path, overrides=overrides, smoke=smoke, seeds=chosen)
    run_name = _checked_name(name) if name else _default_name(smoke, changes)
    run_dir = RunDir(runs_root / loaded.name / run_name)
    if dry_run:
        _say_plan(loaded, run_dir, data_dir, fresh=fresh)
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
                make_executor=lambda: _executor(executor_name, jobs, ray_address),
            )
    except KeyboardInterrupt:
        raise InterruptError(
            f"Finished {KINDS[loaded.kind].unit}s are kept in {run_dir.path}.\nResume with:\n"
            f"  {invocation.again()}"
        ) from None
    if opens:
        import webbrowser

        webbrowser.open(page.resolve().as_uri())
    if not sys.stdout.isatty():  # for `$(tfticket recipe run ... | tail -1)`
        click.echo(run_dir.path)


def _checked_name(name: str) -> str:
    from tfticket.recipe.table import NAME

    if not re.fullmatch(NAME, name):
        raise click.BadParameter(
            f"{name!r} names a folder: use letters, digits, `_`, `-` and `.`.", param_hint="--name"
        )
    return name


def _default_name(smoke: bool, changes: tuple[str, ...]) -> str:
    from tfticket.recipe.parsing import fingerprint, parse_override

    parts = ["smoke"] if smoke else []
    if changes:
        parts.append(f"set-{fingerprint(parse_override(text) for text in changes)}")
    return "-".join(parts) or "default"


def _say_plan(recipe: Recipe, run_dir: RunDir, data_dir: Path | None, *, fresh: bool) -> None:
    from tfticket.cli.plan import done_line, plan_lines
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
    _load_tensorflow()
    from tfticket.runner import runner

    click.echo(f"Loading data: {recipe.data.name}", err=True)
    plan = runner.plan(recipe, data_dir, None if fresh else run_dir)
    click.echo("\n".join([*plan_lines(plan), done_line(plan, run_dir.path, len(done))]))


def _limit_threads(recipe: Recipe) -> None:
    """Gives one thread to the operations of small dense networks, before TensorFlow starts.

    XLA would divide their products among all threads, which then wait for each other. The bits are
    the same.
    """
    is_dense = getattr(recipe.model, "name", None) in ("lenet_300_100", "dln")
    if is_dense and recipe.train.jit is not False:
        os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")


def _load_tensorflow() -> None:
    """Starts TensorFlow, which takes seconds, and says so."""
    from tfticket.cli.quiet import start_tensorflow

    click.echo("Loading TensorFlow", err=True)
    start_tensorflow()


def _run(
    recipe: Recipe,
    run_dir: RunDir,
    toml: bytes,
    invocation: Invocation,
    *,
    data_dir: Path | None,
    fresh: bool,
    make_executor: Callable[[], Executor | Choice],
) -> Path:
    """Runs or resumes the recipe and says what came of it; returns the page."""
    from tfticket.cli.outcome import outcome_lines
    from tfticket.runs.environment import record_start
    from tfticket.runs.runs import finished_networks
    from tfticket.runs.session import writing

    with writing(run_dir, recipe, toml=toml, fresh=fresh):
        if run_dir.complete:
            click.echo("The run is complete; --fresh starts over.", err=True)
        else:
            record_start(run_dir, command=("tfticket", *invocation.arguments))
            _limit_threads(recipe)
            _load_tensorflow()
            from tfticket.cli.progress import on_stderr
            from tfticket.runner import runner

            executor = make_executor()
            with on_stderr(finished_networks(run_dir)) as progress:
                progress.message(f"Loading data: {recipe.data.name}")
                runner.run(recipe, run_dir, data_dir=data_dir, progress=progress, executor=executor)
        click.echo("Writing the page", err=True)
        from tfticket.studies import report
        from tfticket.studies.summaries import summarize

        written = report.render(run_dir.path)
        for line in outcome_lines(run_dir, summarize(run_dir.path).headline, written):
            click.echo(_wrapped(line), err=True)
    return written


def _wrapped(line: str) -> str:
    """The line, broken between words where stderr is a terminal; a path stays in one piece."""
    if not sys.stderr.isatty():
        return line
    import textwrap

    width = os.get_terminal_size(sys.stderr.fileno()).columns or 80  # 0: a terminal without a size
    return textwrap.fill(line, width, break_long_words=False, break_on_hyphens=False)


def _executor(name: str | None, jobs: int | None, ray_address: str | None) -> Executor | Choice:
    from tfticket.runner import Processes, RayCluster, Serial, suited

    if name == "ray":
        return RayCluster(jobs, address=ray_address)
    if name == "serial":
        return Serial()
    return suited if name is None and jobs is None else Processes(jobs)
