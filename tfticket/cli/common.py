"""Options, output and interruption, as commands share them."""

from __future__ import annotations

import contextlib
import json
import math
import re
import shlex
import signal
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import click
from click.shell_completion import CompletionItem

from tfticket.errors import TFTicketError

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


@dataclass(frozen=True)
class Invocation:
    """The command line as it was given, without the program's name."""

    arguments: tuple[str, ...]

    def again(self) -> str:
        """Return the command that resumes: the same, without what would start over."""
        return shlex.join(["tfticket", *(a for a in self.arguments if a != "--fresh")])


in_file = click.Path(exists=True, dir_okay=False, path_type=Path)
out_file = click.Path(dir_okay=False, path_type=Path)
out_folder = click.Path(file_okay=False, path_type=Path)


class ListByDefault(click.Group):
    """A group whose command `list` runs where none is named, with the options of `list`.

    The name of another command comes before its options, so options alone can only be those of
    `list`.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """See `click.Command`."""
        named = args and (not args[0].startswith("-") or args[0] in ctx.help_option_names)
        if not named and not ctx.resilient_parsing:  # as the completion of a shell is
            args = ["list", *args]
        return super().parse_args(ctx, args)


runs_option = click.option(
    "--runs",
    "runs_root",
    type=out_folder,
    default=Path("runs"),
    envvar="TFTICKET_RUNS",
    show_default=True,
    show_envvar=True,
    help="Folder of the runs.",
)
data_dir_option = click.option(
    "--data-dir",
    type=out_folder,
    envvar="TFTICKET_DATA_DIR",
    show_envvar=True,
    help="Folder of the data sets.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
overwrite_option = click.option("--overwrite", is_flag=True, help="Replace existing files.")
run_argument = click.argument("run", type=click.Path(exists=True, file_okay=False, path_type=Path))
model_argument = click.argument("model_file", metavar="MODEL", type=in_file)


def check_output(path: Path, option: str = "--output", *, overwrite: bool) -> None:
    """Refuse a file that exists; and with `--output`, one that isn't called `.keras`.

    Raises:
        click.BadParameter: which names the option.
    """
    if option == "--output" and path.suffix != ".keras":
        raise click.BadParameter("the name must end in .keras.", param_hint=option)
    if path.exists() and not overwrite:
        raise click.BadParameter(f"{path} exists; give --overwrite.", param_hint=option)


def printable(text: str) -> str:
    r"""Return a text of somebody else's file, without what would steer the terminal.

    >>> printable("a\x1b[2J")
    'a\\x1b[2J'
    """
    return _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def print_json(value: Any) -> None:
    """Print indented JSON on stdout; NaN and infinities, which JSON lacks, become null."""
    click.echo(json.dumps(_finite(value), indent=2, ensure_ascii=False, default=str))


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    return value


def print_columns(rows: Iterable[Sequence[str]]) -> None:
    """Print rows of texts on stdout, in aligned columns."""
    for line in columns(rows):
        click.echo(line)


def columns(rows: Iterable[Sequence[str]]) -> list[str]:
    """Return rows of texts as lines of columns two blanks apart, numbers to the right."""
    rows = [tuple(row) for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.rjust(width) if _is_number(cell) else cell.ljust(width)
            for cell, width in zip(row, widths, strict=True)
        ).rstrip()
        for row in rows
    ]


def _is_number(cell: str) -> bool:
    return cell.removesuffix(" %").replace(",", "").replace(".", "", 1).isdigit()


class InterruptError(Exception):
    """Ctrl-C during a command; the message says how to resume."""


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Make Ctrl-C end the block by `KeyboardInterrupt`, and by nothing else.

    Python raises it in the middle of whatever runs. In the middle of TensorFlow's C code it may
    come out as an error that doesn't mention it, such as a `SystemError` about an argument. After
    Ctrl-C, every error is taken for what the interruption became.

    Where Ctrl-C is ignored, as in background jobs, it stays so.
    """
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(before):
        yield
        return
    interrupted = False

    def interrupt(number: int, frame: FrameType | None) -> None:
        nonlocal interrupted
        interrupted = True
        before(number, frame)

    signal.signal(signal.SIGINT, interrupt)
    try:
        yield
    except Exception as error:
        if interrupted and not isinstance(error, InterruptError):
            raise KeyboardInterrupt from error
        raise
    finally:
        signal.signal(signal.SIGINT, before)


def complete_recipe(
    _context: click.Context, _parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Complete the name of a built-in recipe, or else of a file."""
    from tfticket.recipe import catalog

    try:
        entries = catalog.list_recipes()
    except TFTicketError:
        entries = []
    items = [
        CompletionItem(entry.name, help=entry.title)
        for entry in entries
        if entry.name.startswith(incomplete)
    ]
    return items or [CompletionItem(incomplete, type="file")]


recipe_argument = click.argument("recipe", shell_complete=complete_recipe)


def parse_seeds(
    _context: click.Context, _parameter: click.Parameter, value: str | None
) -> tuple[int, ...] | None:
    """Return seeds like `0,2,5-7` as numbers."""
    if value is None:
        return None
    from tfticket.recipe.table import MOST_REPEATS

    seeds: list[int] = []
    for part in value.split(","):
        match = re.fullmatch(r"\s*(\d{1,18})(?:-(\d{1,18}))?\s*", part)
        if match is None or (match[2] and int(match[2]) < int(match[1])):
            raise click.BadParameter(f"{value!r:.80} is not like 0,2,5-7.")
        named = range(int(match[1]), int(match[2] or match[1]) + 1)
        if len(seeds) + len(named) > MOST_REPEATS:
            raise click.BadParameter(f"{value!r:.80} names more than {MOST_REPEATS:,} seeds.")
        seeds.extend(named)
    return tuple(dict.fromkeys(seeds))


def load_tensorflow() -> None:
    """Import TensorFlow, and say so, since it takes a while."""
    from tfticket.quiet import start_tensorflow

    click.echo("Loading TensorFlow", err=True)
    start_tensorflow()
