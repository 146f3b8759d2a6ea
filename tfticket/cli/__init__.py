"""The command line. Each command parses, makes one library call, and prints.

Results go to stdout; progress, hints and errors to stderr. The exit status is 0, or 1 for an error
that tfticket raised on purpose, 2 for wrong usage, 130 for Ctrl-C. Anything else is a bug and keeps
its traceback. Commands import what they need when they run: help never waits for TensorFlow.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import sys
from collections.abc import Sequence
from typing import TextIO

import click
from click.shell_completion import get_completion_class

from tfticket import __version__
from tfticket.cli.common import InterruptError, Invocation, interruptible, printable
from tfticket.cli.explain import explain
from tfticket.cli.export import export
from tfticket.cli.fit import fit
from tfticket.cli.noise import noise
from tfticket.cli.norms import norms
from tfticket.cli.recipe import recipe
from tfticket.cli.runs import report, runs
from tfticket.cli.ticket import import_tfmot, ticket
from tfticket.cli.tune import tune
from tfticket.errors import TFTicketError


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="tfticket")
def cli() -> None:
    """Find, study and ship sparse, trainable Keras 3 networks.

    \b
    tfticket recipe list
    tfticket recipe run lth_digits
    """


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the completion script of a shell.

    \b
    eval "$(tfticket completion bash)"                                      # in ~/.bashrc
    eval "$(tfticket completion zsh)"                                       # in ~/.zshrc
    tfticket completion fish > ~/.config/fish/completions/tfticket.fish
    """
    made_by = get_completion_class(shell)
    assert made_by is not None  # click knows all three
    click.echo(made_by(cli, {}, "tfticket", "_TFTICKET_COMPLETE").source())


for command in (
    recipe,
    tune,
    runs,
    report,
    ticket,
    norms,
    noise,
    export,
    fit,
    explain,
    import_tfmot,
    completion,
):
    cli.add_command(command)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status.

    Args:
        arguments: Without the program's name; those of the process if None.
    """
    return run_command(cli, sys.argv[1:] if arguments is None else arguments, name="tfticket")


def run_command(command: click.Command, arguments: Sequence[str], *, name: str) -> int:
    """Run a command, print its errors, and return its exit status.

    Args:
        command: The command.
        arguments: Without the program's name.
        name: The program's name.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
            stream.reconfigure(errors="backslashreplace")  # what LC_ALL=C can't write
    try:
        status = _run(command, tuple(arguments), name)
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:  # whoever read our output has enough of it (`| head`)
        _drop(sys.stdout)
        return 1
    except OSError as error:  # `> /dev/full`, or a folder of somebody else
        _drop(sys.stdout)
        try:
            click.echo(f"Error: {_in_words(error)}", err=True)
        except OSError:
            _drop(sys.stderr)
        return 1
    return status


def _run(command: click.Command, given: tuple[str, ...], name: str) -> int:
    try:
        with interruptible():
            status = command.main(
                list(given), prog_name=name, standalone_mode=False, obj=Invocation(given)
            )
            return status if isinstance(status, int) else 0  # of `click.exceptions.Exit`
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except TFTicketError as error:
        click.echo(f"Error: {printable(str(error))}", err=True)
        return 1
    except MemoryError as error:
        said = f": {error}" if str(error) else ""
        click.echo(f"Error: the memory of this machine isn't enough for that{said}.", err=True)
        return 1
    except (click.Abort, KeyboardInterrupt, InterruptError) as error:
        click.echo(f"\nInterrupted. {error}".rstrip(), err=True)
        return 130


def _drop(stream: TextIO) -> None:
    """Drop buffered output, which must not raise when the interpreter ends."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _in_words(error: OSError) -> str:
    reason = error.strerror or str(error)
    if error.filename is None and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EIO):
        return f"the output can't be written: {reason}. Send it elsewhere."
    if error.filename is None:
        return f"{reason}."
    return f"`{error.filename}` can't be used: {reason}."
