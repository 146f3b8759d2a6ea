"""What several commands share."""

from __future__ import annotations

import json
import math
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


class InterruptError(Exception):
    """Ctrl-C during a command; the message says how to go on."""


@dataclass(frozen=True)
class Invocation:
    """The command line as it was given, without the program's name."""

    arguments: tuple[str, ...]

    def again(self) -> str:
        """The command that goes on: the same, without what would begin anew."""
        return shlex.join(["tfticket", *(a for a in self.arguments if a != "--fresh")])


class ListByDefault(click.Group):
    """A group whose command `list` is meant where none is named, with the options of that command.

    Options of another command can't be meant, since its name comes before them.
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
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("runs"),
    envvar="TFTICKET_RUNS",
    show_default=True,
    show_envvar=True,
    help="Folder that holds the runs.",
)
data_dir_option = click.option(
    "--data-dir",
    type=click.Path(file_okay=False, path_type=Path),
    envvar="TFTICKET_DATA_DIR",
    show_envvar=True,
    help="Folder that holds the data sets.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
run_argument = click.argument("run", type=click.Path(exists=True, file_okay=False, path_type=Path))


def printable(text: str) -> str:
    r"""A text of somebody else's file, without what would steer the terminal.

    >>> printable("a\x1b[2J")
    'a\\x1b[2J'
    """
    return _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def print_json(value: Any) -> None:
    """Prints indented JSON on stdout; JSON has no NaN and no infinity, they become null."""
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
    """Prints rows of texts on stdout, in columns two blanks apart."""
    for line in columns(rows):
        click.echo(line)


def columns(rows: Iterable[Sequence[str]]) -> list[str]:
    """Rows of texts as lines with aligned columns; numbers to the right."""
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
